"""Whatever the bytes of a file are, and whatever lies in its place: a value, or an error of one line that names it.

LOADER_EXAMPLES=10000 ./inv test --path tests/test_loaders.py looks longer.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.loaders import LOADERS, Loader
from tests.paths import PROJECT
from tritonops import files
from tritonops.errors import TritonOpsError

each_loader = pytest.mark.parametrize("loader", LOADERS, ids=[loader.name for loader in LOADERS])
EXAMPLES = int(os.environ.get("LOADER_EXAMPLES", "200"))
examples = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def outcome(loader: Loader, path: Path) -> str | None:
    """Read the file; None where that gives a value, else the error, once it is seen to be a good one."""
    try:
        loader.read(path)
    except TritonOpsError as exc:
        error = exc
    else:
        return None
    text = str(error)
    assert error.exit_code == loader.exit_code
    assert not loader.quiet
    assert path.name in text
    assert text.isprintable(), text
    assert len(text) < len(str(path)) + 500
    return text


def contents(loader: Loader) -> st.SearchStrategy[bytes]:
    tokens = st.sampled_from([token.encode() for token in loader.tokens.split(" ")])
    pieces = tokens | st.binary(max_size=4) | st.integers(0, 300).map(lambda number: str(number).encode())
    near = st.lists(pieces, max_size=30).map(b"".join)
    repeated = st.builds(lambda piece, count: piece * count, pieces, st.integers(1, 3000))
    mutated = st.builds(
        lambda start, end, middle: loader.valid[:start] + middle + loader.valid[end:],
        st.integers(0, len(loader.valid)),
        st.integers(0, len(loader.valid)),
        st.one_of(near, repeated, st.binary(max_size=3)),
    )
    return st.one_of(st.binary(max_size=200), near, mutated, mutated, st.builds(bytes.__add__, near, repeated))


@each_loader
@examples
@given(st.data())
def test_any_bytes_are_a_value_or_an_error_that_names_the_file(tmp_path, loader, data):
    path = tmp_path / loader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.draw(contents(loader)))
    outcome(loader, path)


@each_loader
def test_a_valid_file_is_a_value(tmp_path, loader):
    path = tmp_path / loader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(loader.valid)
    assert outcome(loader, path) is None


@pytest.fixture
def unix_socket():
    with socket.socket(socket.AF_UNIX) as made:
        yield made


FILES = [loader for loader in LOADERS if loader.name not in ("lock", "audit.log")]
each_file = pytest.mark.parametrize("loader", FILES, ids=[loader.name for loader in FILES])


@each_file
def test_what_is_no_regular_file_is_an_error_at_once(tmp_path, monkeypatch, loader, unix_socket):
    path = tmp_path / loader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(files, "PIPE_TIMEOUT", 0.1)
    kinds = {
        "is a folder": path.mkdir,
        "is a pipe": lambda: os.mkfifo(path),
        "is a socket": lambda: unix_socket.bind(path.name),
        "is a device": lambda: path.symlink_to("/dev/zero"),
        "is a link to nowhere, which does not exist": lambda: path.symlink_to("nowhere"),
        "Too many levels of symbolic links": lambda: path.symlink_to(path.name),
    }
    for problem, make in kinds.items():
        make()
        error = outcome(loader, path)
        assert loader.quiet or loader.name == ".env" or (error and problem in error)
        path.rmdir() if problem == "is a folder" else path.unlink()


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["models.toml", "models.lock", "hosts.toml", "smoke.json", "input.json"])
def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path, name, mark):
    loader = next(loader for loader in LOADERS if loader.name == name)
    path = tmp_path / name
    path.write_bytes(mark + loader.valid.replace(b"\n", b"\r\n"))
    assert outcome(loader, path) is None


def test_a_file_in_utf_16_is_told_as_that(tmp_path):
    for loader in LOADERS:
        if loader.name in ("models.toml", "hosts.toml", "smoke.json", "config.pbtxt"):
            path = tmp_path / loader.name
            path.write_bytes(loader.valid.decode().encode("utf-16"))
            assert "is UTF-16: save it as UTF-8" in (outcome(loader, path) or "")


def test_files_of_any_size_take_bounded_time_and_memory(tmp_path):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.loader_limits", str(tmp_path), "1" if EXAMPLES > 200 else "3"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert len(rows) > 40
    assert [row for row in rows if row["ended"] not in ("value", "error")] == []
    assert [row for row in rows if row["memory"] > 4 * row["size"] + (50 << 20)] == []
    assert [row for row in rows if row["seconds"] > 2] == []
