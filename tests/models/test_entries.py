import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.errors import CatalogError, InputError, TritonOpsError, UnknownModelError
from tritonops.files import replace_text
from tritonops.models.catalog import load_catalog
from tritonops.models.entries import adding_entry, preview_entry, remove_entries

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
    with adding_entry(catalog, key, {"path": "x.onnx", **values}) as entry:
        return entry


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


def test_an_entry_can_be_looked_at_before_it_is_written(catalog):
    assert preview_entry(catalog, "new", {"path": "x.onnx", "triton_version": 1}).label == "new/1"
    assert catalog.read_text() == TEXT


@pytest.mark.parametrize(
    ("key", "values"),
    [("clip", {"triton_version": 1}), ("../x", {"triton_version": 1}), ("new", {"triton_version": 0}), ("new", {})],
)
def test_a_wrong_entry_is_an_error_that_names_models_toml_and_nothing_is_written(catalog, key, values):
    with pytest.raises(CatalogError) as caught, adding_entry(catalog, key, {"path": "x.onnx", **values}):
        pass
    assert str(caught.value).startswith(f"the new entry was not written to {catalog}, line ")
    assert caught.value.hint
    assert catalog.read_text() == TEXT
    assert list(catalog.parent.iterdir()) == [catalog]


def test_what_fails_after_the_entry_was_written_takes_it_out_again(catalog):
    with pytest.raises(ConnectionError), adding_entry(catalog, "new", {"path": "x.onnx", "triton_version": 1}):
        raise ConnectionError
    assert catalog.read_text() == TEXT


def test_an_edit_made_meanwhile_is_not_undone(catalog):
    def edit_and_fail():
        catalog.write_text(catalog.read_text() + "# mine\n")
        raise ConnectionError

    with pytest.raises(ConnectionError), adding_entry(catalog, "new", {"path": "x.onnx", "triton_version": 1}):
        edit_and_fail()
    assert catalog.read_text().endswith("# mine\n")


def test_a_removed_entry_takes_the_comment_directly_above_it_along_and_no_other(catalog):
    assert [entry.label for entry in remove_entries(catalog, "clip")] == ["clip/1"]
    assert catalog.read_text() == TEXT.replace(
        '# Kept for the old app.\n[[models.clip]]\npath = "clip.onnx"  # by hand\ntriton_version = 1\n\n', ""
    )


def test_the_last_entry_leaves_the_comments_below_it(catalog):
    remove_entries(catalog, "other", 1)
    assert catalog.read_text().endswith("# Newer, and smaller.\n\n## Deprecated\n# [[models.gone]]\n")


def test_one_version_of_several_is_removed(catalog):
    before = catalog.read_text()
    added(catalog, "clip", triton_version=2)
    remove_entries(catalog, "clip", 2)
    assert load_catalog(catalog).versions_of("clip")[0].version == 1
    assert tomllib.loads(catalog.read_text()) == tomllib.loads(before)


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "models.toml").mkdir()
    with pytest.raises(TritonOpsError, match=r"cannot write .*models\.toml"):
        replace_text(tmp_path / "models.toml", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["models.toml"]


def test_what_is_not_there_cannot_be_removed(catalog):
    with pytest.raises(UnknownModelError):
        remove_entries(catalog, "clop")
    with pytest.raises(InputError, match="no version 2 of clip"):
        remove_entries(catalog, "clip", 2)
    catalog.write_text('[models]\nclip = [{path = "x", triton_version = 1}]\n')
    with pytest.raises(InputError, match="line 2: clip/1 stands in an array"):
        remove_entries(catalog, "clip")
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
    with adding_entry(path, key, {"path": "y", "triton_version": 99}):
        pass
    assert {entry.label for entry in load_catalog(path).versions} == before | {f"{key}/99"}
    assert [line for line in path.read_text().split("\n") if "#" in line] == [
        line for line in text.split("\n") if "#" in line
    ]
    remove_entries(path, key, 99)
    assert {entry.label for entry in load_catalog(path).versions} == before
