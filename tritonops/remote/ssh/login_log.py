"""What `ssh -v` wrote about a login: why it failed, and what a person needs to know to fix it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_NOISE = re.compile(r"debug\d: |OpenSSH_|Authenticated to |@@@@|\s*$|Warning: Permanently added|Pseudo-terminal")
_CLOSED = re.compile(r"^((kex|ssh)_exchange_identification|banner exchange): ", re.MULTILINE)
_SHOWN_LINES = 3


@dataclass(frozen=True)
class LoginLog:
    """The log of a master, and the output of its hops: the `ssh` of each jump host, or a ProxyCommand."""

    own: str
    hops: str

    @property
    def failed(self) -> str:
        """The log of the connection that failed: where a hop did, the host's own connection only ended with it."""
        is_hop = _CLOSED.search(self.own) and any(_said(self.hops))
        return self.hops if is_hop else self.own

    @property
    def reason(self) -> str:
        """The last lines that ssh wrote, without its debugging."""
        lines = list(_said(self.failed)) or ["ssh ended without a reason"]
        return "\n".join(lines[-_SHOWN_LINES:])

    @property
    def host_key(self) -> str:
        """Type and fingerprint of the key that the server showed; empty if it showed none."""
        return _last(r"debug1: Server host key: (.+)", self.failed)

    @property
    def offered_keys(self) -> list[str]:
        """The keys that were offered to the server, each as a file or the comment of an agent's key."""
        return re.findall(r"debug1: Offering public key: (.+?) (?:[A-Z0-9-]+ )?SHA256:", self.failed)

    @property
    def is_authenticating(self) -> bool:
        """Whether the server answered, and the keys are its business by now."""
        return "debug1: Authenticating to " in self.own

    @property
    def hop(self) -> list[str]:
        """The words for `ssh` that name the hop that failed; empty where the host itself did."""
        if self.failed is not self.hops:
            return []
        words = shlex.split(_last(r"debug1: Setting implicit ProxyCommand from ProxyJump: (.+)", self.own + self.hops))
        kept: list[str] = []
        rest = iter(words[1:])
        for word in rest:
            if word in ("-F", "-W", "-J"):
                next(rest, None)
            elif not word.startswith("-v"):
                kept.append(word)
        return kept


def _said(text: str) -> Iterator[str]:
    """Give the lines that are no debugging."""
    return (line.strip() for line in text.splitlines() if not _NOISE.match(line))


def _last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    return found[-1].strip() if found else ""
