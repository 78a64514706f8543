"""Nothing that was there is lost: what a command replaces or removes is listed, and lies in .store/replaced/."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from tests.models.catalogs import one_file, one_folder, write
from tritonops.errors import PartialFailureError, RepositoryError, TritonOpsError
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.config import copy_configs
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.download import download, raise_unless_done
from tritonops.models.lock import lock_models
from tritonops.models.prune import delete_unreferenced, find_unreferenced
from tritonops.models.remove import plan_removal, remove_model
from tritonops.project import Project

WEIGHTS = b"the weights"


@pytest.fixture
def single(hub, project):
    """A model of one file, in no lock yet."""
    hub.push("team/clip", {"model.onnx": WEIGHTS})
    return write(project, one_file("clip", "team/clip"))


@pytest.fixture
def folder(hub, project):
    """A model of a folder with a small file, in no lock yet."""
    weights = {"onnx/model.onnx": WEIGHTS, "onnx/data/weights.bin": b"0" * 1000}
    hub.push("team/big", weights, small={"onnx/c.json": b"{}"})
    return write(project, one_folder("big", "team/big"))


def put(path, content):
    """Write a file where there may be nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def tree(settings):
    """Map what is in the project, but for the store and what commands write, to its content or to where it points."""
    ours = (".store/", "models.")
    return {path: content for path, content in below(settings.project).items() if not path.startswith(ours)}


def kept(settings):
    """Map what lies in .store/replaced/, by the paths that it had."""
    (time,) = (settings.project / ".store/replaced").iterdir()
    return below(time)


