"""The version policy of a config.pbtxt: read, and edited without touching the rest of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tritonops.errors import InputError
from tritonops.models.catalog.valid_values import MAX_VERSION
from tritonops.models.configs.pbtxt import ModelConfig

SET_WITH_SERVE = "set with triton.serve"
AS_IN_CATALOG = "the versions in models.toml"


@dataclass(frozen=True)
class VersionPolicy:
    """Which versions of a model Triton serves: all, the newest few, or those that are listed."""

    kind: Literal["all", "latest", "specific"]
    latest: int = 1
    """How many, where `kind` is "latest"."""
    versions: tuple[int, ...] = ()
    """Which, where `kind` is "specific"."""

    @classmethod
    def parse(cls, text: str) -> VersionPolicy:
        """Read what a person types: `all`, `latest:2`, or `2,3`. Raises InputError."""
        if text == "all":
            return cls("all")
        if match := re.fullmatch("latest:([1-9][0-9]{0,8})", text):
            return cls("latest", latest=int(match[1]))
        numbers = [part.strip() for part in text.split(",")]
        if all(re.fullmatch("[1-9][0-9]{0,18}", number) and int(number) <= MAX_VERSION for number in numbers):
            return cls("specific", versions=tuple(sorted({int(number) for number in numbers})))
        raise InputError(f"versions {text!r}: expected `2,3`, `latest:2` or `all`")

    @classmethod
    def of(cls, config: ModelConfig) -> VersionPolicy | None:
        """Read the policy of a parsed config; None where it sets none, and Triton serves the newest version."""
        choice = config.version_policy.WhichOneof("policy_choice") if config.HasField("version_policy") else None
        if choice is None:
            return None
        if choice == "latest":
            return cls("latest", latest=config.version_policy.latest.num_versions or 1)
        return cls(choice, versions=tuple(sorted(config.version_policy.specific.versions)))

    def __str__(self) -> str:
        """Write it as a person types it."""
        if self.kind == "specific":
            return ",".join(map(str, self.versions))
        return f"latest:{self.latest}" if self.kind == "latest" else "all"

    def served(self, versions: tuple[int, ...]) -> tuple[int, ...]:
        """Pick, of the versions on disk, those that Triton serves."""
        if self.kind == "all":
            return versions
        if self.kind == "latest":
            return tuple(sorted(versions)[-self.latest :])
        return tuple(version for version in versions if version in self.versions)


def set_version_policy(text: str, policy: VersionPolicy, *, note: str = SET_WITH_SERVE) -> str:
    """Write the policy into a config that parses, in place of the one it has or at its end.

    All other bytes stay. `note` becomes the comment behind it, by which `policy_note` knows who set it.
    """
    block = f"version_policy: {_block(policy)}  # {note}"
    if span := _policy_span(text):
        rest = text[span[1] :]
        return text[: span[0]] + block + ("" if re.match(r"[ \t]*(\r?\n|$)", rest) else "\n") + rest
    gap = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{gap}{block}\n"


def has_policy(text: str) -> bool:
    """Whether a config sets a version policy, told from its text alone."""
    return _policy_span(text) is not None


def policy_note(text: str) -> str | None:
    """Find out who set the version policy of a config: SET_WITH_SERVE, AS_IN_CATALOG, or None for anybody else."""
    span = _policy_span(text)
    return next((note for note in _NOTES if span and text[: span[1]].endswith(f"# {note}")), None)


_NOTES = (SET_WITH_SERVE, AS_IN_CATALOG)


def _block(policy: VersionPolicy) -> str:
    if policy.kind == "specific":
        return f"{{ specific: {{ versions: [ {', '.join(map(str, policy.versions))} ] }} }}"
    return f"{{ latest: {{ num_versions: {policy.latest} }} }}" if policy.kind == "latest" else "{ all: {} }"


_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*) | (?P<string>"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*') | (?P<mark>[\[\]{}<>]) |"""
    r"""(?P<word>[A-Za-z_][\w.]*) | (?P<other>.)""",
    re.VERBOSE,
)


def _policy_span(text: str) -> tuple[int, int] | None:
    """Find the top-level field `version_policy`, with a comment of ours behind it."""
    depth, start = 0, None
    for match in _tokens(text):
        if depth == 0 and match.group() == "version_policy":
            start = match.start()
        if match.lastgroup == "mark":
            depth += 1 if match.group() in "[{<" else -1
            if depth == 0 and start is not None:
                note = re.compile(f"[ \t]*# ({'|'.join(_NOTES)})(?=[ \t]*(\r?\n|$))").match(text, match.end())
                return start, note.end() if note else match.end()
    return None


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _TOKEN.finditer(text) if match.lastgroup != "skip")
