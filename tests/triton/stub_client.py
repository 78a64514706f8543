"""A client of no server: it serves what it was told to, and records the calls that change something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tritonops.models.configs.pbtxt import parse_config
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient


def row(name: str, version: int | None = 1, state: str | None = "READY", reason: str | None = None) -> ModelStatus:
    return ModelStatus(name, version, state, reason)


class StubClient(TritonClient):
    """Serves `rows` with `configs`, the texts of ModelConfigs by name."""

    url = "127.0.0.1:8001"

    def __init__(
        self,
        *rows: ModelStatus,
        configs: Mapping[str, str] | None = None,
        on_load: Callable[[StubClient, str], None] = lambda client, name: None,
    ) -> None:
        self.rows, self.on_load = list(rows), on_load
        self.served_configs = {name: parse_config(text) for name, text in (configs or {}).items()}
        self.calls: list[str] = []

    def index(self) -> list[ModelStatus]:
        self.calls.append("index")
        return list(self.rows)

    def statistics(self, name: str | None = None) -> list[Any]:
        return []

    def config(self, name: str, *, version: int | None = None) -> Any:
        return self.served_configs[name]

    def configs(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: self.served_configs[name] for name in names if name in self.served_configs}

    def is_model_ready(self, name: str, version: int) -> bool:
        return True

    def load(self, name: str, *, timeout: float) -> None:
        self.calls.append(f"load {name}")
        self.on_load(self, name)
