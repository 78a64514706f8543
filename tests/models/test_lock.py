"""models.lock: what is pinned, what stays pinned, and what the file looks like."""

import tomllib

import pytest

from tests.models.catalogs import files_below, one_file, one_folder, write
from tritonops.errors import InputError, PartialFailureError, StaleLockError, UnknownModelError
from tritonops.models.catalog.lockfile import is_inside, load_lock
from tritonops.models.download import download
from tritonops.models.lock import compare_lock, lock_models
from tritonops.project import Project


@pytest.fixture
def two(hub, project):
    hub.push("team/a", {"onnx/model.onnx": b"a weights", "onnx/b.bin": b"more"}, small={"onnx/config.json": b"{}"})
    hub.push("team/b", {"model.onnx": b"b weights"})
    return write(project, one_file("b", "team/b"), one_folder("a", "team/a"))


def test_locking_pins_every_file_and_fetches_only_what_has_no_sha256(hub, two):
    assert lock_models(Project(two)).locked == ("b/1", "a/1")
    pins = load_lock(two.lock_path)
    assert [file.path for file in pins["a/1"].files] == [
        "model.onnx/b.bin",
        "model.onnx/config.json",
        "model.onnx/model.onnx",
    ]
    assert len(hub.requests("/cdn/")) == 0
    assert not two.models_dir.exists()


def test_the_lock_has_one_sorted_line_a_file(two):
    lock_models(Project(two))
    lines = [line for line in two.lock_path.read_text().splitlines() if "sha256" in line]
    assert [line.split('"')[1] for line in lines] == [
        "model.onnx/b.bin",
        "model.onnx/config.json",
        "model.onnx/model.onnx",
        "model.onnx",
    ]
    assert tomllib.loads(two.lock_path.read_text())["models"].keys() == {"a", "b"}


def test_a_download_writes_the_lock_that_locking_would_have_written(two):
    lock_models(Project(two))
    locked = two.lock_path.read_text()
    two.lock_path.unlink()
    download(Project(two))
    assert two.lock_path.read_text() == locked


def test_a_download_with_the_lock_brings_what_was_locked(hub, two):
    lock_models(Project(two))
    hub.push("team/b", {"model.onnx": b"newer"})
    assert download(Project(two)).failed == ()
    assert files_below(two.models_dir)["b/1/model.onnx"] == b"b weights"


def test_an_edit_elsewhere_in_models_toml_keeps_the_pin(hub, two):
    lock_models(Project(two))
    pin = load_lock(two.lock_path)["b/1"]
    hub.push("team/b", {"model.onnx": b"newer"})
    write(two, one_file("b", "team/b"), one_file("b", "team/b", version=2))
    assert lock_models(Project(two)).locked == ("b/2",)
    pins = load_lock(two.lock_path)
    assert pins["b/1"] == pin
    assert pins.keys() == {"b/1", "b/2"}
    assert pins["b/2"].commit != pin.commit


def test_include_pins_one_model_again(hub, two):
    lock_models(Project(two))
    commits = {label: pin.commit for label, pin in load_lock(two.lock_path).items()}
    hub.push("team/a", {"onnx/model.onnx": b"a newer"})
    newer = hub.push("team/b", {"model.onnx": b"b newer"})
    assert lock_models(Project(two), include=["b"]).locked == ("b/1",)
    assert {label: pin.commit for label, pin in load_lock(two.lock_path).items()} == commits | {"b/1": newer}


def test_an_edited_source_is_resolved_again(hub, two):
    lock_models(Project(two))
    hub.push("team/c", {"model.onnx": b"c weights"})
    write(two, one_file("b", "team/c"))
    with pytest.raises(StaleLockError, match=r"b/1: models.toml asks for hf:team/c@main") as caught:
        compare_lock(Project(two)).raise_if_different()
    assert "a/1: is locked, but models.toml does not have it" in str(caught.value)
    assert lock_models(Project(two)).locked == ("b/1",)
    compare_lock(Project(two)).raise_if_different()


def test_check_names_what_is_not_locked(two):
    with pytest.raises(StaleLockError, match="a/1: is not locked") as caught:
        compare_lock(Project(two)).raise_if_different()
    assert caught.value.exit_code == 4
    lock_models(Project(two))
    compare_lock(Project(two)).raise_if_different()


def test_what_cannot_be_resolved_is_named_and_the_rest_is_pinned(two):
    write(two, one_file("b", "team/b"), one_file("lost", "team/b", "lost.onnx"))
    with pytest.raises(PartialFailureError, match=r"lost/1: .*has no file 'lost.onnx'"):
        lock_models(Project(two))
    assert load_lock(two.lock_path).keys() == {"b/1"}


def test_an_unknown_name_is_refused(two):
    with pytest.raises(UnknownModelError):
        lock_models(Project(two), include=["c"])


def test_names_that_toml_has_to_quote_come_back(hub, project):
    hub.push("team/b", {"model.onnx": b"b weights"})
    entry = one_file("x", "team/b").replace("models.x", 'models."naïve \\"3.0\\""')
    lock_models(Project(write(project, entry)))
    assert load_lock(project.lock_path).keys() == {'naïve "3.0"/1'}


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< ours\n[models.a.1]\n",
        '[models.a.1]\nsource = "x"\n',
        '[models.a.1]\nsource = "x"\nfiles = []\n',
        '[models.a.1]\nsource = "x"\nfiles = [{ path = "../../x", size = 1, sha256 = "%s" }]\n' % ("0" * 64),
        '[models.a.1]\nsource = "x"\nfiles = [{ path = "x", size = 1, sha256 = "../x" }]\n',
        '[models.a.one]\nsource = "x"\nfiles = [{ path = "x", size = 1, sha256 = "%s" }]\n' % ("0" * 64),
        'models = "all"\n',
        "[[models]]\n",
        "[models.a.1]\nfiles = [1]\n",
    ],
)
def test_a_lock_that_is_none_is_refused_with_what_to_do(two, text):
    two.lock_path.write_text(text)
    with pytest.raises(InputError, match=r"models\.lock") as caught:
        download(Project(two))
    assert "Error" not in str(caught.value)


@pytest.mark.parametrize(("label", "path"), [("b/1", "other.onnx"), ("a/1", "other/model.onnx"), ("a/1", "model.onnx")])
def test_a_pin_with_files_that_triton_would_not_find_counts_as_none(two, label, path):
    lock_models(Project(two))
    text = two.lock_path.read_text()
    name = "model.onnx" if label == "b/1" else "model.onnx/model.onnx"
    assert text.count(f'"{name}"') == 1
    two.lock_path.write_text(text.replace(f'"{name}"', f'"{path}"'))
    with pytest.raises(StaleLockError) as caught:
        compare_lock(Project(two)).raise_if_different()
    assert f"{label}: the lock has other files than model.onnx" in str(caught.value)
    assert label in download(Project(two)).downloaded
    assert two.lock_path.read_text() == text


@pytest.mark.parametrize("path", ["", ".", "..", "a/../b", "/a", "a//b", "./a", "a/", "a\\b", "a\x1b[2Jb", "a\nb"])
def test_a_path_that_leaves_its_folder_or_steers_a_terminal_is_not_inside(path):
    assert not is_inside(path)


@pytest.mark.parametrize("path", ["a", "a/b/c", ".a", "a..b", "...", "é/ü.onnx", "a b/c"])
def test_any_other_path_is_inside(path):
    assert is_inside(path)
