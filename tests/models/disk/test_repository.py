import multiprocessing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tritonops.errors import InputError, RepositoryError, UnknownModelError
from tritonops.models.disk.repository import Repository


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "triton").mkdir()
    return Repository(tmp_path / "triton")


def add(folder: Path, *versions: str) -> None:
    for version in versions:
        (folder / version).mkdir(parents=True)
        (folder / version / "model.onnx").write_text(version)


def tree(folder: Path) -> set[str]:
    """List the files below `folder`, and the folders that are empty."""
    below = [path for path in folder.rglob("*") if path.is_file() or not any(path.iterdir())]
    return {str(path.relative_to(folder)) for path in below}


def test_a_repository_that_is_not_there_yet_has_no_models(tmp_path):
    repository = Repository(tmp_path / "deep" / "triton")
    assert repository.names() == ()
    assert repository.home("clip") is None
    assert repository.versions("clip") == ()


def test_models_and_versions_are_found_where_they_live(repository):
    add(repository.root / "b", "10", "9", "01", "0", "new", "1.0")
    add(repository.disabled / "a", "1")
    (repository.root / ".gitkeep").touch()
    assert (repository.enabled_names(), repository.disabled_names(), repository.names()) == (("b",), ("a",), ("a", "b"))
    assert repository.versions("b") == (9, 10)
    assert repository.home("a") == repository.disabled / "a"
    assert repository.version_dir("a", 2) == repository.disabled / "a" / "2"
    assert repository.version_dir("new", 2) == repository.root / "new" / "2"


@pytest.mark.parametrize("name", ["", ".", "..", "../triton/clip", "clip/1", "/tmp"])
def test_what_is_no_plain_name_has_no_home(repository, name):
    add(repository.root / "clip", "1")
    assert repository.home(name) is None


def test_disable_and_enable_move_a_model_with_all_it_has(repository):
    add(repository.root / "clip", "1", "2")
    assert repository.disable("clip") == repository.disabled / "clip"
    assert (repository.enabled_names(), repository.disabled_names()) == ((), ("clip",))
    assert repository.enable("clip") == repository.root / "clip"
    assert repository.versions("clip") == (1, 2)


@pytest.mark.parametrize(("verb", "place"), [("enable", "root"), ("disable", "disabled")])
def test_a_model_that_is_there_already_is_an_error_and_nothing_moves(repository, verb, place):
    add(getattr(repository, place) / "clip", "1")
    before = tree(repository.root.parent)
    with pytest.raises(InputError, match=f"clip is {verb}d already"):
        getattr(repository, verb)("clip")
    assert tree(repository.root.parent) - {".store/repository.lock"} == before


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_a_model_in_both_places_is_an_error_that_names_both_and_nothing_moves(repository, verb):
    add(repository.root / "clip", "1")
    add(repository.disabled / "clip", "2")
    with pytest.raises(RepositoryError, match="clip is in two places") as caught:
        getattr(repository, verb)("clip")
    assert str(repository.disabled) in str(caught.value)
    assert tree(repository.root) | tree(repository.disabled) == {"clip/1/model.onnx", "clip/2/model.onnx"}


@pytest.mark.parametrize("name", ["clop", "", ".", "..", "../triton/clip", "clip/1"])
def test_a_name_that_is_no_model_moves_nothing(repository, name):
    add(repository.root / "clip", "1")
    with pytest.raises(UnknownModelError):
        repository.disable(name)
    assert tree(repository.root) == {"clip/1/model.onnx"}


def test_a_mount_point_is_refused_with_that_reason():
    with pytest.raises(RepositoryError, match="/proc is a mount point") as caught:
        Repository(Path("/proc")).enable("clip")
    assert "Mount its parent" in (caught.value.hint or "")


def test_the_config_of_a_model_that_is_not_there_waits_beside_the_repository(repository):
    waiting = repository.write_config("clip", "a")
    assert waiting == repository.pending_config("clip")
    assert tree(repository.root.parent) == {
        "triton",
        ".store/repository.lock",
        ".store/written.json",
        ".store/configs/clip/config.pbtxt",
    }


def test_a_waiting_config_goes_into_the_folder_that_becomes_the_model(repository, tmp_path):
    repository.write_config("clip", "a")
    add(tmp_path / "new", "1")
    for _ in range(2):
        repository.copy_pending_config("clip", tmp_path / "new")
        assert tree(tmp_path / "new") == {"1/model.onnx", "config.pbtxt"}
        repository.drop_pending_config("clip")
    assert tree(tmp_path / ".store") == {"repository.lock", "written.json", "configs"}


def test_a_config_is_written_where_the_model_lives(repository):
    add(repository.disabled / "clip", "1")
    assert repository.write_config("clip", "a") == repository.disabled / "clip" / "config.pbtxt"
    assert repository.write_config("clip", "b").read_text() == "b"
    assert tree(repository.disabled) == {"clip/1/model.onnx", "clip/config.pbtxt"}


def test_a_sibling_on_another_filesystem_is_an_error_that_says_so_and_nothing_moves(repository):
    if not Path("/dev/shm").is_mount():
        pytest.skip("this machine has no /dev/shm")
    add(repository.root / "clip", "1")
    with TemporaryDirectory(dir="/dev/shm") as elsewhere:
        repository.disabled.symlink_to(elsewhere)
        with pytest.raises(RepositoryError) as caught:
            repository.disable("clip")
    assert "have to be on one filesystem" in (caught.value.hint or "")
    assert tree(repository.root) == {"clip/1/model.onnx"}


def _move_often(root: Path, verb: str, rounds: int) -> None:
    repository = Repository(root)
    for _ in range(rounds):
        try:
            getattr(repository, verb)("clip")
        except InputError:
            continue


def test_two_processes_that_move_one_model_leave_it_in_one_place(repository):
    add(repository.root / "clip", "1")
    spawn = multiprocessing.get_context("spawn")
    movers = [spawn.Process(target=_move_often, args=(repository.root, verb, 200)) for verb in ("enable", "disable")]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(60)
    assert [mover.exitcode for mover in movers] == [0, 0]
    assert repository.home("clip") is not None
    assert repository.versions("clip") == (1,)


def test_an_edit_of_somebodys_config_leaves_it_theirs(repository):
    add(repository.root / "clip", "1")
    config = repository.root / "clip/config.pbtxt"
    config.write_text("# mine")
    repository.write_config("clip", "# mine\nversion_policy", keeps_text=True)
    assert not (repository.work_dir / "replaced").exists()
    repository.write_config("clip", "other")
    assert [path.read_text() for path in (repository.work_dir / "replaced").rglob("config.pbtxt")] == [
        "# mine\nversion_policy"
    ]


@pytest.mark.parametrize("was_ours", [True, False])
def test_a_config_that_comes_back_is_whose_it_was(repository, was_ours):
    add(repository.root / "clip", "1")
    repository.write_config("clip", "first")
    repository.write_config("clip", "second")
    repository.write_config("clip", "first", is_ours=was_ours)
    repository.write_config("clip", "third")
    assert (repository.work_dir / "replaced").exists() is not was_ours
