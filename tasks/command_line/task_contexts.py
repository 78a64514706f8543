"""The tasks by their full names, with their options, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from invoke import Collection
from invoke.parser import ParserContext


class TaskContexts(Mapping[str, ParserContext]):
    """The options of each task. To make those of all tasks costs a tenth of a short run."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._names: Mapping[str, list[str]] = collection.task_names
        self._made: dict[str, ParserContext] = {}

    def __getitem__(self, name: str) -> ParserContext:
        """Give the options of a task."""
        if name not in self._made:
            aliases = self._names[name]
            self._made[name] = ParserContext(name=name, aliases=aliases, args=self.task(name).get_arguments())
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is a task of this name."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """List the full names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count the tasks."""
        return len(self._names)

    def task(self, name: str) -> Any:
        """Give a task."""
        return self._collection[name]
