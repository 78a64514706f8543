import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.errors import CatalogError, InputError, TritonOpsError
from tritonops.files import replace_text
from tritonops.models.catalog.editing import with_entry, without_entries
from tritonops.models.catalog.parsing import load_catalog

TEXT = """\
# The models of the house.

# Kept for the old app.
[[models.clip]]
path = "clip.onnx"  # by hand
triton_version = 1

# Newer, and smaller.

[[models.other]]
path = "other.onnx"
triton_version = 1

## Deprecated
# [[models.gone]]
"""


@pytest.fixture
def catalog(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(TEXT)
    return path


def added(catalog, key, **values):
    text, entry = with_entry(catalog, catalog.read_text(), key, {"path": "x.onnx", **values})
    catalog.write_text(text)
    return entry


def removed(catalog, name, version=None):
    entries = load_catalog(catalog).versions_of(name)
    gone = [entry for entry in entries if version in (None, entry.version)]
    catalog.write_text(without_entries(catalog, catalog.read_text(), gone))
    return gone


def test_a_new_model_comes_last_and_everything_else_stays(catalog):
    entry = added(catalog, "category-3.0", triton_version=4)
    assert entry.label == "category-3.0/4"
    assert catalog.read_text() == TEXT + '\n[[models."category-3.0"]]\npath = "x.onnx"\ntriton_version = 4\n'


def test_another_version_comes_below_those_of_its_model(catalog):
    assert added(catalog, "clip", triton_version=2).label == "clip/2"
    lines = catalog.read_text().splitlines()
    assert lines[5:11] == [
        "triton_version = 1",
        "",
        "[[models.clip]]",
        'path = "x.onnx"',
        "triton_version = 2",
        "",
    ]
    assert [entry.label for entry in load_catalog(catalog).versions] == ["clip/1", "clip/2", "other/1"]


@pytest.mark.parametrize(
    ("key", "values"),
    [("clip", {"triton_version": 1}), ("../x", {"triton_version": 1}), ("new", {"triton_version": 0}), ("new", {})],
)
def test_a_wrong_entry_is_an_error_that_names_models_toml(catalog, key, values):
    with pytest.raises(CatalogError) as caught:
        with_entry(catalog, TEXT, key, {"path": "x.onnx", **values})
    assert str(caught.value).startswith(f"the new entry was not written to {catalog}, line ")
    assert caught.value.hint


def test_a_removed_entry_takes_the_comment_directly_above_it_along_and_no_other(catalog):
    assert [entry.label for entry in removed(catalog, "clip")] == ["clip/1"]
    assert catalog.read_text() == TEXT.replace(
        '# Kept for the old app.\n[[models.clip]]\npath = "clip.onnx"  # by hand\ntriton_version = 1\n\n', ""
    )


def test_the_last_entry_leaves_the_comments_below_it(catalog):
    removed(catalog, "other", 1)
    assert catalog.read_text().endswith("# Newer, and smaller.\n\n## Deprecated\n# [[models.gone]]\n")


def test_one_version_of_several_is_removed(catalog):
    before = catalog.read_text()
    added(catalog, "clip", triton_version=2)
    removed(catalog, "clip", 2)
    assert load_catalog(catalog).versions_of("clip")[0].version == 1
    assert tomllib.loads(catalog.read_text()) == tomllib.loads(before)


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "models.toml").mkdir()
    with pytest.raises(TritonOpsError, match=r"cannot write .*models\.toml"):
        replace_text(tmp_path / "models.toml", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["models.toml"]


def test_an_entry_in_an_array_is_not_removed(catalog):
    catalog.write_text('[models]\nclip = [{path = "x", triton_version = 1}]\n')
    with pytest.raises(InputError, match="line 2: clip/1 stands in an array"):
        removed(catalog, "clip")
    assert "clip" in catalog.read_text()


_comments = st.sampled_from(["", "\n", "# a \u2028 comment \x85\n", "# one\n\n# two\n", "\n\n"])


@settings(deadline=None)
@given(st.lists(st.tuples(_comments, st.sampled_from("abc")), min_size=1, max_size=6), st.data())
def test_adding_and_removing_anything_changes_only_that(tmp_path_factory, parts, data):
    text = "".join(
        f'{comment}[[models.{key}]]\npath = "x"\ntriton_version = {number}\n'
        for number, (comment, key) in enumerate(parts, start=1)
    )
    path = tmp_path_factory.getbasetemp() / "entries.toml"
    path.write_text(text)
    before = {entry.label for entry in load_catalog(path).versions}
    key = data.draw(st.sampled_from("abcd"))
    added(path, key, triton_version=99)
    assert {entry.label for entry in load_catalog(path).versions} == before | {f"{key}/99"}
    assert [line for line in path.read_text().split("\n") if "#" in line] == [
        line for line in text.split("\n") if "#" in line
    ]
    removed(path, key, 99)
    assert {entry.label for entry in load_catalog(path).versions} == before
