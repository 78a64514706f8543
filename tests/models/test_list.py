import pytest

from tritonops.models.catalog.lockfile import LockedFile, LockedVersion, format_lock
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.models.disk.repository import Repository
from tritonops.models.list import ListedVersion, list_versions
from tritonops.project import Project

CATALOG = """\
[[models.clip]]
repo_id = "openfoodfacts/clip"
revision = "v1"
triton_version = 1
model_path = "model.onnx"
[[models.clip]]
url = "https://example.org/clip.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
triton_version = 2
"""


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "models.toml").write_text(CATALOG)

    def rows():
        return list_versions(Project.load(tmp_path, environ={})).versions

    return rows


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_is_not_there_is_listed_with_the_size_that_the_lock_knows(rows, tmp_path):
    file = LockedFile("model.onnx", 7, "0" * 64)
    pin = LockedVersion("clip", 2, "https://example.org/clip.onnx as model.onnx", None, (file,))
    (tmp_path / "models.lock").write_text(format_lock([pin]))
    assert rows() == (
        ListedVersion("clip", 1, "openfoodfacts/clip", "v1", None, False, None, None),
        ListedVersion("clip", 2, "https://example.org/clip.onnx", None, 7, False, None, None),
    )


def test_what_is_there_is_listed_with_its_size_on_disk_and_whether_triton_is_shown_it(rows, tmp_path):
    write(tmp_path / "triton" / "clip" / "1" / "model.onnx", "12345")
    first, second = rows()
    assert (first.installed, first.size, first.enabled) == (True, 5, True)
    assert (second.installed, second.size, second.enabled) == (False, None, True)
    (tmp_path / "triton").rename(tmp_path / "triton-disabled")
    first, _ = rows()
    assert (first.installed, first.enabled) == (True, False)


def test_a_version_folder_without_the_model_file_is_not_installed(rows, tmp_path):
    write(tmp_path / "triton" / "clip" / "1" / "other.onnx", "12345")
    assert not rows()[0].installed


def test_what_models_toml_does_not_have_comes_last_and_without_a_source(rows, tmp_path):
    write(tmp_path / "triton" / "clip" / "3" / "model.onnx", "1")
    write(tmp_path / "triton-disabled" / "a" / "1" / "model.onnx", "12")
    assert rows()[2:] == (
        ListedVersion("a", 1, None, None, 2, True, False, None),
        ListedVersion("clip", 3, None, None, 1, True, True, None),
    )


def test_the_config_is_named_by_the_source_that_it_comes_from(rows, tmp_path):
    for variant in ("cpu", "gpu"):
        write(tmp_path / "triton-config" / "clip" / f"{variant}.pbtxt", f"# {variant}\n")
    expected = set_version_policy("# cpu\n", VersionPolicy.parse("1,2"), note="the versions in models.toml")
    served = set_version_policy("# gpu\n", VersionPolicy.parse("1"))
    for text, named in ((expected, "cpu"), (served, "gpu"), ("# mine\n", "other"), ("# cpu\n", "other")):
        write(tmp_path / "triton" / "clip" / "config.pbtxt", text)
        assert {row.config for row in rows()} == {named}


@pytest.mark.parametrize("count", [1, 30])
def test_the_models_directory_is_read_as_often_for_many_models_as_for_one(tmp_path, monkeypatch, count):
    entries = [f'[[models.m{i}]]\npath = "m{i}.onnx"\ntriton_version = 1\n' for i in range(count)]
    (tmp_path / "models.toml").write_text("\n".join(entries))
    for i in range(count):
        (tmp_path / f"triton/m{i}/1").mkdir(parents=True)
        (tmp_path / f"triton/m{i}/1/model.onnx").touch()
    reads = []
    enabled_names = Repository.enabled_names

    def counted(self):
        reads.append(self)
        return enabled_names(self)

    monkeypatch.setattr(Repository, "enabled_names", counted)
    listed = list_versions(Project.load(tmp_path, environ={})).versions
    assert [each.enabled for each in listed] == [True] * count
    assert len(reads) == 3