def below(top):
    return {
        str(path.relative_to(top)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in top.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def nothing_is_lost(caplog):
    """Run something, and compare the tree before and after: what vanished is listed and kept."""

    def run(settings, work, *, vanished):
        before, result = tree(settings), None
        try:
            result = work()
        finally:
            after = tree(settings)
            lost = {path: content for path, content in before.items() if after.get(path) != content}
            assert {*lost} == {*vanished}
            if lost:
                found = kept(settings)
                assert {path: found.get(path) for path in lost} == lost
            for path in lost:
                assert f"moving {settings.project / path}" in caplog.text
        return result

    return run


# Adopting


def test_adopting_a_folder_keeps_the_further_files_and_asks_for_no_bytes(single, hub, nothing_is_lost):
    version = single.models_dir / "clip/1"
    put(version / "model.onnx", WEIGHTS)
    for name in ("labels.txt", "model_meta.json", "model.py", "assets/icon.png", "README"):
        put(version / name, name.encode())
    put(single.models_dir / "clip/config.pbtxt", b"# by hand")
    (version / "empty").mkdir()
    (version / "latest").symlink_to("model.onnx")
    result = nothing_is_lost(single, lambda: download(Project(single)), vanished=())
    assert (result.skipped, result.failed, result.bytes) == (("clip/1",), (), 0)
    assert hub.requests("/resolve/") == []
    assert (version / "empty").is_dir()
    assert Store(single.store_dir).has(next(single.store_dir.glob("?" * 64)).name)


def test_small_files_are_compared_by_their_git_hash_and_not_fetched(folder, hub, nothing_is_lost):
    place = folder.models_dir / "big/1/model.onnx"
    put(place / "model.onnx", WEIGHTS)
    put(place / "data/weights.bin", b"0" * 1000)
    put(place / "c.json", b"{}")
    put(place / ".gitattributes", b"*.onnx filter=lfs")
    result = nothing_is_lost(folder, lambda: download(Project(folder)), vanished=())
    assert (result.skipped, result.bytes) == (("big/1",), 0)
    assert hub.requests("/resolve/") == []


def test_locking_what_is_there_already_fetches_no_small_file(folder, hub):
    put(folder.models_dir / "big/1/model.onnx/c.json", b"{}")
    assert lock_models(Project(folder)).locked == ("big/1",)
    assert hub.requests("/resolve/") == []


def test_an_incomplete_folder_gets_only_what_it_lacks(folder, hub, nothing_is_lost):
    place = folder.models_dir / "big/1/model.onnx"
    put(place / "data/weights.bin", b"0" * 1000)
    put(place / "notes.txt", b"mine")
    result = nothing_is_lost(folder, lambda: download(Project(folder)), vanished=())
    assert (result.downloaded, result.bytes) == (("big/1",), len(WEIGHTS) + 2)


def test_a_small_file_of_the_same_size_with_other_bytes_is_not_taken_for_the_same(folder, nothing_is_lost):
    put(folder.models_dir / "big/1/model.onnx/c.json", b"[]")
    result = nothing_is_lost(folder, lambda: download(Project(folder)), vanished=())
    assert "--overwrite" in result.failed[0].error
    result = nothing_is_lost(
        folder, lambda: download(Project(folder), overwrite=True), vanished=("triton/big/1/model.onnx/c.json",)
    )
    assert result.downloaded == ("big/1",)


def test_a_cache_of_links_is_adopted_and_stays_as_it_is(single, tmp_path, nothing_is_lost):
    blob = put(tmp_path / "hf-cache/blobs/abc", WEIGHTS)
    (single.models_dir / "clip/1").mkdir(parents=True)
    (single.models_dir / "clip/1/model.onnx").symlink_to(blob)
    mode = blob.stat().st_mode
    assert nothing_is_lost(single, lambda: download(Project(single)), vanished=()).skipped == ("clip/1",)
    assert (blob.read_bytes(), blob.stat().st_mode, blob.stat().st_nlink) == (WEIGHTS, mode, 1)


def test_a_file_that_others_have_links_to_is_copied_into_the_store(single, tmp_path):
    mine = put(tmp_path / "mine.onnx", WEIGHTS)
    (single.models_dir / "clip/1").mkdir(parents=True)
    (single.models_dir / "clip/1/model.onnx").hardlink_to(mine)
    assert download(Project(single)).skipped == ("clip/1",)
    assert mine.stat().st_mode & 0o200
    mine.write_bytes(b"THE WEIGHTS")
    assert download(Project(single), overwrite=True).bytes == 0
    assert (single.models_dir / "clip/1/model.onnx").read_bytes() == WEIGHTS
    assert mine.read_bytes() == b"THE WEIGHTS"


# Replacing


def test_overwriting_keeps_the_old_files_and_leaves_the_further_ones_in_place(folder, nothing_is_lost):
    place = folder.models_dir / "big/1/model.onnx"
    put(place / "model.onnx", b"older")
    put(place / "data/extra.bin", b"mine")
    put(folder.models_dir / "big/1/labels.txt", b"cat")
    result = nothing_is_lost(
        folder, lambda: download(Project(folder), overwrite=True), vanished=("triton/big/1/model.onnx/model.onnx",)
    )
    assert result.downloaded == ("big/1",)
    assert (place / "model.onnx").read_bytes() == WEIGHTS


def test_a_folder_where_a_file_belongs_is_kept_whole(single, nothing_is_lost):
    put(single.models_dir / "clip/1/model.onnx/model.onnx", b"a")
    put(single.models_dir / "clip/1/model.onnx/b/c", b"c")
    lost = ("triton/clip/1/model.onnx/model.onnx", "triton/clip/1/model.onnx/b/c")
    result = nothing_is_lost(single, lambda: download(Project(single), overwrite=True), vanished=lost)
    assert result.downloaded == ("clip/1",)


@pytest.mark.parametrize("taken", ["clip", "clip/1"])
def test_a_file_where_a_folder_belongs_is_kept(single, nothing_is_lost, taken):
    put(single.models_dir / taken, b"what is this")
    assert "--overwrite" in nothing_is_lost(single, lambda: download(Project(single)), vanished=()).failed[0].error
    result = nothing_is_lost(single, lambda: download(Project(single), overwrite=True), vanished=(f"triton/{taken}",))
    assert result.downloaded == ("clip/1",)


def test_files_of_an_older_pin_go_without_a_trace_and_the_persons_own_stay(hub, folder, nothing_is_lost):
    download(Project(folder))
    put(folder.models_dir / "big/1/model.onnx/mine.txt", b"mine")
    hub.push("team/big", {"onnx/model.onnx": b"newer weights"})
    lock_models(Project(folder), include=["big"])
    download(Project(folder), overwrite=True)
    assert tree(folder) == {
        "triton/big/1/model.onnx/model.onnx": b"newer weights",
        "triton/big/1/model.onnx/mine.txt": b"mine",
    }
    assert not (folder.store_dir / "replaced").exists()


def test_repairing_keeps_the_damaged_file_and_the_further_ones(single, nothing_is_lost):
    download(Project(single))
    model = single.models_dir / "clip/1/model.onnx"
    model.chmod(0o644)
    model.write_bytes(b"THE WEIGHTS")  # by an editor that writes in place: the stored file has changed, too
    put(model.with_name("labels.txt"), b"cat")
    result = nothing_is_lost(
        single, lambda: download(Project(single), verify=True), vanished=("triton/clip/1/model.onnx",)
    )
    assert (result.downloaded, result.bytes) == (("clip/1",), len(WEIGHTS))


def as_ordinary_user(settings, call):
    """Run a call with these settings by an expression, without root's right to write to what is read-only."""
    drop_rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    bounded = drop_rights if os.geteuid() == 0 else []
    program = f"""import sys
from pathlib import Path
from tritonops.models.download import download
from tritonops.models.prune import delete_unreferenced, find_unreferenced
from tritonops.project import Project
from tritonops.settings import load_settings
settings = load_settings(Path(sys.argv[1]))
print({call})"""
    done = subprocess.run(
        [*bounded, sys.executable, "-c", program, settings.project],
        env={**os.environ, "HF_ENDPOINT": settings.hf_endpoint},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout or done.stderr


def test_a_read_only_folder_in_a_version_stays_with_what_it_holds(single):
    extra = put(single.models_dir / "clip/1/extra/deep/f", b"mine")
    for folder in (extra.parent, extra.parent.parent):
        folder.chmod(0o555)
    assert as_ordinary_user(single, "download(Project(settings)).downloaded") == "('clip/1',)\n"
    assert extra.read_bytes() == b"mine"
    assert [folder.stat().st_mode & 0o777 for folder in (extra.parent, extra.parent.parent)] == [0o555, 0o555]
    assert (single.models_dir / "clip/1/model.onnx").read_bytes() == WEIGHTS
    assert not (single.store_dir / "replaced").exists()


def test_prune_frees_a_read_only_folder(single):
    put(single.store_dir / "replaced/then/triton/clip/1/f", b"mine").parent.chmod(0o555)
    assert (
        as_ordinary_user(
            single, "len(delete_unreferenced(Project(settings), find_unreferenced(Project(settings))).files)"
        )
        == "1\n"
    )
    assert not (single.store_dir / "replaced").exists()


def test_prune_deletes_the_rest_where_a_file_cannot_be_deleted(single, monkeypatch):
    files = [put(single.store_dir / f"replaced/then/{name}", b"mine") for name in ("a", "b", "c")]
    unlink = type(files[0]).unlink

    def immutable(path, **options):
        if path.name == "b":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        unlink(path, **options)

    monkeypatch.setattr(type(files[0]), "unlink", immutable)
    with pytest.raises(PartialFailureError, match="1 of 3 files could not be deleted") as caught:
        delete_unreferenced(Project(single), find_unreferenced(Project(single)))
    assert caught.value.failures == {"replaced/then/b": "Operation not permitted"}
    assert [file.exists() for file in files] == [False, True, False]


def test_where_links_are_not_possible_nothing_is_lost_either(folder, nothing_is_lost, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    download(Project(folder))
    assert download(Project(folder)).skipped == ("big/1",)
    put(folder.models_dir / "big/1/model.onnx/model.onnx", b"edited")
    put(folder.models_dir / "big/1/labels.txt", b"cat")
    nothing_is_lost(
        folder, lambda: download(Project(folder), overwrite=True), vanished=("triton/big/1/model.onnx/model.onnx",)
    )


def test_a_run_that_was_killed_while_it_replaced_a_version_loses_nothing(single, nothing_is_lost):
    put(single.project / ".store/staging/clip/replaced/labels.txt", b"mine")
    download(Project(single))
    assert kept(single) == {".store/staging/clip/replaced/labels.txt": b"mine"}


def test_further_files_come_back_where_a_run_was_killed_between_its_two_renames(folder):
    download(Project(folder))
    version = folder.models_dir / "big/1"
    put(version / "labels.txt", b"cat")
    put(version / "more/deep", b"deep")
    staged = folder.project / ".store/staging/big/1"
    staged.parent.mkdir(parents=True, exist_ok=True)
    version.rename(staged)
    download(Project(folder))
    assert (version / "labels.txt").read_bytes() == b"cat"
    assert (version / "more/deep").read_bytes() == b"deep"
    assert download(Project(folder)).skipped == ("big/1",)


# Links


def test_a_model_that_is_a_link_is_not_written_through(single, tmp_path, nothing_is_lost):
    put(tmp_path / "elsewhere/1/model.onnx", b"older")
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(tmp_path / "elsewhere")
    for options in ({}, {"overwrite": True}, {"verify": True}):
        result = nothing_is_lost(single, lambda options=options: download(Project(single), **options), vanished=())
        assert "symbolic link" in result.failed[0].error
    assert (tmp_path / "elsewhere/1/model.onnx").read_bytes() == b"older"
    assert [path.name for path in (tmp_path / "elsewhere").rglob("*")] == ["1", "model.onnx"]


@pytest.mark.parametrize("target", ["nowhere", "elsewhere"])
def test_a_model_that_is_a_link_to_nothing_or_to_an_empty_folder_is_not_written_through(single, tmp_path, target):
    (tmp_path / "elsewhere").mkdir()
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(tmp_path / target)
    assert "symbolic link" in download(Project(single), overwrite=True).failed[0].error
    assert [path.name for path in tmp_path.rglob("model.onnx")] == []


def test_a_link_to_a_folder_with_the_same_bytes_is_up_to_date(single, tmp_path):
    put(tmp_path / "elsewhere/1/model.onnx", WEIGHTS)
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(tmp_path / "elsewhere")
    assert download(Project(single)).skipped == ("clip/1",)
    assert (single.models_dir / "clip").is_symlink()


@pytest.mark.parametrize(("kind", "link"), [("single", "clip"), ("single", "clip/1"), ("folder", "big/1/model.onnx")])
def test_what_lies_behind_a_link_is_copied_into_the_store_and_stays_as_it_is(request, tmp_path, kind, link):
    settings = request.getfixturevalue(kind)
    files = {"single": {"model.onnx": WEIGHTS}, "folder": {"model.onnx": WEIGHTS, "c.json": b"{}"}}[kind]
    target = tmp_path / "elsewhere"
    for name, content in {**files, **({"data/weights.bin": b"0" * 1000} if kind == "folder" else {})}.items():
        put((target / "1" if link == "clip" else target) / name, content)
    (settings.models_dir / link).parent.mkdir(parents=True, exist_ok=True)
    (settings.models_dir / link).symlink_to(target)
    before = {path: (path.stat().st_mode, path.stat().st_nlink) for path in target.rglob("*")}
    assert len(download(Project(settings)).skipped) == 1
    assert {path: (path.stat().st_mode, path.stat().st_nlink) for path in target.rglob("*")} == before
    assert Store(settings.store_dir).has(hashlib.sha256(WEIGHTS).hexdigest())


@pytest.mark.parametrize("link", ["clip/1", "clip/1/model.onnx"])
def test_a_link_in_the_place_of_a_version_or_a_file_is_moved_away_and_its_target_stays(
    single, tmp_path, nothing_is_lost, link
):
    target = put(tmp_path / "elsewhere/model.onnx", b"older")
    (single.models_dir / link).parent.mkdir(parents=True)
    (single.models_dir / link).symlink_to(target.parent if link == "clip/1" else target)
    assert "--overwrite" in nothing_is_lost(single, lambda: download(Project(single)), vanished=()).failed[0].error
    result = nothing_is_lost(single, lambda: download(Project(single), overwrite=True), vanished=(f"triton/{link}",))
    assert result.downloaded == ("clip/1",)
    assert target.read_bytes() == b"older"


@pytest.mark.parametrize("folder_name", ["partial", "staging", "replaced", "configs"])
def test_a_link_in_the_place_of_a_folder_of_the_store_is_refused(single, tmp_path, folder_name):
    precious = put(tmp_path / "precious/clip/1/model.onnx", b"mine")
    (single.project / ".store").mkdir()
    (single.project / ".store" / folder_name).symlink_to(tmp_path / "precious")
    put(single.models_dir / "clip", b"a file") if folder_name == "replaced" else None
    with pytest.raises(TritonOpsError, match="is a symbolic link"):
        raise_unless_done(download(Project(single), overwrite=True))
    assert precious.read_bytes() == b"mine"
    assert len([path for path in (tmp_path / "precious").rglob("*") if path.is_file()]) == 1


def test_a_partial_file_that_is_a_link_is_not_written_through(single, tmp_path):
    lock_models(Project(single))
    sha256 = next(iter(load_shas(single)))
    precious = put(tmp_path / "precious", b"mine")
    (single.store_dir / "partial").mkdir(parents=True, exist_ok=True)
    (single.store_dir / "partial" / sha256).symlink_to(precious)
    assert download(Project(single)).downloaded == ("clip/1",)
    assert precious.read_bytes() == b"mine"


def load_shas(settings):
    from tritonops.models.catalog.lockfile import load_lock

    return [file.sha256 for pin in load_lock(settings.lock_path).values() for file in pin.files]


def test_enabling_onto_something_replaces_nothing(single, tmp_path, nothing_is_lost):
    put(tmp_path / "elsewhere/1/model.onnx", WEIGHTS)
    Repository(single.models_dir).disabled.mkdir()
    (Repository(single.models_dir).disabled / "clip").symlink_to(tmp_path / "elsewhere")
    put(single.models_dir / "clip", b"a file")
    with pytest.raises(RepositoryError, match="exists, and is no folder"):
        nothing_is_lost(single, lambda: Repository(single.models_dir).enable("clip"), vanished=())


def test_a_relative_link_that_would_lead_nowhere_is_not_moved(single, nothing_is_lost):
    put(single.models_dir / "real/1/model.onnx", WEIGHTS)
    (single.models_dir / "clip").symlink_to("real")
    with pytest.raises(RepositoryError, match="lead nowhere"):
        nothing_is_lost(single, lambda: Repository(single.models_dir).disable("clip"), vanished=())


# The store


@pytest.mark.parametrize("plant", ["other bytes", "a link to the right bytes", "a folder", "a pipe"])
def test_a_planted_file_of_the_store_is_not_served(single, tmp_path, plant):
    lock_models(Project(single))
    blob = single.store_dir / load_shas(single)[0]
    if plant == "other bytes":
        put(blob, b"THE WEIGHTS")
    elif plant == "a folder":
        put(blob / "file", b"mine")
    elif plant == "a pipe":
        os.mkfifo(blob)
    else:
        blob.symlink_to(put(tmp_path / "mine", WEIGHTS))
    assert download(Project(single)).downloaded == ("clip/1",)
    served = single.models_dir / "clip/1/model.onnx"
    assert (served.read_bytes(), served.is_symlink()) == (WEIGHTS, False)
    assert served.samefile(blob)
    assert len(list((single.store_dir / "replaced").iterdir())) == 1


def test_a_file_of_the_store_that_was_damaged_with_its_size_and_time_kept_is_not_served(single):
    download(Project(single))
    blob = single.store_dir / load_shas(single)[0]
    shutil.rmtree(single.models_dir / "clip")
    stat = blob.stat()
    blob.chmod(0o644)
    blob.write_bytes(b"THE WEIGHTS")
    os.utime(blob, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert download(Project(single)).downloaded == ("clip/1",)
    assert (single.models_dir / "clip/1/model.onnx").read_bytes() == WEIGHTS


# Configs


CONFIG = 'backend: "onnxruntime"\noutput { name: "y" data_type: TYPE_FP32 dims: 1 label_filename: "labels.txt" }\n'


@pytest.fixture
def configured(single):
    put(single.config_dir / "clip/gpu.pbtxt", CONFIG.encode())
    put(single.config_dir / "clip/labels.txt", b"cat\ndog\n")
    download(Project(single))
    return single


def configure(settings, *, overwrite=False):
    outcomes = copy_configs(Project(settings), variant="gpu", overwrite=overwrite)
    return [outcome.state for outcome in outcomes]


def test_a_config_written_by_hand_is_kept(configured, nothing_is_lost):
    put(configured.models_dir / "clip/config.pbtxt", b"# mine")
    assert nothing_is_lost(configured, lambda: configure(configured), vanished=()) == ["differs"]
    lost = ("triton/clip/config.pbtxt",)
    assert nothing_is_lost(configured, lambda: configure(configured, overwrite=True), vanished=lost) == ["replaced"]


def test_labels_written_by_hand_are_kept_and_replaced_only_with_overwrite(configured, nothing_is_lost):
    put(configured.models_dir / "clip/labels.txt", b"my cat")
    assert nothing_is_lost(configured, lambda: configure(configured), vanished=()) == ["differs"]
    lost = ("triton/clip/labels.txt",)
    nothing_is_lost(configured, lambda: configure(configured, overwrite=True), vanished=lost)
    assert (configured.models_dir / "clip/labels.txt").read_bytes() == b"cat\ndog\n"


def test_what_the_command_wrote_itself_is_replaced_without_a_copy(configured):
    configure(configured)
    put(configured.config_dir / "clip/gpu.pbtxt", CONFIG.encode() + b"# newer\n")
    put(configured.config_dir / "clip/labels.txt", b"cow\n")
    assert configure(configured, overwrite=True) == ["replaced"]
    Repository(configured.models_dir).disable("clip")
    put(configured.config_dir / "clip/gpu.pbtxt", CONFIG.encode())
    assert configure(configured, overwrite=True) == ["replaced"]
    assert not (configured.store_dir / "replaced").exists()


def test_a_config_that_waits_and_was_edited_is_kept(single, nothing_is_lost):
    put(single.config_dir / "clip/gpu.pbtxt", b'backend: "onnxruntime"\n')
    configure(single)
    waiting = put(Repository(single.models_dir).pending_config("clip"), b"# mine")
    assert configure(single) == ["replaced"]
    assert kept(single) == {".store/configs/clip/config.pbtxt": b"# mine"}
    assert waiting.read_text() == 'backend: "onnxruntime"\n'


def test_a_config_that_is_a_link_is_moved_away_and_its_target_stays(configured, tmp_path, nothing_is_lost):
    target = put(tmp_path / "shared.pbtxt", b"# shared")
    (configured.models_dir / "clip/config.pbtxt").symlink_to(target)
    lost = ("triton/clip/config.pbtxt",)
    nothing_is_lost(configured, lambda: configure(configured, overwrite=True), vanished=lost)
    assert target.read_bytes() == b"# shared"


def test_the_config_of_a_model_that_is_a_link_is_not_written_through(single, tmp_path, nothing_is_lost):
    put(single.config_dir / "clip/gpu.pbtxt", b'backend: "onnxruntime"\n')
    (tmp_path / "elsewhere/1").mkdir(parents=True)
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(tmp_path / "elsewhere")
    assert nothing_is_lost(single, lambda: configure(single, overwrite=True), vanished=()) == ["failed"]
    assert not (tmp_path / "elsewhere/config.pbtxt").exists()


# Removing and pruning


def test_removing_a_whole_model_keeps_its_configs_and_further_files(configured):
    put(configured.models_dir / "clip/config.pbtxt", b"# mine")
    put(configured.models_dir / "clip/1/labels.txt", b"mine")
    before = tree(configured)
    remove(configured)
    assert tree(configured) == {}
    del before["triton/clip/1/model.onnx"]
    assert kept(configured) == before
    assert Store(configured.store_dir).has(next(configured.store_dir.glob("?" * 64)).name)


def remove(settings, **options):
    remove_model(
        Project(settings), plan_removal(Project(settings), "clip", **{"version": None, "files": True, **options})
    )


def test_removing_one_version_keeps_what_was_not_downloaded(configured):
    put(configured.models_dir / "clip/1/labels.txt", b"mine")
    put(configured.models_dir / "clip/7/model.plan", b"mine")
    remove(configured)
    assert kept(configured) == {
        "triton/clip/1/labels.txt": b"mine",
    }


def test_removing_a_model_that_is_a_link_keeps_its_target(single, tmp_path, nothing_is_lost):
    put(tmp_path / "elsewhere/1/model.onnx", WEIGHTS)
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(tmp_path / "elsewhere")
    nothing_is_lost(single, lambda: remove(single), vanished=("triton/clip",))
    assert (tmp_path / "elsewhere/1/model.onnx").read_bytes() == WEIGHTS


@pytest.mark.parametrize("target", ["nowhere", "clip"])
def test_removing_a_model_that_is_a_link_to_nothing_takes_the_link_away(single, nothing_is_lost, target):
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(target)
    nothing_is_lost(single, lambda: remove(single), vanished=("triton/clip",))


def test_removing_one_version_of_a_model_that_is_a_link_is_refused(single, tmp_path, nothing_is_lost):
    put(tmp_path / "elsewhere/1/model.onnx", WEIGHTS)
    put(tmp_path / "elsewhere/2/model.onnx", WEIGHTS)
    single.models_dir.mkdir()
    (single.models_dir / "clip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RepositoryError, match="symbolic link"):
        nothing_is_lost(single, lambda: remove(single, version=1), vanished=())
    assert load_catalog(single.models_toml).names


def test_prune_shows_and_frees_what_was_replaced(single):
    put(single.models_dir / "clip/1/model.onnx", b"older")
    download(Project(single), overwrite=True)
    put(single.store_dir / "removed-abc/clip/1/labels.txt", b"mine")
    found = find_unreferenced(Project(single))
    assert [found.displayed_name(file).rpartition("Z/")[2] for file in found.files] == [
        "triton/clip/1/model.onnx",
        "removed-abc/clip/1/labels.txt",
    ]
    assert found.bytes > 0
    assert delete_unreferenced(Project(single), found) == found
    assert not (single.store_dir / "replaced").exists()
    assert not (single.store_dir / "removed-abc").exists()
    assert download(Project(single)).skipped == ("clip/1",)


def test_prune_keeps_what_a_killed_run_had_moved_to_the_staging_folder(single):
    put(single.store_dir / "staging/clip/replaced/labels.txt", b"mine")
    found = find_unreferenced(Project(single))
    assert [found.displayed_name(file).rpartition("Z/")[2] for file in found.files] == [
        ".store/staging/clip/replaced/labels.txt"
    ]
    assert [file.read_bytes() for file in found.files] == [b"mine"]


def test_two_commands_of_one_second_keep_both_files(single, tmp_path):
    for content in (b"first", b"second"):
        place = put(single.models_dir / "clip/1/model.onnx", content)
        download(Project(single), overwrite=True)
        assert place.read_bytes() == WEIGHTS
    found = [path.read_bytes() for path in (single.store_dir / "replaced").rglob("*") if path.is_file()]
    assert sorted(found) == [b"first", b"second"]
