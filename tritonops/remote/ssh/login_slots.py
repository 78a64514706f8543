"""How many logins are in progress at once, and when one that a busy server refused is tried again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

LOGINS_AT_ONCE = 16
_first_logins = threading.BoundedSemaphore(LOGINS_AT_ONCE)
_further_logins = threading.BoundedSemaphore(4)
"""Logins at a server that was busy: sshd begins to drop connections when ten have not logged in yet (MaxStartups
10:30:100), which may be those to many hosts behind one jump host.
"""
_PAUSES = (0.3, 0.5, 0.5, 1.0, 1.0, 2.0, 2.0)
"""Seconds before each further login at a busy server, at most."""


def login_slots() -> Iterator[threading.BoundedSemaphore]:
    """Give the slot that each attempt of one login has to enter, the further ones after a pause."""
    yield _first_logins
    for pause in _PAUSES:
        time.sleep(pause / 4 + pause * os.urandom(1)[0] / 340)  # many hosts do not return at once
        yield _further_logins
