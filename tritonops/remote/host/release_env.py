"""The env of a release: a private copy of the host's env file, so that a rollback uses it too.

Secrets are in no copy: the newest value always counts, after a rollback too. A release of an earlier version reads
the host's env file itself, so its tasks get the values of its copy from the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

from tritonops.dotenv import Variable, format_line, parse, read_bytes
from tritonops.files import write_text
from tritonops.process_environment import inherited
from tritonops.remote.layout.compose_project import compose_project
from tritonops.remote.layout.env_rules import refuse_names_of_releases
from tritonops.remote.layout.paths import Layout, Release
from tritonops.server import embedded
from tritonops.settings import Settings, load_settings

SECRETS = ("TRITON_TOKEN", "HF_TOKEN")


def copy_env(layout: Layout, release: Release) -> None:
    """Copy the host's env file, without the secrets, for this release."""
    write_env(layout, release, without_secrets(host_env(layout)))


def adopt_env(layout: Layout, release: Release) -> None:
    """Make the copy for a current release of an earlier version, which has none.

    If the file was edited since, only the ports are still known: those that Triton listens on.
    """
    if layout.env_of(release).exists():
        return
    server = embedded.find(layout.shared / ".server")
    ports = (
        {f"TRITON_EXPOSE_{kind.upper()}": str(port) for kind, port in asdict(server.ports).items()} if server else {}
    )
    write_env(layout, release, without_secrets(host_env(layout)) | ports)


def is_as_host_env(layout: Layout, release: Release) -> bool:
    """Whether the env of a release is the host's env file as it is now."""
    return release_env(layout, release) == host_env(layout)


def write_env(layout: Layout, release: Release, values: Mapping[str, str]) -> None:
    """Write the copy of a release, readable by its owner only."""
    path = layout.env_of(release)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    write_text(path, "".join(f"{format_line(name, value)}\n" for name, value in values.items()))


def host_env(layout: Layout) -> dict[str, str]:
    """Read the host's env file, by the rules of Compose. Raises EnvFileError."""
    found = _read(layout, layout.env.name)
    refuse_names_of_releases(found, where=str(layout.env))
    return _values(found)


def release_env(layout: Layout, release: Release) -> dict[str, str]:
    """Give the env of a release: its copy with the newest secrets, or the host's file without a copy."""
    newest = host_env(layout)
    if not layout.env_of(release).exists():
        return newest
    secrets = {name: value for name, value in newest.items() if name in SECRETS}
    return {**_values(_read(layout, f"envs/{release.id}")), **secrets}


def task_environment(layout: Layout, release: Release) -> dict[str, str]:
    """Give the environment in which the tasks of a release use its env, and no other one."""
    env = release_env(layout, release)
    environment = {
        **inherited(),
        "TRITONOPS_SECRETS": str(layout.env),
        "COMPOSE_PROJECT_NAME": env.get("COMPOSE_PROJECT_NAME") or compose_project(layout.root),
    }
    return environment if reads_its_copy(layout, release) else environment | env


def settings_of(layout: Layout, release: Release, **changed: str) -> Settings:
    """Read the settings of a release, some of them replaced. Raises SettingsError."""
    models_dir = {"TRITON_MODELS_DIR": str(layout.models_dir)}
    return load_settings(release.project, environ={**task_environment(layout, release), **models_dir, **changed})


def without_secrets(values: Mapping[str, str]) -> dict[str, str]:
    """Leave out the secrets."""
    return {name: value for name, value in values.items() if name not in SECRETS}


def reads_its_copy(layout: Layout, release: Release) -> bool:
    """Whether the tasks of a release read its copy; those of earlier versions do not."""
    link = release.project / ".env"
    return link.is_symlink() and os.path.realpath(link) == os.path.realpath(layout.env_of(release))


def _read(layout: Layout, name: str) -> dict[str, Variable]:
    path = layout.root / name
    return parse(read_bytes(path), inherited().get, where=str(path)) if path.exists() else {}


def _values(variables: Mapping[str, Variable]) -> dict[str, str]:
    return {name: variable.value for name, variable in variables.items()}
