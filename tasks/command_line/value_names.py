"""The name that help gives to an option's value (`--timeout SECONDS`), and what completion offers for it."""

from __future__ import annotations

VALUE_NAMES = {
    "arg": "ARGUMENT",
    "base-image": "IMAGE",
    "collection": "NAME",
    "command-timeout": "SECONDS",
    "config": "FILE",
    "file": "PATH",
    "format": "FORMAT",
    "from": "FILE",
    "group": "GROUP",
    "help": "TASK",
    "hide": "STREAM",
    "hold": "REASON",
    "host": "HOST",
    "image": "IMAGE",
    "include": "MODEL",
    "input": "FILE",
    "jobs": "N",
    "parallel": "N",
    "kubernetes-version": "VERSION",
    "labels": "FILE",
    "lines": "N",
    "list": "GROUP",
    "list-depth": "N",
    "list-format": "FORMAT",
    "local-name": "NAME",
    "max-batch-size": "N",
    "max-responses": "N",
    "model": "MODEL",
    "model-timeout": "SECONDS",
    "name": "NAME",
    "output": "FOLDER",
    "path": "PATH",
    "print-completion-script": "SHELL",
    "release": "RELEASE",
    "repo-id": "OWNER/NAME",
    "revision": "REVISION",
    "search-root": "FOLDER",
    "select": "EXPRESSION",
    "service": "SERVICE",
    "sha256": "DIGEST",
    "shape": "NAME=SIZES",
    "shell": "SHELL",
    "since": "TIME",
    "subfolder": "PATH",
    "tag": "IMAGE",
    "tail": "N",
    "target": "TARGET",
    "timeout": "SECONDS",
    "to": "RELEASE",
    "top": "N",
    "url": "URL",
    "version": "VERSION",
    "versions": "VERSIONS",
    "wait": "SECONDS",
}
"""By option. A test compares them with the options of all tasks."""


def value_name(option: str | None) -> str:
    """Name the value of an option, or of the word that stands for it."""
    return VALUE_NAMES.get(flag_of(option)[2:], "VALUE")


def flag_of(option: str | None) -> str:
    """Write an option as it is typed: `from_` and `max_batch_size` are --from and --max-batch-size, as for Invoke."""
    return f"--{(option or '').strip('_').replace('_', '-')}"
