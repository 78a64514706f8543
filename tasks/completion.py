"""Completion for shells."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from tasks.shared.task import task
from tritonops.errors import InputError, near_misses

SCRIPTS = Path(__file__).parent / "command_line" / "completions"


@task(help={"shell": "bash, zsh or fish."}, positional=["shell"], read_only=True)
def completion(c: Context, shell: str) -> None:
    """Print the completion script of a shell.

    Add it to your shell, once:
      bash   echo 'source <(./inv completion bash)' >> ~/.bashrc
      zsh    echo 'source <(./inv completion zsh)' >> ~/.zshrc
      fish   echo './inv completion fish | source' >> ~/.config/fish/config.fish
    Write the path of `inv` in your clone.
    """
    known = {path.suffix[1:]: path for path in SCRIPTS.iterdir()}
    if shell not in known:
        raise InputError(f"there is no completion for {shell!r}", hint=near_misses(shell, known, "shells"))
    print(known[shell].read_text(encoding="utf-8"), end="")
