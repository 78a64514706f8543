"""The init container's program: the models of one release, downloaded, verified and checked, in its pod's volume.

    python -m tritonops.kubernetes.prepare --release=/release --volume=/volume --digest=… --config=gpu --image=… …
    python -m tritonops.kubernetes.prepare --release=/release --models=/models --digest=… --config=gpu --image=… …

The release's files are models.toml, models.lock, triton-config/ and sources/. In the volume, verified files are in
`.store`, and the models in `releases/<digest>/triton`, as hard links. Pods that share a volume wait for each other, and
one that finds its release there changes nothing.

With `--models`, an image has the models: they are verified where they are, and nothing is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tritonops.environment import DISABLE_ENV_FILE
from tritonops.errors import TritonOpsError
from tritonops.kubernetes.verify import verify
from tritonops.models import config, download
from tritonops.models.check import check, require_servable
from tritonops.models.checked import Checked
from tritonops.models.configs.variants import VARIANTS, Variant
from tritonops.models.lock import compare_lock
from tritonops.models.rules.judged_server import server_of_image
from tritonops.models.transfer.progress import Progress, Transfer
from tritonops.process_environment import inherited
from tritonops.project import Project


def prepare(project: Project, *, variant: Variant, gpus: int) -> None:
    """Fill the models directory of a project with what its lock pins, and check it for the server of its image.

    Raises TritonOpsError that names each failure.
    """
    _tell("compare models.lock with models.toml")
    compare_lock(project).raise_if_different()
    _tell("download models")
    result = download.download(project, overwrite=True, progress=_Output())
    download.raise_unless_done(result)
    _tell(f"{len(result.downloaded)} installed, {len(result.skipped)} up to date, {result.bytes:,} bytes fetched")
    _tell("copy configs")
    config.raise_unless_done(config.copy_configs(project, variant=variant, overwrite=True))
    _check(project, variant=variant, gpus=gpus)


def verify_image(project: Project, *, variant: Variant, gpus: int) -> None:
    """Verify that a models directory is what the release declares, and check it for the server of its image.

    Nothing is written. Raises TritonOpsError that names each difference.
    """
    _tell("compare models.lock with models.toml")
    compare_lock(project, with_sources=False).raise_if_different()
    _tell("verify the models of the image")
    count, size = verify(project, variant=variant)
    _tell(f"{count} files verified, {size:,} bytes")
    _check(project, variant=variant, gpus=gpus)


def _check(project: Project, *, variant: Variant, gpus: int) -> None:
    _tell("check the models")
    server = server_of_image(project.image, gpus=gpus, completes_configs=False)
    require_servable(check(Checked.of(project, server=server, trials="none", variants=(variant,))))
    _tell(f"complete: {project.settings.models_dir}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare a release, and give the exit code; the last lines of the output are the reason of a failure."""
    options = _parser().parse_args(arguments)
    try:
        make_ready = verify_image if options.models else prepare
        make_ready(_project(options), variant=options.config, gpus=options.gpus)
    except TritonOpsError as exc:
        print(f"error: {exc}", *([f"hint: {exc.hint}"] if exc.hint else []), sep="\n", file=sys.stderr, flush=True)
        return exc.exit_code
    except OSError as exc:
        print(f"error: {exc.filename}: {exc.strerror}", file=sys.stderr, flush=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tritonops.kubernetes.prepare", allow_abbrev=False)
    parser.add_argument("--release", type=Path, required=True, help="Folder with models.toml, models.lock and configs.")
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--volume", type=Path, help="Folder of the volume that models are kept in.")
    models.add_argument("--models", type=Path, help="Folder of an image's models, which are verified.")
    parser.add_argument("--digest", required=True, help="Digest of the release: the name of its folder in the volume.")
    parser.add_argument("--config", choices=VARIANTS, required=True, help="Which configs of triton-config/ are served.")
    parser.add_argument("--image", required=True, help="Image of Triton that the models are checked for.")
    parser.add_argument("--gpus", type=int, required=True, help="Number of GPUs of the pod.")
    return parser


def _project(options: argparse.Namespace) -> Project:
    """A project whose files are those of the release, and whose models are in the pod's volume."""
    release = options.release.absolute()
    given = {
        "MODELS_TOML": str(release / "models.toml"),
        "TRITON_CONFIG_DIR": str(release / "triton-config"),
        **_folders(options),
        "TRITON_IMAGE": options.image.partition("@")[0],
        DISABLE_ENV_FILE: "true",
    }
    return Project.load(release, environ={**inherited(), **given}, env_file=False)


def _folders(options: argparse.Namespace) -> dict[str, str]:
    if options.models:
        return {"TRITON_MODELS_DIR": str(options.models.absolute())}
    volume = options.volume.absolute()
    models = volume / "releases" / options.digest / "triton"
    return {"TRITON_MODELS_DIR": str(models), "TRITON_STORE_DIR": str(volume / ".store")}


class _Output(Progress):
    """A line for each file that is complete, for waits and for warnings."""

    def waiting(self, owner: str) -> None:
        _tell(f"waiting for {owner}")

    def warned(self, message: str) -> None:
        _tell(f"warning: {message}")

    def arrived(self, transfer: Transfer) -> None:
        _tell(f"{transfer.label}: {transfer.size:,} bytes in {transfer.seconds:.1f} s")


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
