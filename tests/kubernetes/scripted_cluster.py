"""A cluster that a test moves: what kubectl says of it, and a real Triton behind the port-forwards of its pods."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kubernetes.kubectl_script import KubectlScript, write_script
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.manifests.names import Manifest

_VERSION = {
    "clientVersion": {"major": "1", "minor": "34", "gitVersion": "v1.34.1"},
    "serverVersion": {"gitVersion": "v1.34.2"},
}
_BODY = (
    f"""
version='{json.dumps(_VERSION)}'
"""
    + """
case "$1 $2" in
    "version "*) echo "$version" ;;
    "get deployments"*)
        if [ -e "$folder/first.json" ]; then cat "$folder/first.json"; rm "$folder/first.json"; exit; fi
        cat "$folder/objects.json" ;;
    "get events"*) cat "$folder/events.json" ;;
    "port-forward "*)
        [ -e "$folder/port" ] || { echo "error: lost connection to pod" >&2; exit 1; }
        echo "Forwarding from 127.0.0.1:$(cat "$folder/port") -> 8001"
        exec sleep 600 ;;
    "logs "*) cat "$folder/log" ;;
esac"""
)


class ScriptedCluster:
    """The cluster; `kubectl` is the client for it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, context: str = "gpu-eu") -> None:
        self.script: KubectlScript = write_script(folder, _BODY, patch)
        self.kubectl = Kubectl(context, "triton", str(folder / "kubectl"))
        self.set_objects([])
        self._write("events.json", json.dumps({"items": []}))
        self._write("log", "")

    def set_objects(self, objects: Sequence[Manifest], *, first: Sequence[Manifest] | None = None) -> None:
        """Let these be the objects of the namespace; `first`, when they are read for the first time."""
        self._write("objects.json", json.dumps({"items": list(objects)}))
        if first is not None:
            self._write("first.json", json.dumps({"items": list(first)}))

    def set_triton(self, port: int | str, log: str = "") -> None:
        """Let port-forwards lead to a Triton, and let it have printed this."""
        self._write("port", str(port))
        self._write("log", log)

    def set_warnings(self, **warnings: str) -> None:
        """Let the cluster have warned about its pods: messages by their reason."""
        events = [{"reason": reason, "message": message} for reason, message in warnings.items()]
        self._write("events.json", json.dumps({"items": events}))

    def _write(self, name: str, text: str) -> None:
        partial = self.script.folder / f"{name}.partial"
        partial.write_text(text)
        partial.rename(self.script.folder / name)
