"""Models: from models.toml to the disk."""

from __future__ import annotations

from invoke import Context

from tasks.cli import names, settings, task
from tasks.terminal import note, print_json, size
from tritonops.errors import PartialFailureError
from tritonops.models.download import DownloadResult, Progress
from tritonops.models.download import download as download_models


@task(
    help={
        "include": "Only this model; may be given several times, or as a comma-separated list.",
        "overwrite": "Replace installed versions whose files are not the pinned ones.",
        "json": "Print one JSON document and no progress.",
    },
    iterable=["include"],
)
def download(c: Context, include: list[str], overwrite: bool = False, json: bool = False) -> None:
    """Download models into triton/, verified, and pin them in models.lock."""
    result = download_models(settings(), include=names(include), overwrite=overwrite, progress=_Notes())
    if json:
        print_json(result)
    else:
        note(_summary(result))
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        raise PartialFailureError("not everything was downloaded", failures)


class _Notes(Progress):
    def waiting(self, holder: str) -> None:
        note(f"waiting for {holder}, which is downloading")

    def warned(self, message: str) -> None:
        note(f"warning: {message}")


def _summary(result: DownloadResult) -> str:
    return (
        f"{len(result.downloaded)} downloaded, {len(result.skipped)} there already, {len(result.failed)} failed: "
        f"{size(result.bytes)} in {result.seconds:.1f} s"
    )
