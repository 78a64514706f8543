"""Nothing is lost, whatever lies where a version belongs: random trees, with fixed seeds.

TREES sets how many are tried.
"""

import os
import random

import pytest

from tests.models.catalogs import write
from tests.models.disk.test_replaced_files import below
from tritonops.models.disk import replaced_files
from tritonops.models.disk.replaced_files import leaves
from tritonops.models.disk.repository import Repository
from tritonops.models.download import download
from tritonops.models.remove import plan_removal, remove_model
from tritonops.project import Project
from tritonops.settings import load_settings

TREES = int(os.environ.get("TREES", "15"))
PINNED = {"model.onnx": b"graph", "data/a.bin": b"aaaa", "data/b.bin": b"bb"}
NAMES = ("model.onnx", "data", "a.bin", "b.bin", "labels.txt", "1", "sub")


@pytest.fixture
def settings(tmp_path):
    for name, content in PINNED.items():
        path = tmp_path / "project/source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "elsewhere/1/model.onnx").mkdir(parents=True)
    (tmp_path / "elsewhere/1/model.onnx/model.onnx").write_bytes(b"elsewhere")
    settings = load_settings(tmp_path / "project", environ={})
    entry = '[[models.clip]]\npath = "source"\ntriton_version = {}\ntype = "directory"\n'
    return write(settings, entry.format(1), entry.format(2))


def grow(chance, folder, elsewhere, depth=0):
    """Put random files, links and folders, some of them as pinned, below a folder."""
    folder.mkdir(parents=True)
    for name in chance.sample(NAMES, chance.randint(0, 4)):
        path, kind = folder / name, chance.random()
        if kind < 0.35 and depth < 3:
            grow(chance, path, elsewhere, depth + 1)
        elif kind < 0.45:
            path.symlink_to(chance.choice([elsewhere, elsewhere / "1/model.onnx/model.onnx", "nowhere", name]))
        elif kind < 0.75:
            path.write_bytes(PINNED.get(name, PINNED.get(f"data/{name}", b"mine")))
        else:
            path.write_bytes(chance.randbytes(4))


def content(path):
    return path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None


def lost(settings, before):
    """What is neither in its place nor kept, though it is no pinned file in a pinned place."""
    return [
        path
        for path, old in before.items()
        if content(settings.project / path) != old
        and not any(content(time / path) == old for time in (settings.store_dir / "replaced").glob("*"))
        and not is_pinned(path, old)
    ]


def is_pinned(path, old):
    version, local_name, below_it = (*path.parts[2:4], "/".join(path.parts[4:]), "", "")[:3]
    return version in ("1", "2") and local_name == "model.onnx" and old is not None and PINNED.get(below_it) == old


@pytest.mark.parametrize("seed", range(TREES))
def test_a_download_or_a_removal_over_a_random_tree_loses_nothing(settings, tmp_path, seed):
    chance, elsewhere = random.Random(seed), tmp_path / "elsewhere"
    outside = below(elsewhere)
    grow(chance, chance.choice([settings.models_dir, Repository(settings.models_dir).disabled]) / "clip", elsewhere)
    before = {path.relative_to(settings.project): content(path) for path in tree(settings)}
    download(Project(settings))
    assert not lost(settings, before)
    next_command()
    result = download(Project(settings), overwrite=chance.random() < 0.7, verify=chance.random() < 0.5)
    assert not lost(settings, before)
    if not result.failed:
        assert download(Project(settings)).skipped == ("clip/1", "clip/2")
    if chance.random() < 0.5:
        next_command()
        remove_model(
            Project(settings), plan_removal(Project(settings), "clip", version=chance.choice([None, 1]), files=True)
        )
        assert not lost(settings, before)
    assert below(elsewhere) == outside


def next_command():
    """A process has one folder in .store/replaced/, and is one command where people run it."""
    replaced_files._new_folder.cache_clear()


def tree(settings):
    return [
        leaf for folder in (settings.models_dir, Repository(settings.models_dir).disabled) for leaf in leaves(folder)
    ]
