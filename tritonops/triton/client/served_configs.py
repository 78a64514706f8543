"""The configs that a server serves, asked for one at a time or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.triton.client.client import TritonClient


class ServedConfigs(Protocol):
    """A client, or configs that a client was asked for before."""

    def config(self, name: str) -> ModelConfig:
        """Give the served config of a model."""


class PrefetchedConfigs:
    """The served configs of many models, of which a client gets several at a time."""

    def __init__(self, client: TritonClient, names: Sequence[str]) -> None:
        self._client, self._found = client, client.configs(names)

    def config(self, name: str) -> ModelConfig:
        """Give a served config. Raises what the client raises, for one that could not be got with the others."""
        return self._found[name] if name in self._found else self._client.config(name)
