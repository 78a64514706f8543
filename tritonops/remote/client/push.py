"""Send large files and models by their digests: only those that the host lacks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tritonops.errors import InputError, TritonOpsError
from tritonops.models.catalog.lockfile import load_lock, pin_of
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.disk.store import Store
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.host_state import HostState
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.ssh.host import Host


def pinned_files(checkout: GitCheckout, store_dir: Path, host_settings: HostSettings) -> dict[str, Path]:
    """Find the stored files of the models of a host, by SHA-256.

    Raises TritonOpsError where a version is not pinned, or not in the store here.
    """
    if "models.lock" not in checkout.manifest.paths:
        raise InputError("git does not track models.lock, by which a host verifies what is pushed", hint="Commit it.")
    catalog, lock = load_catalog(checkout.models_toml), load_lock(checkout.models_toml.with_suffix(".lock"))
    store, files = Store(store_dir), dict[str, Path]()
    for version in catalog.versions:
        if host_settings.serves(version.hosts):
            pin = pin_of(version, lock, catalog.path)
            if pin is None or not all(store.has(file.sha256) for file in pin.files):
                missing = "pinned in models.lock" if pin is None else "downloaded"
                raise TritonOpsError(f"cannot push {version.label}: it is not {missing}", hint="inv models.download")
            files |= {file.sha256: store.blob(file.sha256) for file in pin.files}
    store.digests.save()
    return files


def push(host: Host, state: HostState, files: Mapping[str, Path]) -> None:
    """Send files, each under its SHA-256; the host verifies each before it uses it.

    A partial file of a broken connection is completed.
    """
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="tritonops-") as folder:
        for sha256, path in files.items():
            Path(folder, sha256).symlink_to(path.absolute())
        incoming = f"{state.root}/shared/.store/incoming/"
        host.rsync(f"{folder}/", incoming, "--recursive", "--copy-links", "--ignore-times", "--partial")
