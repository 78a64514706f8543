"""models.lock: what a pin is valid for, and how the file reads and writes."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.errors import InputError
from tritonops.models.catalog.lockfile import (
    LockedFile,
    LockedVersion,
    _read_as_written,
    differences,
    format_lock,
    is_inside,
    load_lock,
    mismatch,
    parse_lock,
    pin_of,
    requested,
)
from tritonops.models.catalog.parsing import parse_catalog

CATALOG = Path("/p/models.toml")
HUB = '[[models.clip]]\nrepo_id = "team/clip"\nrevision = "main"\ntriton_version = 1\nmodel_path = "model.onnx"\n'
FILE = LockedFile("model.onnx", 7, "0" * 64)


def version_of(text):
    return parse_catalog(CATALOG, text).versions[0]


def pin(source="hf:team/clip@main:model.onnx as model.onnx", files=(FILE,)):
    return LockedVersion("clip", 1, source, "f" * 40, files)


def test_what_was_written_is_read_again():
    odd = LockedVersion('a "b".c', 2, "path:x as model.onnx", None, (LockedFile("x/é", 0, "1" * 64),))
    assert parse_lock(Path("models.lock"), format_lock([pin(), odd])) == {each.label: each for each in (pin(), odd)}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (HUB, None),
        (HUB.replace("main", "v2"), "models.toml asks for"),
        (HUB.replace("team/clip", "team/clap"), "models.toml asks for"),
        (HUB + 'local_name = "other.onnx"\n', "models.toml asks for"),
    ],
)
def test_a_pin_is_valid_until_models_toml_asks_for_something_else(changed, reason):
    version = version_of(changed)
    found = mismatch(version, pin(), CATALOG)
    assert (found is None) if reason is None else (reason in str(found))
    assert (pin_of(version, {"clip/1": pin()}, CATALOG) is None) == (reason is not None)


def test_a_pin_with_files_elsewhere_is_no_pin():
    assert "has other files" in str(mismatch(version_of(HUB), pin(files=(LockedFile("x.onnx", 7, "0" * 64),)), CATALOG))


def test_the_source_of_a_url_is_worded_without_its_query():
    text = f'[[models.u]]\nurl = "https://h/m.onnx?sig=secret"\nsha256 = "{"0" * 64}"\ntriton_version = 1\n'
    assert requested(version_of(text), CATALOG) == "https://h/m.onnx as model.onnx"


def test_differences_name_what_is_missing_stale_and_left_over():
    catalog = parse_catalog(CATALOG, HUB + HUB.replace("triton_version = 1", "triton_version = 2"))
    left = LockedVersion("gone", 1, "x", None, (FILE,))
    found = differences(catalog, {"clip/1": pin("hf:other"), "gone/1": left})
    assert found.keys() == {"clip/1", "clip/2", "gone/1"}
    assert found["clip/2"] == "is not locked"
    assert "models.toml does not have it" in found["gone/1"]


@pytest.mark.parametrize("path", ["", "..", "/etc/passwd", "a/../b", "a//b", "./a"])
def test_a_path_that_leaves_the_version_is_not_inside(path):
    assert not is_inside(path)
    with pytest.raises(InputError):
        parse_lock(Path("models.lock"), format_lock([pin(files=(LockedFile(path, 7, "0" * 64),))]))


def test_a_missing_file_pins_nothing(tmp_path):
    assert load_lock(tmp_path / "models.lock") == {}


WRITTEN = format_lock(
    [
        LockedVersion("clip", 1, "hf:team/clip@main:model.onnx as model.onnx", "a" * 40, (FILE,)),
        LockedVersion(
            "a b.é",
            12,
            "path:x as model.onnx",
            None,
            (LockedFile("model.onnx", 7, "0" * 64), LockedFile("sub/é.bin", 0, "1" * 64)),
        ),
    ]
)


def test_a_lock_as_we_write_it_is_read_as_toml_reads_it():
    assert _read_as_written(WRITTEN) == tomllib.loads(WRITTEN)["models"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[models.clip.1]", "[models.clip.01]"),
        ("[models.clip.1]", "[models . clip.1]"),
        ("model.onnx as", "model\\u002eonnx as"),
        ("size = 7", "size = 0x7"),
        ("size = 7", "size = 07"),
        ("commit =", "# a comment\ncommit ="),
        ("commit =", "other = 1\ncommit ="),
        ("\n[models.clip.1]", "\n<<<<<<< ours\n[models.clip.1]"),
        (" },\n]\n", " }\n]\n"),
        ("sha256 =", "more = 1, sha256 ="),
        (WRITTEN, WRITTEN + WRITTEN.partition("NAME` resolves one model again.\n")[2]),
        (WRITTEN, WRITTEN.removesuffix("]\n")),
        (WRITTEN, WRITTEN + "\n"),
        (WRITTEN, "\ufeff" + WRITTEN),
        (WRITTEN, WRITTEN.replace("\n", "\r\n")),
        (WRITTEN, ""),
    ],
)
def test_any_other_lock_is_left_to_toml(old, new):
    assert old in WRITTEN
    assert _read_as_written(WRITTEN.replace(old, new)) is None


@settings(max_examples=200)
@given(position=st.integers(0, len(WRITTEN) - 1), replacement=st.text(max_size=3))
def test_an_edited_lock_is_never_read_otherwise_than_by_toml(position, replacement):
    text = WRITTEN[:position] + replacement + WRITTEN[position + 1 :]
    found = _read_as_written(text)
    assert found is None or found == tomllib.loads(text)["models"]
