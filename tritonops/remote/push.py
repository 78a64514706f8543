"""Send models from here to a host that has no way to the Hub: stored files that it lacks, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tritonops.errors import InputError, TritonOpsError
from tritonops.models.catalog import load_catalog
from tritonops.models.lock import load_lock, pin_of
from tritonops.models.store import Store
from tritonops.remote.host import Host
from tritonops.remote.inventory import HostSettings
from tritonops.remote.source import Source
from tritonops.remote.survey import State


def pinned_files(source: Source, store_dir: Path, host: HostSettings) -> list[str]:
    """List the stored files of the models of a host by SHA-256, each once.

    Raises TritonOpsError where a version is not pinned, or not in the store here.
    """
    if "models.lock" not in source.files():
        raise InputError("git does not track models.lock, by which a host verifies what is pushed", hint="Commit it.")
    catalog, lock = load_catalog(source.models_toml), load_lock(source.models_toml.with_suffix(".lock"))
    store, files = Store(store_dir), []
    for version in catalog.versions:
        if host.serves(version.hosts):
            pin = pin_of(version, lock, catalog.path)
            if pin is None or not all(store.has(file.sha256) for file in pin.files):
                missing = "pinned in models.lock" if pin is None else "downloaded here"
                raise TritonOpsError(f"cannot push {version.label}: it is not {missing}", hint="inv models.download")
            files += [file.sha256 for file in pin.files]
    store.digests.save()
    return list(dict.fromkeys(files))


def push(host: Host, store_dir: Path, state: State, files: list[str]) -> None:
    """Send the stored files that the host lacks; it verifies each before it takes it into its own store.

    A file of the same name and size is the same file: it is named after its content.
    """
    incoming = f"{state.root}/shared/.store/incoming/"
    with tempfile.NamedTemporaryFile("w", suffix=".list") as names:
        names.write("\0".join(files))
        names.flush()
        options = ["--size-only", "--partial", "--from0", f"--files-from={names.name}", "--compare-dest=../"]
        host.rsync(f"{store_dir}/", incoming, *options)
