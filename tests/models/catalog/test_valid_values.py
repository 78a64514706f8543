"""What a value of models.toml may look like."""

import pytest

from tritonops.models.catalog import valid_values as valid


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (valid.model_name, "clip-vit_b.32"),
        (valid.file_name, "model.onnx"),
        (valid.relative_path, "a/b/c.onnx"),
        (valid.repo_id, "team/clip"),
        (valid.revision, "refs/pr/1"),
        (valid.url, "https://host:8443/a%20b?x=1"),
        (valid.sha256, "a" * 64),
    ],
)
def test_a_good_value_is_kept_as_it_is(rule, good):
    assert rule(good) == good


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        *((valid.model_name, bad) for bad in ("", "..", "a/b", "a,b", "a ", ".git", "lost+found")),
        *((valid.file_name, bad) for bad in ("", ".", "a/b", "a\x00", "x" * 256)),
        *((valid.relative_path, bad) for bad in ("/a", "a/../b", "..")),
        *((valid.repo_id, bad) for bad in ("a/b/c", "a--b/c", "a/b.git", "a/..")),
        *((valid.revision, bad) for bad in ("", "a b", "\x1b")),
        *((valid.url, bad) for bad in ("ftp://h/x", "https://", "https://h/a b", "h/x")),
        *((valid.sha256, bad) for bad in ("", "a" * 63, "g" * 64)),
    ],
)
def test_a_bad_value_is_refused_with_a_reason(rule, bad):
    with pytest.raises(ValueError, match=r".+"):
        rule(bad)


@pytest.mark.parametrize("number", [0, -1, valid.MAX_VERSION + 1])
def test_a_version_is_a_number_from_1_to_int64(number):
    assert valid.version(valid.MAX_VERSION) == valid.MAX_VERSION
    with pytest.raises(ValueError, match=r".+"):
        valid.version(number)


@pytest.mark.parametrize(("name", "is_junk"), [("clip", False), (".git", True), ("lost+found", True), ("@eaDir", True)])
def test_folders_of_filesystems_and_tools_are_no_models(name, is_junk):
    assert valid.is_junk(name) == is_junk
