import re
from pathlib import Path

import pytest

from tests.paths import PROJECT
from tritonops.errors import CatalogError, UnknownModelError
from tritonops.models.catalog.catalog import Catalog, HubSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.lines import entry_line
from tritonops.models.catalog.parsing import load_catalog

ENTRY = """\
[[models.clip]]
repo_id = "openfoodfacts/clip"
revision = "v1"
triton_version = 1
model_path = "model.onnx"
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes) -> Catalog:
        path = tmp_path / "models.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_catalog(path)

    return read


@pytest.fixture
def error(read):
    """Give the error of an invalid catalogue, without the folder."""

    def error(text: str | bytes) -> str:
        with pytest.raises(CatalogError) as caught:
            read(text)
        assert caught.value.exit_code == 2
        return str(caught.value).partition("models.toml")[2].removeprefix(", ").removeprefix(": ")

    return error


def with_line(old: str, new: str) -> str:
    assert old in ENTRY
    return ENTRY.replace(old, new)


def test_an_entry_of_a_single_file_is_read_with_its_defaults(read):
    assert read(ENTRY).versions == (
        ModelVersion(
            "clip", 1, HubSource("openfoodfacts/clip", "v1"), "single_file", "model.onnx", "model.onnx", ("clip", 0)
        ),
    )


def test_a_directory_has_a_subfolder_and_the_revision_is_main_unless_given(read):
    (entry,) = read(
        '# SavedModel\n[[models.cc]]\nname = "cc-3.0"\nrepo_id = "a/b"\ntriton_version = 3\n'
        'type = "directory"\nsubfolder = "./x//y/"\nlocal_name = "model.savedmodel"\n'
    ).versions
    source, place = HubSource("a/b", "main"), ("cc", 0)
    assert entry == ModelVersion("cc-3.0", 3, source, "directory", "x/y", "model.savedmodel", place)


def test_a_url_comes_with_its_hash_and_a_path_starts_at_the_catalogue(read, tmp_path):
    catalog = read(
        f'[[models.a]]\nurl = "https://example.org/a.onnx"\nsha256 = "{"AB" * 32}"\ntriton_version = 1\n'
        '[[models.b]]\npath = "../b.onnx"\ntriton_version = 1\n'
    )
    assert [version.source for version in catalog.versions] == [
        UrlSource("https://example.org/a.onnx", "ab" * 32),
        PathSource(tmp_path.parent / "b.onnx"),
    ]


def test_models_keep_the_order_of_the_file_and_are_found_by_name(read):
    catalog = read(ENTRY + ENTRY.replace("clip", "other") + ENTRY.replace("triton_version = 1", "triton_version = 2"))
    assert catalog.names == ("clip", "other")
    assert [version.label for version in catalog.versions] == ["clip/1", "clip/2", "other/1"]
    assert [version.label for version in catalog.versions_of("clip")] == ["clip/1", "clip/2"]
    assert [version.label for version in catalog.select(["other"])] == ["other/1"]
    assert catalog.select([]) == catalog.versions


def test_an_unknown_name_is_an_error_that_names_the_near_misses(read):
    with pytest.raises(UnknownModelError, match="no model 'clop'") as caught:
        read(ENTRY).select(["clip", "clop"])
    assert caught.value.hint == "Did you mean 'clip'?"


def test_a_catalogue_without_models_is_empty(read):
    assert read("# nothing yet\n[models]\n").versions == ()
    assert read("").versions == ()


LINES = {
    "headers": ("# c\n\n" + ENTRY + "\n" + ENTRY.replace("clip", "b"), [3, 9]),
    "headers below [models]": ("[models]\n\n" + ENTRY, [3]),
    "a header in a multi-line string": (
        '[[models.a]]\npath="""\\\n[[models.a]]\\\n"""\ntriton_version=1\n[[models.b]]\npath="x"\ntriton_version=1\n',
        [1, 6],
    ),
    "a header in a comment and in a string": (
        '# [[models.a]]\n[[models.a]] # [[models.a]]\npath = "[[models.a]]"\ntriton_version=1\n',
        [2],
    ),
    "spaces and quotes in the header": ("\n [[ models . 'a b' ]]\npath='x'\ntriton_version=1\n", [2]),
    "an inline array": (
        '[models]\nclip = [\n  # first\n  {path = "]", triton_version = 1},\n\n  {path="x", triton_version = 2},\n]\n',
        [4, 6],
    ),
    "a dotted key": ('models.a = [{path = "x", triton_version = 1}, {path = "x", triton_version = 2}]\n', [1, 1]),
    "an inline table": ('\nmodels = {clip = [{path = "x", triton_version = 1}]}\n', [2]),
    "Windows line ends": (ENTRY.replace("\n", "\r\n") + ENTRY.replace("clip", "b"), [1, 6]),
}


@pytest.mark.parametrize(("text", "lines"), LINES.values(), ids=LINES.keys())
def test_each_entry_knows_the_line_where_it_begins(read, text, lines):
    assert [entry_line(text, version.place) for version in read(text).versions] == lines


BAD_VALUES = {
    'repo_id = "openfoodfacts/clip"\n': [
        ("", "repo_id: is missing; so are url and path"),
        ("repo_id = 7\n", "repo_id: expected a string, got 7"),
        ('repo_id = ""\n', "repo_id: '' is not a repository"),
        ('repo_id = "a/b/c"\n', "repo_id: 'a/b/c' is not a repository"),
        ('repo_id = "../b"\n', "repo_id: '../b' is not a repository"),
        ('repo_id = "a--b"\n', "repo_id: 'a--b' is not a repository"),
        ('repo_id = "a/b\\n"\n', "repo_id: 'a/b\\n' is not a repository"),
        ('repo_id = "a/b"\nurl = "https://x/y"\n', "url: conflicts with repo_id"),
        ('path = "x"\n', "revision: goes with repo_id, not with path"),
        ('url = "https://x/y"\n', "revision: goes with repo_id, not with url"),
    ],
    'revision = "v1"\n': [
        ('revision = ""\n', "revision: '' is not a branch"),
        ('revision = "a b"\n', "revision: 'a b' is not a branch"),
        ('revision = "a/../b"\n', "revision: 'a/../b' is not a branch"),
        ("revision = 1\n", "revision: expected a string, got 1"),
        ('sha256 = "aa"\n', "sha256: goes with url, not with repo_id"),
        ('model-path = "x"\n', "model-path: is not a key"),
        ('type = "folder"\n', 'type: expected "single_file" or "directory", got \'folder\''),
        ("type = 1\n", 'type: expected "single_file" or "directory", got 1'),
        ("type = []\n", 'type: expected "single_file" or "directory", got []'),
    ],
    "triton_version = 1\n": [
        ("", "triton_version: is missing"),
        ("triton_version = 0\n", "triton_version: 0 is not a version"),
        ("triton_version = -1\n", "triton_version: -1 is not a version"),
        ("triton_version = 9223372036854775808\n", "triton_version: 9223372036854775808 is not a version"),
        ("triton_version = true\n", "triton_version: expected an integer, got True"),
        ("triton_version = 1.0\n", "triton_version: expected an integer, got 1.0"),
        ('triton_version = "1"\n', "triton_version: expected an integer, got '1'"),
    ],
    'model_path = "model.onnx"\n': [
        ("", "model_path: is missing"),
        ('model_path = ""\n', "model_path: '' is empty"),
        ('model_path = "."\n', "model_path: '.' is the root"),
        ('model_path = "/etc/passwd"\n', "model_path: '/etc/passwd' is absolute"),
        ('model_path = "a/../../b"\n', "model_path: 'a/../../b' leads out"),
        ('model_path = "a\\u0000b"\n', "model_path: 'a\\x00b' contains a control character"),
        ('subfolder = "x"\n', 'subfolder: does not go with type = "single_file"'),
        ('type = "directory"\nmodel_path = "x"\n', 'model_path: does not go with type = "directory"'),
        ('type = "directory"\n', "subfolder: is missing"),
        ('type = "directory"\nsubfolder = "../x"\n', "subfolder: '../x' leads out"),
        ('type = "directory"\nsubfolder = "/x"\n', "subfolder: '/x' is absolute"),
        ('type = "directory"\nsubfolder = ""\n', "subfolder: '' is empty"),
    ],
}


@pytest.mark.parametrize(
    ("old", "new", "output"), [(old, *case) for old, cases in BAD_VALUES.items() for case in cases]
)
def test_a_bad_value_is_named_with_its_entry_key_and_line(error, old, new, output):
    assert error("\n" + with_line(old, new)).startswith(f"line 2: models.clip[0]: {output}")


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("../x", "is a path"),
        ("a/b", "is a path"),
        ("/a", "is a path"),
        ("", "is empty"),
        (".", "is a path"),
        ("..", "is a path"),
        (".git", "begins with a dot"),
        ("a\\tb", "contains a control character"),
        ("a\\u0000", "contains a control character"),
        ("a\\u202eb", "contains a control character"),
        ("a" * 256, "is longer than 255 bytes"),
        ("é" * 128, "is longer than 255 bytes"),
        ("a,b", "contains a comma"),
        ("a ", "a space at its end"),
    ],
)
def test_a_name_that_is_no_plain_file_name_is_refused_wherever_it_stands(error, name, output):
    as_key = error(ENTRY.replace("models.clip", f'models."{name}"'))
    as_name = error(ENTRY + f'name = "{name}"\n')
    assert output in as_key
    assert "line 1: models." in as_key
    assert as_name.startswith("line 1: models.clip[0]: name: ")
    assert output in as_name


@pytest.mark.parametrize("local_name", ["../x", "a/b", "", "..", "/x", "a\\n", "a" * 256])
def test_a_local_name_is_one_plain_name(error, local_name):
    assert error(ENTRY + f'local_name = "{local_name}"\n').startswith("line 1: models.clip[0]: local_name: ")


@pytest.mark.parametrize(
    ("url", "output"),
    [
        ("ftp://x/y", "is not a URL; expected https"),
        ("https:///y", "is not a URL; expected https"),
        ("https://[x/y", "is not a URL"),
        ("https://x:port/y", "is not a URL"),
        ("model.onnx", "is not a URL; expected https"),
        ("https://me:secret@x/y", "carries a user name or a password"),
        ("https://x/a b", "contains a space"),
    ],
)
def test_a_url_has_to_be_one(error, url, output):
    text = f'[[models.a]]\nurl = "{url}"\nsha256 = "{"0" * 64}"\ntriton_version = 1\n'
    assert output in error(text)


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "g" * 64])
def test_a_sha256_has_64_hexadecimal_digits(error, sha256):
    output = error(f'[[models.a]]\nurl = "https://x/y"\nsha256 = "{sha256}"\ntriton_version = 1\n')
    assert output.startswith("line 1: models.a[0]: sha256: ")
    assert "64 hexadecimal digits" in output


def test_a_url_without_a_hash_is_refused_and_so_is_a_directory_at_a_url(error):
    entry = '[[models.a]]\nurl = "https://x/y"\ntriton_version = 1\n'
    assert error(entry) == "line 1: models.a[0]: sha256: is missing"
    assert "type: a URL is one file" in error(f'{entry}type = "directory"\nsha256 = "{"0" * 64}"\n')


def test_two_entries_for_one_version_are_refused_and_both_are_named(error):
    again = ENTRY.replace("models.clip", "models.again") + 'name = "clip"\n'
    assert error(ENTRY + again) == (
        "line 6: models.again[0]: triton_version: clip/1 is a duplicate of models.clip[0] at line 1"
    )


WRONG_SHAPES = {
    "a table instead of an array": ("\n[models.clip]\ntriton_version = 1\n", "line 2: models.clip: expected an array"),
    "a string instead of an array": ('[models]\nx = 1\nclip = ""\n', "line 2: models.x: expected an array"),
    "numbers in the array": ("[models]\nclip = [1]\n", "line 2: models.clip: expected an array"),
    "another table at the top": ("[models]\n[[model.clip]]\n", "line 2: unknown key 'model'"),
    "a key at the top": ('models.a = []\nversion = "1"\n', "line 2: unknown key 'version'"),
    "models is no table": ("models = 3\n", "line 1: models: expected entries"),
    "models is an array": ("[[models]]\n", "line 1: models: expected entries"),
    "a nested table": (ENTRY + "[models.clip.extra]\n", "line 1: models.clip[0]: extra: is not a key"),
}


@pytest.mark.parametrize(("text", "output"), WRONG_SHAPES.values(), ids=WRONG_SHAPES.keys())
def test_a_wrong_shape_is_named_with_its_line(error, text, output):
    assert error(text).startswith(output)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("[[models.clip]\n", "line 1"),
        ("a = 1\na = 2\n", "Cannot overwrite a value"),
        (b"\na = '\xff'", "line 2: is not UTF-8"),
        ("a = " + "[" * 5000, "line 1: nested too deeply"),
        ("\na = " + "9" * 5000, "line 2: a number or a word has more than 4,000 characters"),
    ],
)
def test_what_is_no_toml_is_refused_with_the_place(error, text, output):
    assert output in error(text)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CatalogError, match="no such file"):
        load_catalog(tmp_path / "models.toml")
    with pytest.raises(CatalogError, match="is a folder, not a file"):
        load_catalog(tmp_path)
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(Path("models\0.toml"))


def test_every_catalogue_in_the_docs_is_one(read):
    pages = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "README.md", *PROJECT.glob("docs/*.md")))
    blocks = [block for block in re.findall(r"```toml\n(.*?)```", pages, re.DOTALL) if "[[models" in block]
    assert blocks
    for block in blocks:
        assert read(block).versions


@pytest.mark.parametrize(
    ("first", "second"),
    [("clip", "Clip"), ("STRASSE", "straße"), ("caf\u00e9", "cafe\u0301"), ("\u00c9t\u00e9", "e\u0301te\u0301")],
)
@pytest.mark.parametrize("version", [1, 2])
def test_two_models_that_differ_in_case_only_are_refused(error, first, second, version):
    entries = [
        f'[[models.{key}]]\nname = "{name}"\npath = "a.onnx"\ntriton_version = {number}\n'
        for key, name, number in (("one", first, 1), ("other", second, version))
    ]
    output = error("".join(entries))
    assert output.startswith(f"line 5: models.other[0]: name: {second!r} is one folder with {first!r} of line 1")


def test_versions_of_one_model_may_have_several_keys(read):
    read(
        '[[models.one]]\nname = "clip"\npath = "a.onnx"\ntriton_version = 1\n'
        '[[models.other]]\nname = "clip"\npath = "a.onnx"\ntriton_version = 2\n'
    )


def test_what_a_model_calls_is_known_from_both_sides(read):
    other = ENTRY.replace("models.clip", "models.ner")
    catalog = read(f'{ENTRY}depends_on = ["tokenizer", "vocabulary"]\n\n{other}depends_on = ["tokenizer"]\n')
    assert [version.depends_on for version in catalog.versions] == [("tokenizer", "vocabulary"), ("tokenizer",)]
    assert catalog.callers == {"tokenizer": ("clip", "ner"), "vocabulary": ("clip",)}


@pytest.mark.parametrize("value", ['"tokenizer"', "[1]", "{}"])
def test_what_a_model_calls_is_a_list_of_names(error, value):
    assert error(f"{ENTRY}depends_on = {value}\n").startswith(
        "line 1: models.clip[0]: depends_on: expected a list of model names, got"
    )
