"""The exclude file: who comes on it, who comes off, and that a shell reads what was written."""

import os
import subprocess
import threading

import pytest

from tests.onnx_models import affine, write_model
from tritonops.errors import RepositoryError
from tritonops.triton.startup.exclude_file import ExcludeFile


@pytest.fixture
def models_dir(tmp_path):
    for name in ("a", "b"):
        write_model(tmp_path / "triton", name, {1: affine(2)})
    return tmp_path / "triton"


@pytest.fixture
def exclude(models_dir):
    return ExcludeFile(models_dir)


def test_without_a_reason_there_is_no_file_and_no_lock(exclude):
    assert exclude.refresh() == {}
    exclude.discard("a")
    assert not exclude.path.exists()
    assert not exclude.models_dir.with_name(".store").exists()


def test_a_model_that_hung_stays_until_its_files_change(exclude, models_dir):
    exclude.add({"a": "still loading"})
    assert exclude.refresh() == {"a": "still loading"}
    (models_dir / "b" / "1" / "more").write_text("another model's file")
    assert exclude.refresh() == {"a": "still loading"}
    (models_dir / "a" / "1" / "more").write_text("its own")
    assert exclude.refresh() == {}
    assert not exclude.path.exists()


@pytest.mark.parametrize("change", ["config", "removed"])
def test_a_config_that_changed_and_a_model_that_went_count_too(exclude, models_dir, change):
    exclude.add({"a": "still loading"})
    if change == "config":
        with (models_dir / "a" / "config.pbtxt").open("a") as config:
            config.write("max_batch_size: 0\n")
    else:
        (models_dir / "a").rename(models_dir.with_name("elsewhere"))
    assert exclude.refresh() == {}


def test_what_is_only_a_suspicion_and_what_is_found_on_disk_is_looked_at_again(exclude, models_dir):
    exclude.add({"a": "one of two"}, is_certain=False)
    (models_dir / "b" / "99999999999999999999").mkdir()
    assert exclude.refresh().keys() == {"b"}
    (models_dir / "b" / "99999999999999999999").rmdir()
    assert exclude.refresh(lambda name: "a link" if name == "a" else None) == {"a": "a link"}


def test_the_file_says_what_it_is_can_be_read_by_everybody_and_gives_a_shell_the_names(exclude):
    old = os.umask(0o077)
    try:
        exclude.add({"a": "it crashed:\n\tterminate called", "b": "b's reason"})
    finally:
        os.umask(old)
    assert exclude.path.stat().st_mode & 0o777 == 0o644
    names = subprocess.run(["cut", "-sf1", exclude.path], capture_output=True, text=True, check=True).stdout
    assert names == "a\nb\n"
    assert exclude.path.read_text().startswith("# Models that a container does not load")
    assert exclude.reasons() == {"a": "it crashed: terminate called", "b": "b's reason"}


def test_of_many_that_are_taken_off_at_once_none_comes_back(exclude):
    """Each is what a load of its own does."""
    names = [f"model{number}" for number in range(30)]
    exclude.add(dict.fromkeys([*names, "a"], "hung"))
    threads = [threading.Thread(target=exclude.discard, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exclude.reasons() == {"a": "hung"}


def test_a_name_that_the_file_cannot_hold_is_an_error(exclude, models_dir):
    with pytest.raises(RepositoryError, match=r"one\\nof two': hung"):
        exclude.add({"one\nof two": "hung"})


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_for(exclude, models_dir):
    models_dir.with_name(".store").write_text("in the way")
    with pytest.raises(RepositoryError, match=r"cannot write .*/\.exclude, which keeps a model from hanging"):
        exclude.add({"a": "hung"})
