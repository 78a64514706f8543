"""Settings that belong to a release, and not to the env file of its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tritonops.errors import EnvFileError

if TYPE_CHECKING:
    from tritonops.dotenv import Variable

OF_RELEASES = ("MODELS_TOML", "TRITON_CONFIG_DIR", "TRITON_MODELS_DIR", "TRITON_STORE_DIR", "TRITON_URL")
"""They would make a host serve something else than the release, or control another server than its own."""


def refuse_names_of_releases(variables: Mapping[str, Variable], *, where: str) -> None:
    """Raise EnvFileError for a setting that the release decides."""
    for name in OF_RELEASES:
        if name in variables and variables[name].value:
            raise EnvFileError(
                f"{where}:{variables[name].line}: {name} belongs to the release, not to its host",
                hint=f"Remove it: echo {name}= | inv remote.env --host HOST",
            )
