"""Prepare a release in its own folder, hidden from Triton: its models, configs and checks."""

from __future__ import annotations

import shutil

from tritonops.compose.definition import completes_configs
from tritonops.errors import TritonOpsError
from tritonops.models import config, download
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.check import check, require_servable
from tritonops.models.checked import Checked
from tritonops.models.configs.variants import Variant
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store, file_sha256
from tritonops.models.rules.judged_server import count_gpus, embedded_server, server_of_image
from tritonops.project import Project
from tritonops.remote.host.by_hand import save_listed
from tritonops.remote.host.mirror import mirror
from tritonops.remote.host.release_env import settings_of
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.paths import Layout, Release
from tritonops.triton.smoke import check_smoke_tests, find_smoke_tests


def prepare(layout: Layout, release: Release, *, on_step: OnStep) -> None:
    """Fill the folder of a release, starting from the current one: unchanged files are linked, not downloaded.

    Raises TritonOpsError that names each failure.
    """
    settings = settings_of(
        layout, release, TRITON_MODELS_DIR=str(release.models_dir), TRITON_STORE_DIR=str(layout.store_dir)
    )
    project = Project(settings)
    on_step("prepare, starting from the current release")
    mirror(layout.models_dir, release.models_dir)
    catalog, repository = project.catalog, project.repository
    save_listed(release, catalog.names)
    remove_unlisted(catalog, repository)
    accept_pushed_files(layout, on_step=on_step)
    on_step("download models")
    download.raise_unless_done(download.download(project, overwrite=True))
    on_step("copy configs")
    variant: Variant = "cpu" if release.record.config == "cpu" else "gpu"
    results = config.copy_configs(project, variant=variant, overwrite=True)
    config.raise_unless_done(results)
    on_step("check the models")
    require_servable(check(_checked(project, release, variant)))
    tests = find_smoke_tests(settings.config_dir)
    check_smoke_tests({name: path for name, path in tests.items() if name in catalog.names})


def _checked(project: Project, release: Release, variant: Variant) -> Checked:
    """Judge for the server of this host; where that is the embedded one, each graph is loaded as it would load it."""
    if release.record.runtime == "embedded":
        return Checked.of(project, server=embedded_server(), trials="all", variants=(variant,))
    completes = completes_configs(project.settings)
    server = server_of_image(project.image, gpus=count_gpus(), completes_configs=completes)
    return Checked.of(project, server=server, trials="none", variants=(variant,))


def accept_pushed_files(layout: Layout, *, on_step: OnStep) -> None:
    """Move pushed files into the store if their SHA-256 is right. Raises TritonOpsError."""
    store = Store(layout.store_dir)
    files = sorted(path for path in layout.incoming.glob("*") if len(path.name) == 64)
    if not files:
        return
    on_step(f"verify {len(files)} pushed files")
    with store.locked("receiving files", on_wait=lambda who: on_step(f"waiting for {who}")):
        for file in files:
            if file_sha256(file) != file.name:
                file.unlink()
                raise TritonOpsError(f"{file.name} was damaged on its way", hint="Deploy again: it is sent again.")
            store.keep(file, file.name)


def remove_unlisted(catalog: Catalog, repository: Repository) -> None:
    """Remove models and versions that are not in models.toml; earlier releases keep theirs."""
    declared = {(version.name, version.version) for version in catalog.versions}
    for name in repository.names():
        home = repository.home(name) or repository.root / name
        for number in repository.versions(name):
            if (name, number) not in declared:
                shutil.rmtree(home / str(number))
        if name not in catalog.names:
            shutil.rmtree(home)
