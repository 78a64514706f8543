"""The models of a running Triton."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tritonops.errors import (
    NotServedError,
    TritonError,
    UnknownModelError,
)
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient

if TYPE_CHECKING:
    pass


ORPHAN = "served, but no longer in the repository"
Rows = tuple[ModelStatus, ...]


def list_models(client: TritonClient) -> list[ModelStatus]:
    """List the index, and what is served although its folder has gone, which the index conceals."""
    index = client.index()
    names = {row.name for row in index}
    gone = [ModelStatus(row.name, row.version, "READY", ORPHAN) for row in client.statistics() if row.name not in names]
    return sorted([*index, *gone], key=lambda row: (row.name, row.version or 0))


@contextmanager
def naming_unknown(client: TritonClient, name: str) -> Iterator[None]:
    """Turn the NotServedError of a model that the server does not even have into an UnknownModelError."""
    try:
        yield
    except NotServedError:
        # Whoever may ask the model need not be allowed to see the index.
        with suppress(TritonError):
            require_known(client, name)
        raise


def require_known(client: TritonClient, name: str) -> Rows:
    """Give the rows of a model; an UnknownModelError with the near misses where the server does not have it."""
    rows = list_models(client)
    if found := tuple(row for row in rows if row.name == name):
        return found
    raise UnknownModelError(name, (row.name for row in rows), where=f"the repository of Triton at {client.url}")
