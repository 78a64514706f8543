"""What a value of models.toml may look like."""

import pytest

from tritonops.models.catalog import rules


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (rules.model_name, "clip-vit_b.32"),
        (rules.file_name, "model.onnx"),
        (rules.relative_path, "a/b/c.onnx"),
        (rules.repo_id, "team/clip"),
        (rules.revision, "refs/pr/1"),
        (rules.url, "https://host:8443/a%20b?x=1"),
        (rules.sha256, "a" * 64),
    ],
)
def test_a_good_value_is_kept_as_it_is(rule, good):
    assert rule(good) == good


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        *((rules.model_name, bad) for bad in ("", "..", "a/b", "a,b", "a ", ".git", "lost+found")),
        *((rules.file_name, bad) for bad in ("", ".", "a/b", "a\x00", "x" * 256)),
        *((rules.relative_path, bad) for bad in ("/a", "a/../b", "..")),
        *((rules.repo_id, bad) for bad in ("a/b/c", "a--b/c", "a/b.git", "a/..")),
        *((rules.revision, bad) for bad in ("", "a b", "\x1b")),
        *((rules.url, bad) for bad in ("ftp://h/x", "https://", "https://h/a b", "h/x")),
        *((rules.sha256, bad) for bad in ("", "a" * 63, "g" * 64)),
    ],
)
def test_a_bad_value_is_refused_with_a_reason(rule, bad):
    with pytest.raises(ValueError, match=r".+"):
        rule(bad)


@pytest.mark.parametrize("number", [0, -1, rules.MAX_VERSION + 1])
def test_a_version_is_a_number_from_1_to_int64(number):
    assert rules.version(rules.MAX_VERSION) == rules.MAX_VERSION
    with pytest.raises(ValueError, match=r".+"):
        rules.version(number)


@pytest.mark.parametrize(("name", "is_junk"), [("clip", False), (".git", True), ("lost+found", True), ("@eaDir", True)])
def test_folders_of_filesystems_and_tools_are_no_models(name, is_junk):
    assert rules.is_junk(name) == is_junk
