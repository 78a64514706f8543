"""A pod without a cluster: the rendered release in a folder, its init container's program, and Triton as rendered."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tritonops.kubernetes import prepare
from tritonops.kubernetes.manifests.containers import MODELS
from tritonops.kubernetes.manifests.names import Manifest
from tritonops.kubernetes.render import RenderedTarget
from tritonops.process_environment import inherited
from tritonops.server.installation import Installation, assemble_backends, library_path
from tritonops.server.ports import Ports, free_ports


@dataclass(frozen=True)
class Pod:
    """The folders of a pod, and what was rendered for it."""

    folder: Path
    rendered: RenderedTarget

    @property
    def spec(self) -> Manifest:
        """The pod's part of the Deployment."""
        (found,) = (each for each in self.rendered.objects if each["kind"] == "Deployment")
        spec: Manifest = found["spec"]["template"]["spec"]
        return spec

    @property
    def volume(self) -> Path:
        """The volume of models that pods download to."""
        return self.folder / "volume"

    @property
    def models_dir(self) -> Path:
        """The folder that Triton has mounted."""
        (mount,) = (each for each in self.spec["containers"][0]["volumeMounts"] if each["mountPath"] == MODELS)
        return self.volume / str(mount["subPath"]) if "subPath" in mount else self.folder / "image"

    def mount(self) -> None:
        """Write the files of the ConfigMaps as the kubelet does."""
        maps = {each["metadata"]["name"]: each for each in self.rendered.objects if each["kind"] == "ConfigMap"}
        volumes = {each["name"]: each for each in self.spec["volumes"]}
        for source in volumes["release"]["projected"]["sources"]:
            content = contents(maps[source["configMap"]["name"]])
            for item in source["configMap"]["items"]:
                write(self.folder / "release" / item["path"], content[item["key"]])
        for name, data in contents(maps[volumes["scripts"]["configMap"]["name"]]).items():
            write(self.folder / "scripts" / name, data)

    def prepare_command(self) -> list[str]:
        """The arguments of the init container, with the folders of this pod."""
        words = self.spec["initContainers"][0]["command"][3:]
        places = {"--release": self.folder / "release", "--volume": self.volume, "--models": self.models_dir}
        return [
            f"{name}={places[name]}" if name in places else word for word in words for name in [word.partition("=")[0]]
        ]

    def prepare(self) -> int:
        """Run the init container's program here; its exit code."""
        return prepare.main(self.prepare_command())

    @contextmanager
    def triton(self, installation: Installation, *, token: str | None = None) -> Iterator[Ports]:
        """Start Triton as its container does, on free ports of the loopback interface."""
        ports, backends = free_ports(), self.folder / "backends"
        assemble_backends(backends, installation)
        libraries = ":".join(map(str, library_path(backends, installation)))
        path = f"{installation.executable.parent}:{installation.python_bin}:{os.environ['PATH']}"
        environment = inherited() | {"LD_LIBRARY_PATH": libraries, "PATH": path}
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                self._triton_command(backends, ports),
                env=environment | ({"TRITON_TOKEN": token} if token else {}),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield ports
                assert process.poll() is None, "Triton has ended"
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _triton_command(self, backends: Path, ports: Ports) -> list[str]:
        program, script, *flags = self.spec["containers"][0]["args"]
        flags = [word for word in flags if not word.startswith("--model-repository=")]
        for protocol, port in (("http", ports.http), ("grpc", ports.grpc), ("metrics", ports.metrics)):
            flags += [f"--{protocol}-port={port}", f"--{protocol}-address=127.0.0.1"]
        place = self.folder / "scripts" / Path(script).name
        return [program, str(place), f"--model-repository={self.models_dir}", f"--backend-directory={backends}", *flags]

    def started(self, ports: Ports) -> subprocess.CompletedProcess[str]:
        """Run the startup probe once."""
        program, script = self.spec["containers"][0]["startupProbe"]["exec"]["command"]
        place = self.folder / "scripts" / Path(script).name
        text = place.read_text().replace("port=8000", f"port={ports.http}")
        probe = self.folder / "probe.sh"
        probe.write_text(text)
        return subprocess.run([program, probe], capture_output=True, text=True, check=False, timeout=30)


def contents(config_map: Manifest) -> dict[str, bytes]:
    """The files of a ConfigMap, by their keys."""
    texts = {key: text.encode() for key, text in config_map.get("data", {}).items()}
    return texts | {key: base64.b64decode(text) for key, text in config_map.get("binaryData", {}).items()}


def write(path: Path, data: bytes) -> None:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
