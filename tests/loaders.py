"""Every file that the project reads back: how it is read, a valid one, and what its grammar is made of."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.onnx_models import affine
from tritonops.files import read_text
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.configs.pbtxt import read_config
from tritonops.models.configs.variants import MAX_LABELS
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.graphs.onnx_graph import read_graph
from tritonops.remote.audit import parse_audit_entry
from tritonops.remote.client.inventory import load_inventory
from tritonops.remote.layout.deploy_lock import parse_lock_owner
from tritonops.remote.layout.paths import Release
from tritonops.remote.layout.records import SwitchRecord
from tritonops.server import embedded
from tritonops.settings import load_settings
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.inputs.input_files import read_inputs
from tritonops.triton.smoke import read_smoke_test

METADATA = ModelMetadata(
    "m", (1,), (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("s", "BYTES", (1,)), TensorSpec("n", "INT8", (1,))), ()
)


@dataclass(frozen=True)
class Loader:
    """One kind of file."""

    name: str
    """Its path below the folder that the loader is given."""
    read: Callable[[Path], Any]
    valid: bytes
    tokens: str
    """Pieces of its grammar, separated by spaces."""
    exit_code: int = 2
    quiet: bool = False
    """A record of the project's own, which says nothing where it is damaged."""


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.ones((1, 2), np.float32))
    return file.getvalue()


def _switch(path: Path) -> SwitchRecord | None:
    try:
        return SwitchRecord.parse(read_text(path, 1 << 20))
    except ValueError:
        return None


def _in_words(read: Callable[[str], Any]) -> Callable[[Path], Any]:
    """For text that comes from a host, which is at most a few kilobytes."""
    return lambda path: read(path.read_bytes()[:4096].decode(errors="replace"))


_SHA = "0" * 64
_TOML = "[ ] [[ ]] { } = . , # \" ' \"\"\" ''' \\ \\u0041 0x 1e9 inf nan 1979-05-27T07:32:00Z true \n \r\n \r \ufeff"
_JSON = '{ } [ ] : , " \\ \\u0041 \\ud800 \\ud83d\\ude00 1e999 -0 NaN Infinity null true 1 \n \ufeff'

LOADERS = [
    Loader(
        "models.toml",
        load_catalog,
        b'[[models.a]]\nrepo_id = "o/n"\nmodel_path = "m.onnx"\ntriton_version = 1\nhosts = ["x"]\n',
        f"{_TOML} [[models.a]] models a repo_id triton_version type path url sha256 hosts ~x {_SHA}",
    ),
    Loader(
        "models.lock",
        load_lock,
        f'[models.a.1]\nsource = "s"\ncommit = "c"\nfiles = [{{ path = "p", size = 1, sha256 = "{_SHA}" }}]\n'.encode(),
        f"{_TOML} [models.a.1] models a.1 source commit files path size sha256 {_SHA}",
    ),
    Loader(
        "hosts.toml",
        load_inventory,
        b'[hosts.a]\nconfig = "cpu"\nruntime = "embedded"\ngroups = ["g"]\n',
        f"{_TOML} [hosts.a] hosts config runtime groups cpu gpu embedded compose",
    ),
    Loader(
        "smoke.json",
        read_smoke_test,
        b'{"inputs": {"x": [[0.0, 0.5]]}, "outputs": {"y": [7]}, "shapes": {"y": [1]}, "tolerance": 0.001}',
        f'{_JSON} "inputs" "outputs" "shapes" "tolerance" "x"',
    ),
    Loader(
        "input.json",
        lambda path: read_inputs(path, METADATA),
        b'{"x": [[1.5, 2]], "s": ["a"], "n": [-3]}',
        f'{_JSON} "x" "s" "n" [1.5,2] 300 1e39',
    ),
    Loader(
        "input.npz",
        lambda path: read_inputs(path, METADATA),
        _npz(),
        "PK\x03\x04 PK\x01\x02 PK\x05\x06 x.npy \x93NUMPY",
    ),
    Loader(
        "config.pbtxt",
        read_config,
        b'name: "a"\nmax_batch_size: 8\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] } ] # c\n',
        "name : \" ' { } [ ] < > , ; # \n \r input dims data_type TYPE_FP32 max_batch_size 1 -1 0x 1e9 "
        "inf \\ \\xff \\ud800 "
        'version_policy: {specific:{versions:[1]}} parameters{key:"k"value{string_value:"v"}} [a.b/c] \ufeff',
    ),
    Loader(
        "model.onnx",
        read_graph,
        affine().SerializeToString(),
        "\x08\x08 \x3a \x0a \x12 \x5a \x62 \x00 \x01 \x7f \x80 location \x0a\x08location \x70\x01 \x2a \x32",
        exit_code=1,
    ),
    Loader("labels.txt", lambda path: read_text(path, MAX_LABELS), b"cat\ndog\n", "cat \n \r \ufeff"),
    Loader(
        ".env",
        lambda path: load_settings(path.parent, environ={}, cwd=path.parent),
        b"TRITON_EXPOSE_HTTP=8000\n",
        "TRITON_EXPOSE_HTTP MODELS_TOML = : $ $$ ${ } - ? ' \" \\ \n \r # export ~ ~x 8000 \ufeff ${A:-${B:-",
    ),
    Loader(
        ".server/loaded/a/m.json",
        lambda path: ServedFolder(path.parents[3], path.parent, path).record("m"),
        b'{"files": {"1": "f"}, "config": null, "served": "h", "newest": 5}',
        f'{_JSON} "files" "config" "served" "newest"',
        quiet=True,
    ),
    Loader(
        ".server/pid",
        lambda path: embedded.find(path.parent),
        b'{"pid": 4194305, "started": 1, "ports": {"http": 1, "grpc": 2, "metrics": 3}, "models_dir": "/m"}',
        f'{_JSON} "pid" "started" "ports" "models_dir" "http" "grpc" "metrics" -1 99999999999',
        quiet=True,
    ),
    Loader(
        "release.json",
        lambda path: Release(path.parent).record,
        b'{"id": "i", "commit": "c", "subject": "s", "fingerprint": "f", "by": "b", "at": "t"}',
        f'{_JSON} "id" "commit" "subject" "fingerprint" "by" "at"',
        exit_code=1,
    ),
    Loader(
        "outcome.json",
        lambda path: Release(path.parent).activation,
        b'{"result": "done", "at": "t", "seconds": 1, "served": [["a", 1]], "changed": ["a"]}',
        f'{_JSON} "result" "at" "seconds" "served" "changed"',
        quiet=True,
    ),
    Loader(
        "digests.json",
        lambda path: DigestCache(path).known(path),
        b'[[1, 2, 3, 4, 5, "0"]]',
        f'{_JSON} [[1,2,3,4,5,"0"]] [1,[2],3,4,5,"0"]',
        quiet=True,
    ),
    Loader("switching.json", _switch, b'{"from": null, "to": "r", "changed": ["a"]}', f'{_JSON} "to" "changed"'),
    Loader(
        "lock",
        _in_words(parse_lock_owner),
        b'{"who": "w", "since": "s", "what": "x", "pid": 7}',
        f'{_JSON} "who" "since" "what" "pid"',
        quiet=True,
    ),
    Loader("audit.log", _in_words(parse_audit_entry), b'{"at": "t", "by": "b"}', f'{_JSON} "at" "by"', quiet=True),
]
