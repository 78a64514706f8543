"""Show, take or release the deploy lock of a host."""

from __future__ import annotations

import json

from tritonops.process_environment import who
from tritonops.remote.client.activation_log import require_unlocked
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.layout.deploy_lock import LockOwner
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host


def lock_host(host: Host, *, why: str) -> None:
    """Lock the host against deploys. Raises HostLockedError where it is locked already."""
    state = inspect_host(host)
    require_unlocked(host, state)
    owner = json.dumps({"who": who(), "what": why, "pid": None}).removeprefix("{")
    host.run(script("lock_host", root=state.root, owner=owner))


def unlock_host(host: Host) -> LockOwner | None:
    """Unlock a host, and return the owner. A running deploy is interrupted, and rolled back."""
    state = inspect_host(host)
    if state.lock_owner:
        host.run(script("unlock_host", root=state.root, pid=state.lock_owner.pid or ""))
    return state.lock_owner
