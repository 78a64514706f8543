"""Login shells that do not run a command: what such a host says, and what to do about it."""

from __future__ import annotations

from tritonops.display_text import clip
from tritonops.errors import LoginShellError

_RESTRICTED = "restricted"
_SHELL_HINT = "Give the account a shell: sudo chsh -s /bin/bash USER"


def login_shell_error(name: str, code: int | None, output: bytes) -> LoginShellError:
    """Word what a host did instead of running a command, by its exit code and the beginning of its output."""
    text = clip(output.decode(errors="replace").strip())
    if code is None:
        return LoginShellError(f"{name}: its login shell was killed before it ran anything{_shown(text)}")
    if _RESTRICTED in text:
        return LoginShellError(f"{name}: its login shell is a restricted one{_shown(text)}", hint=_SHELL_HINT)
    if code == 1 and (not text or "not available" in text):
        return LoginShellError(
            f"{name}: the account is not for logins (its shell is nologin or false){_shown(text)}", hint=_SHELL_HINT
        )
    return LoginShellError(
        f"{name}: it ran another command than ours, which ended with exit code {code}{_shown(text)}",
        hint='Is there a command="…" in its authorized_keys, a ForceCommand in its sshd_config, or an exit in the '
        "start files of its shell?",
    )


def _shown(text: str) -> str:
    return f": {text}" if text else ", without a word"
