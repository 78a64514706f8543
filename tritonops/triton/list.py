"""List the models of a running Triton."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tritonops.errors import NotServedError, TritonError, UnknownModelError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient

ORPHAN = "served, but no longer in the repository"
Rows = tuple[ModelStatus, ...]


def list_models(client: TritonClient) -> list[ModelStatus]:
    """List the index, and the served models without a folder, which the index leaves out."""
    index = client.index()
    names = {row.name for row in index}
    gone = [ModelStatus(row.name, row.version, "READY", ORPHAN) for row in client.statistics() if row.name not in names]
    return sorted([*index, *gone], key=lambda row: (row.name, row.version or 0))


@contextmanager
def naming_unknown(client: TritonClient, name: str) -> Iterator[None]:
    """Turn the NotServedError of a model that the server does not have into an UnknownModelError."""
    try:
        yield
    except NotServedError:
        # A client that may infer need not be allowed to read the index.
        with suppress(TritonError):
            require_known(client, name)
        raise


def require_known(client: TritonClient, name: str) -> Rows:
    """Give the rows of a model. Raises UnknownModelError with the near misses."""
    return rows_of_known(client, name, list_models(client))


def rows_of_known(client: TritonClient, name: str, models: Sequence[ModelStatus]) -> Rows:
    """Give the rows that a model has among `models`. Raises UnknownModelError with the near misses."""
    if found := tuple(row for row in models if row.name == name):
        return found
    raise UnknownModelError(name, (row.name for row in models), where=f"the repository of Triton at {client.url}")


def rows_by_name(rows: Iterable[ModelStatus]) -> dict[str, list[ModelStatus]]:
    """Group the rows of an index by model."""
    found: dict[str, list[ModelStatus]] = {}
    for row in rows:
        found.setdefault(row.name, []).append(row)
    return found
