"""Whatever stands in models.toml: it is a catalogue whose names and paths are safe, or it is an error."""

import tomllib
from pathlib import Path, PurePosixPath

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tritonops.errors import CatalogError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.catalog.lines import entry_line
from tritonops.models.catalog.parsing import load_catalog

_scalars = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["../x", "a/b", "main", "openfoodfacts/clip", "https://x/y", "single_file", "directory", "0" * 64]),
    st.integers(-3, 3),
    st.booleans(),
    st.floats(),
    st.dates(),
)
_values = st.recursive(_scalars, lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=3), x))
_keys = st.sampled_from(
    [
        *("name", "triton_version", "type", "local_name", "repo_id", "revision", "model_path", "subfolder"),
        *("url", "sha256", "path", "Path"),
    ]
)
_sources = st.sampled_from(
    [{"path": "x.onnx"}, {"repo_id": "a/b", "model_path": "c"}, {"url": "https://x/y", "sha256": "0" * 64}]
)
_likely_entries = st.builds(
    lambda source, version, rest: {**source, "triton_version": version, **rest},
    _sources,
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(["name", "local_name"]), st.text(max_size=4), max_size=1),
)
_entries = _likely_entries | st.dictionaries(_keys, _values, max_size=5)
_catalogs = st.dictionaries(st.text(max_size=4), st.lists(_entries, max_size=3) | _values, max_size=3)
_documents = st.builds(lambda models: {"models": models}, _catalogs) | st.dictionaries(st.text(max_size=6), _values)

# The folder is shared by all examples: each one writes its own models.toml.
example_based = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def read(folder: Path, content: bytes) -> Catalog | None:
    """Read a catalogue; None where it is an error, which has to be one line that names the file."""
    path = folder / "models.toml"
    path.write_bytes(content)
    try:
        return load_catalog(path)
    except CatalogError as exc:
        error = str(exc)
    assert str(path) in error
    assert len(error.splitlines()) == 1
    return None


def is_safe(path: str) -> bool:
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts and path.isprintable()


def check(catalog: Catalog, text: str) -> None:
    labels = [version.label for version in catalog.versions]
    assert len(labels) == len(set(labels))
    lines = text.count("\n") + 1
    for version in catalog.versions:
        for name in (version.name, version.local_name):
            assert PurePosixPath(name).parts == (name,)
            assert is_safe(name)
        assert is_safe(version.path)
        assert version.version >= 1
        assert 1 <= entry_line(text, version.place) <= lines


@example_based
@given(_documents)
def test_any_document_is_a_safe_catalogue_or_an_error(tmp_path, document):
    text = tomlkit.dumps(document)
    if catalog := read(tmp_path, text.encode()):
        check(catalog, text)


@example_based
@given(st.binary(max_size=60) | st.text(alphabet="[]{}=.,#\"'\\\n\r amodels1", max_size=60).map(str.encode))
def test_any_text_is_a_safe_catalogue_or_an_error(tmp_path, content):
    if catalog := read(tmp_path, content):
        check(catalog, content.decode())


_tables = st.tuples(
    st.sampled_from(["", "\n", "# [[models.a]]\n", "\n# 'it's\n\n"]),
    st.sampled_from(["[[models.a]]", '[[ models . "a" ]]', "[[models.'b']]", "  [[models.c]] # x"]),
    st.sampled_from(['path = "x"', "path = '[[models.a]]'", 'path="""\\\n[[models.a]]\\\n"""', 'path = "\\"[["']),
)


@example_based
@given(st.lists(_tables, min_size=1, max_size=6))
def test_the_line_of_every_entry_is_that_of_its_header(tmp_path, tables):
    text, expected = "", []
    for number, (noise, header, body) in enumerate(tables, start=1):
        text += noise
        expected.append(text.count("\n") + 1)
        text += f"{header}\n{body}\ntriton_version = {number}\n"
    assert tomllib.loads(text)
    catalog = read(tmp_path, text.encode())
    assert catalog is not None
    versions = sorted(catalog.versions, key=lambda version: version.version)
    assert [entry_line(text, version.place) for version in versions] == expected


@pytest.mark.parametrize("document", [{}, {"models": {}}, {"models": {"a": []}}])
def test_the_empty_ones_are_catalogues(tmp_path, document):
    assert read(tmp_path, tomlkit.dumps(document).encode()) is not None
