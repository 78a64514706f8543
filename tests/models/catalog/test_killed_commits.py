"""kill -9 before each change of the disk: nothing is lost or half there, and the next run ends alike."""

import subprocess
import sys

import pytest

from tests.paths import PROJECT

RUN = r"""
import os
import shutil
import sys
import traceback
from pathlib import Path

from tritonops.errors import UnknownModelError
from tritonops.models.add import add_model
from tritonops.models.remove import plan_removal, remove_model
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.config import copy_configs
from tritonops.models.download import download, raise_unless_done
from tritonops.models.lock import lock_models
from tritonops.models.disk.replaced_files import leaves
from tritonops.models.disk.repository import Repository
from tritonops.project import Project
from tritonops.settings import load_settings

CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.utime")
WRITE = os.O_WRONLY | os.O_RDWR
BY_HAND = {
    "triton/a/1/model.onnx": b"other weights",
    "triton/a/1/labels.txt": b"labels",
    "triton/a/1/more/deep": b"deep",
    "triton/a/2/model.py": b"another version",
    "triton/a/config.pbtxt": b"# a config\n",
}
work_dir = Path(sys.argv[1])


def kill_before_change(number):
    seen = 0

    def hook(event, args):
        nonlocal seen
        changes = event in CHANGES or (event == "open" and args[2] & WRITE)
        if changes and (isinstance(args[0], int) or str(work_dir) in os.fsdecode(args[0])):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), 9)

    sys.addaudithook(hook)


def prepare(project):
    shutil.rmtree(project, ignore_errors=True)
    (project / "b/deep").mkdir(parents=True)
    (project / "a.onnx").write_bytes(b"weights of a")
    (project / "b/model.onnx").write_bytes(b"graph of b")
    (project / "b/deep/weights").write_bytes(b"weights of b")
    (project / "triton-config/a").mkdir(parents=True)
    (project / "triton-config/a/gpu.pbtxt").write_text('backend: "onnxruntime"\n')
    (project / "models.toml").write_text(
        '[[models.a]]\npath = "a.onnx"\ntriton_version = 1\n\n'
        '[[models.b]]\npath = "b"\ntriton_version = 1\ntype = "directory"\n'
    )


def put(project, names):
    for name in names:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(BY_HAND[name])
    return [BY_HAND[name] for name in names]


def by_hand(project):
    prepare(project)
    return put(project, BY_HAND)


def installed(project):
    prepare(project)
    run(project, overwrite)
    return put(project, ["triton/a/1/labels.txt", "triton/a/1/more/deep", "triton/a/config.pbtxt"])


def changed(project):
    kept = installed(project)
    (project / "a.onnx").write_bytes(b"new weights of a")
    return kept


def overwrite(settings):
    raise_unless_done(download(Project(settings), overwrite=True))


def lock_and_overwrite(settings):
    lock_models(Project(settings), include=["a"])
    overwrite(settings)


def remove(settings):
    try:
        remove_model(Project(settings), plan_removal(Project(settings), "a", version=None, files=True))
    except UnknownModelError:  # the run before had come that far; a download drops the pin
        overwrite(settings)


def config(settings):
    copy_configs(Project(settings), variant="gpu", overwrite=True)


CASES = {
    "adopt": (by_hand, overwrite),
    "lock": (changed, lock_and_overwrite),
    "remove": (installed, remove),
    "config": (installed, config),
}


def run(project, command, *, change=0):
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            settings = load_settings(project, environ={})
            if change:
                kill_before_change(change)
            command(settings)
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def tree(project):
    files = {path.relative_to(project).as_posix(): path for path in leaves(project)}
    return {name: path.read_bytes() for name, path in files.items() if not path.is_dir()}


def outside(found, *folders):
    return {name: content for name, content in found.items() if not name.startswith(folders)}


prepare_case, command = CASES[sys.argv[2]]
project = work_dir / "project"
kept = prepare_case(project)
assert run(project, command) == 0
expected, change, code = outside(tree(project), ".store/"), 0, -9
while code == -9:
    change += 1
    kept = prepare_case(project)
    code = run(project, command, change=change)
    killed = tree(project)
    lost = {*kept} - {*outside(killed, ".store/staging/", ".store/partial/").values()}
    if lost:
        print("killed before change", change, "lost", lost)
    parts = [name for name in killed if name.startswith("triton/b/1/")]
    if len(parts) not in (0, 2):
        print("killed before change", change, "half installed", parts)
    if run(project, command) != 0:
        print("killed before change", change, "the next run failed")
    after = tree(project)
    if lost := {*kept} - {*after.values()}:
        print("killed before change", change, "then lost", lost)
    found = outside(after, ".store/")
    if found != expected:
        names = {name for name in {*found, *expected} if found.get(name) != expected.get(name)}
        print("killed before change", change, "ends otherwise", sorted(names))
    unfinished = [name for name in after if ".partial" in name and ".written.json." not in name]  # of the next writer
    if left := unfinished + [name for name in after if name.startswith(".store/staging/")]:
        print("killed before change", change, "left", left)
print("changes:", change - 1)
"""


@pytest.mark.parametrize(("case", "fewest"), [("adopt", 60), ("lock", 40), ("remove", 20), ("config", 15)])
def test_a_command_that_is_killed_at_any_moment_loses_nothing_and_ends_alike_when_run_again(tmp_path, case, fewest):
    command = [sys.executable, "-c", RUN, str(tmp_path), case]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    *findings, summary = done.stdout.splitlines()
    assert findings == []
    assert int(summary.removeprefix("changes: ")) >= fewest
