"""Changes made at once: no edit that was reported done is lost, and nothing that was removed comes back."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.models.catalogs import files_below, one_file, one_folder, read_only, write
from tests.onnx_models import affine
from tritonops.errors import CatalogError, PartialFailureError, RepositoryError, TritonOpsError, UnknownModelError
from tritonops.file_lock import locked
from tritonops.models.add import add_model
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.config import copy_configs
from tritonops.models.disk.repository import Repository
from tritonops.models.download import download
from tritonops.models.generate_config import generate_configs
from tritonops.models.graphs.onnx_graph import read_graph
from tritonops.models.lock import lock_models
from tritonops.models.remove import plan_removal, remove_model
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project


class Meanwhile(Progress):
    """Does something once, when the first file has come."""

    def __init__(self, action):
        self.action = action

    def arrived(self, transfer):
        action, self.action = self.action, lambda: None
        action()


class Warnings(Progress):
    def __init__(self):
        self.messages = []

    def warned(self, message):
        self.messages.append(message)


def remove(project, name, *, version=None, files=True):
    remove_model(Project(project), plan_removal(Project(project), name, version=version, files=files))


@pytest.fixture
def two(hub, project):
    hub.push("team/a", {"model.onnx": b"a weights"})
    hub.push("team/b", {"onnx/model.onnx": b"b weights"}, small={"onnx/config.json": b"{}"})
    return write(project, one_file("a", "team/a"), one_folder("b", "team/b"))


def labels(project):
    return {entry.label for entry in load_catalog(project.models_toml).versions}


def test_additions_at_once_all_stay(hub, project):
    write(project, "# The models.\n")
    hub.push("team/a", {"model.onnx": affine(2.0).SerializeToString()})
    values = {"repo_id": "team/a", "model_path": "model.onnx"}

    def add(number):
        return add_model(Project(project), f"m{number % 4}", values, variant="cpu").entry.label

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(add, range(8)))
    assert sorted(added) == [f"m{model}/{version}" for model in range(4) for version in (1, 2)]
    assert labels(project) == load_lock(project.lock_path).keys() == {*added}
    assert files_below(project.models_dir).keys() >= {f"{label}/model.onnx" for label in added}
    assert project.models_toml.read_text().startswith("# The models.\n")


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_is_removed_during_its_download_does_not_come_back(two, name):
    result = download(Project(two), progress=Meanwhile(lambda: remove(two, name)), max_connections=1)
    other = "b" if name == "a" else "a"
    assert [failure.model for failure in result.failed] == [f"{name}/1"]
    assert "removed from models.toml meanwhile" in result.failed[0].error
    assert result.downloaded == (f"{other}/1",)
    assert labels(two) == load_lock(two.lock_path).keys() == {f"{other}/1"}
    assert {path.split("/")[0] for path in files_below(two.models_dir)} == {other}
    kept = {file.sha256 for file in load_lock(two.lock_path)[f"{other}/1"].files}
    assert {path.name for path in two.store_dir.glob("?" * 64)} == kept


def test_a_source_that_is_edited_during_its_download_is_not_installed(hub, two):
    hub.push("team/c", {"model.onnx": b"c weights"})
    edited = two.models_toml.read_text().replace("team/a", "team/c")
    result = download(Project(two), progress=Meanwhile(lambda: two.models_toml.write_text(edited)), max_connections=1)
    assert "models.toml was changed meanwhile: models.toml asks for hf:team/c@main" in result.failed[0].error
    assert download(Project(two)).downloaded == ("a/1",)
    assert files_below(two.models_dir)["a/1/model.onnx"] == b"c weights"


def test_a_pin_that_is_written_by_somebody_else_during_the_download_is_kept(hub, two):
    write(two, one_file("a", "team/a"))
    lock_models(Project(two))
    theirs = two.lock_path.read_text()
    two.lock_path.unlink()
    hub.push("team/a", {"model.onnx": b"a newer"})
    result = download(Project(two), progress=Meanwhile(lambda: two.lock_path.write_text(theirs)))
    assert "models.lock was changed meanwhile" in result.failed[0].error
    assert two.lock_path.read_text() == theirs
    assert download(Project(two)).downloaded == ("a/1",)
    assert files_below(two.models_dir) == {"a/1/model.onnx": b"a weights"}


def test_many_versions_are_installed_in_few_commits_and_those_that_fail_take_no_other_along(hub, project, monkeypatch):
    hub.push("team/same", {"model.onnx": b"same"})
    names = [f"m{number}" for number in range(30)]
    entries = [one_file(name, "team/same", version=version) for name in names for version in (1, 2)]
    write(project, *entries)
    elsewhere = project.project / "elsewhere"
    elsewhere.mkdir()
    (project.models_dir / "m7").mkdir(parents=True)
    (project.models_dir / "m7/2").write_text("somebody's")

    def link_and_edit():
        (project.models_dir / "m3").symlink_to(elsewhere)
        gone = (one_file("m5", "team/same", version=2), one_file("m9", "team/same", version=1))
        write(project, *(entry for entry in entries if entry not in gone))

    commits, changing = [], Repository.changing

    def count(repository):
        commits.append(repository)
        return changing(repository)

    monkeypatch.setattr(Repository, "changing", count)
    result = download(Project(project), progress=Meanwhile(link_and_edit))
    assert {failure.model for failure in result.failed} == {"m3/1", "m3/2", "m5/2", "m7/2", "m9/1"}
    expected = {f"{name}/{version}/model.onnx" for name in names for version in (1, 2)}
    expected -= {f"{failure.model}/model.onnx" for failure in result.failed}
    installed = files_below(project.models_dir)
    assert installed == {**dict.fromkeys(expected, b"same"), "m7/2": b"somebody's"}
    assert {f"{label}/model.onnx" for label in result.downloaded} == expected
    assert list(elsewhere.iterdir()) == list((project.store_dir / "staging").iterdir()) == []
    assert len(commits) <= 6
    assert download(Project(project), include=["m0", "m9"]).failed == ()


def test_edits_of_other_entries_during_a_download_stay(two):
    more = two.models_toml.read_text() + "# by hand\n" + one_file("c", "team/a")
    result = download(Project(two), progress=Meanwhile(lambda: two.models_toml.write_text(more)))
    assert result.failed == ()
    assert two.models_toml.read_text() == more
    assert load_lock(two.lock_path).keys() == {"a/1", "b/1"}


def test_a_version_that_is_removed_while_it_is_locked_is_not_pinned(two):
    with pytest.raises(PartialFailureError, match="b/1: not locked: it was removed from"):
        lock_models(Project(two), progress=Meanwhile(lambda: remove(two, "b")))
    assert load_lock(two.lock_path).keys() == {"a/1"}


def test_models_toml_broken_by_an_editor_during_a_download_is_left_alone(two):
    result_or_error = "[[models.a\n"
    with pytest.raises(CatalogError, match="not valid TOML"):
        download(Project(two), progress=Meanwhile(lambda: two.models_toml.write_text(result_or_error)))
    assert two.models_toml.read_text() == result_or_error


def test_an_editor_that_saves_between_read_and_rename_is_not_overwritten(two):
    commits, saves = Commits(two.models_toml), iter("ab")

    def change(text):
        if letter := next(saves, None):
            two.models_toml.write_text(two.models_toml.read_text() + f"# saved {letter}\n")
        return text + "# changed\n"

    with commits.locked():
        commits.edit_catalog(change)
    assert two.models_toml.read_text().endswith("# saved a\n# saved b\n# changed\n")
    assert sorted(path.name for path in two.project.iterdir()) == [".store", "models.toml"]


def test_a_file_that_is_saved_all_the_time_is_given_up_with_the_reason(two):
    def change(text):
        two.models_toml.write_text(text + "# saved\n")
        return text + "# changed\n"

    commits = Commits(two.models_toml)
    with pytest.raises(TritonOpsError, match="changes all the time"), commits.locked():
        commits.edit_catalog(change)
    assert "# changed" not in two.models_toml.read_text()


def test_a_removal_that_would_take_more_than_it_listed_takes_nothing(hub, two):
    download(Project(two))
    removal = plan_removal(Project(two), "a", version=None, files=True)
    write(two, one_file("a", "team/a"), one_file("a", "team/a", version=2), one_folder("b", "team/b"))
    download(Project(two))
    with pytest.raises(TritonOpsError, match="a was changed on disk meanwhile"):
        remove_model(Project(two), removal)
    assert labels(two) == {"a/1", "a/2", "b/1"}
    assert (two.models_dir / "a/1/model.onnx").exists()


def test_files_that_came_after_a_removal_found_none_are_not_left_behind_without_a_word(two):
    removal = plan_removal(Project(two), "a", version=None, files=True)
    assert removal.folders == ()
    download(Project(two))
    with pytest.raises(TritonOpsError, match="a was changed on disk meanwhile"):
        remove_model(Project(two), removal)
    assert labels(two) == {"a/1", "b/1"}


@pytest.mark.parametrize("files", [True, False])
def test_a_config_that_waits_for_a_model_goes_with_its_entry(two, files):
    repository = Repository(two.models_dir)
    repository.write_config("a", "of a", expected=None)
    repository.write_config("b", "of b", expected=None)
    remove(two, "a", files=files)
    assert not repository.config_path("a").parent.exists()
    assert repository.config_path("b").read_text() == "of b"
    assert not list(two.store_dir.glob("replaced/*/**/config.pbtxt"))


def test_what_was_removed_or_edited_after_it_was_listed_is_not_removed_again(two):
    removal = plan_removal(Project(two), "a", version=None, files=False)
    two.models_toml.write_text(two.models_toml.read_text().replace("team/a", "team/other"))
    with pytest.raises(TritonOpsError, match=r"a/1 was changed in models\.toml meanwhile"):
        remove_model(Project(two), removal)
    write(two, one_folder("b", "team/b"))
    with pytest.raises(TritonOpsError, match="a/1 was removed by somebody else"):
        remove_model(Project(two), removal)
    assert labels(two) == {"b/1"}


def test_a_removal_that_cannot_write_models_toml_leaves_the_folders_where_they_were(two, monkeypatch):
    download(Project(two))
    before = files_below(two.project)
    removal = plan_removal(Project(two), "a", version=None, files=True)

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tritonops.models.catalog.commit.write_text", fail)
    with pytest.raises(TritonOpsError, match=r"cannot write .*models.toml: No space left"):
        remove_model(Project(two), removal)
    assert files_below(two.project) == before


def test_no_config_is_written_for_a_model_that_was_removed_meanwhile(two):
    before = Project(two)
    assert before.catalog.names == ("a", "b")
    for name in ("a", "b"):
        (two.config_dir / name).mkdir(parents=True)
        (two.config_dir / name / "cpu.pbtxt").write_text("max_batch_size: 3\n")
    write(two, one_folder("b", "team/b"))
    outcomes = copy_configs(before, variant="cpu")
    assert [(outcome.name, outcome.state) for outcome in outcomes] == [("a", "failed"), ("b", "written")]
    assert "removed from models.toml meanwhile" in str(outcomes[0].error)
    assert not Repository(two.models_dir).config_path("a").exists()


def test_no_config_is_generated_for_a_model_that_was_removed_meanwhile(hub, two, monkeypatch):
    hub.push("team/a", {"model.onnx": affine().SerializeToString()})
    download(Project(two), include=["a"])

    def read_and_remove(path):
        graph = read_graph(path)
        remove(two, "a")
        return graph

    monkeypatch.setattr("tritonops.models.graphs.examine.read_graph", read_and_remove)
    with pytest.raises(UnknownModelError):
        generate_configs(Project(two), ["a"])
    assert not (two.config_dir / "a").exists()


def test_a_config_that_was_edited_since_it_was_read_is_not_overwritten(two):
    download(Project(two))
    repository = Repository(two.models_dir)
    path = repository.write_config("a", "first", expected=None)
    repository.write_config("a", "second", expected="first")
    for expected in ("first", None):
        with pytest.raises(RepositoryError, match="was changed meanwhile"):
            repository.write_config("a", "third", expected=expected)
    assert path.read_text() == "second"


def test_a_commit_waits_for_another_and_a_long_wait_names_its_owner(two, monkeypatch):
    monkeypatch.setattr("tritonops.models.catalog.commit._QUIET", 0.05)
    told = threading.Event()
    owners = []

    def on_wait(owner):
        owners.append(owner)
        told.set()

    def commit():
        with Commits(two.models_toml, on_wait=on_wait).locked():
            pass

    waiting = threading.Thread(target=commit)
    with Commits(two.models_toml).locked():
        waiting.start()
        assert told.wait(10)
        assert waiting.is_alive()
    waiting.join(10)
    assert owners == [f"process {os.getpid()} on {os.uname().nodename}"]


def test_no_commit_is_locked_while_bytes_come(two):
    free = []

    def try_commit():
        with locked(two.models_toml.parent / ".store" / "commit.lock", on_wait=lambda owner: free.append(owner)):
            pass

    assert download(Project(two), progress=Meanwhile(try_commit)).failed == ()
    assert free == []


@pytest.fixture
def read_only_catalog(two):
    """The project with models.toml in a folder that cannot be written to."""
    folder = two.project / "catalog"
    folder.mkdir()
    two.models_toml.rename(folder / "models.toml")
    with read_only(folder):
        yield replace(two, models_toml=folder / "models.toml")


@pytest.mark.skipif(sys.platform != "linux", reason="a bind mount")
def test_a_read_only_models_toml_is_downloaded_from_and_edits_say_why_they_cannot_be(read_only_catalog, tmp_path):
    progress = Warnings()
    assert sorted(download(Project(read_only_catalog), progress=progress).downloaded) == ["a/1", "b/1"]
    assert {message.rpartition(": ")[2] for message in progress.messages} == {"nothing is pinned"}
    before = files_below(read_only_catalog.project)
    (tmp_path / "x.onnx").write_bytes(affine().SerializeToString())
    with pytest.raises(TritonOpsError, match=r"cannot write .*catalog/models.toml: ") as caught:
        add_model(Project(read_only_catalog), "c", {"path": str(tmp_path / "x.onnx")}, variant="cpu")
    assert "MODELS_TOML" in str(caught.value.hint)
    with pytest.raises(TritonOpsError, match=r"cannot write .*catalog/models.toml: "):
        remove(read_only_catalog, "a")
    after = files_below(read_only_catalog.project)
    assert {path: content for path, content in after.items() if not path.startswith(".store/")} == {
        path: content for path, content in before.items() if not path.startswith(".store/")
    }
