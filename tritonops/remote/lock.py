"""OnLine, take or release the deploy lock of a host."""

from __future__ import annotations

import json
import shlex

from tritonops.remote.client.activation_log import require_unlocked
from tritonops.remote.client.checkout import who
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.layout.deploy_lock import LockOwner
from tritonops.remote.ssh.host import Host

_HOLD = """
set -e
mkdir -p -- "$root"
printf '{"since": "%s", %s\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$rest" >"$root/lock"
"""


def lock_host(host: Host, directory: str, *, why: str) -> None:
    """Lock the host against deploys until it is unlocked. Raises HostLockedError where somebody else locked it."""
    state = inspect_host(host, directory)
    require_unlocked(host, state)
    rest = json.dumps({"who": who(), "what": why, "pid": None}).removeprefix("{")
    host.run(f"root={shlex.quote(state.root)} rest={shlex.quote(rest)}\n{_HOLD}")


def unlock_host(host: Host, directory: str) -> LockOwner | None:
    """Unlock a host, and return who had locked it. A deploy at work is interrupted, and rolled back."""
    state = inspect_host(host, directory)
    if state.lock_owner is None:
        return None
    root = shlex.quote(state.root)
    # A deploy that ended meanwhile has released it.
    host.run(f"kill {state.lock_owner.pid} 2>/dev/null || true" if state.lock_owner.pid else f": >{root}/lock")
    return state.lock_owner
