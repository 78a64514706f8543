"""Files as ConfigMaps: every byte of them, under keys that a ConfigMap may have, in parts below its limit."""

import re

import pytest

from tests.kubernetes.pods import contents
from tests.kubernetes.projects import IMAGE, INIT_IMAGE, target
from tritonops.errors import InputError
from tritonops.kubernetes.manifests.config_maps import MAX_BYTES, release_maps
from tritonops.kubernetes.release.release import Release


def release(files):
    return Release(dict(sorted(files.items())), (("a", 1),), (IMAGE, INIT_IMAGE), 0)


def restored(maps):
    return {each.paths[key]: data for each in maps for key, data in contents(each.manifest).items()}


def test_every_file_comes_back_whatever_its_path_and_bytes_are():
    files = {
        "triton-config/a b/gpu.pbtxt": b"text\n",
        "triton-config/a.b/gpu.pbtxt": b"text\r\n",
        "triton-config/a/b.gpu.pbtxt": b"",
        "triton-config/a/b.gpu.pbtxt.2": b"a name that another file's key would get",
        "triton-config/ünï/gpu.pbtxt": "é".encode(),
        f"sources/{'x' * 250}/1/model.onnx": b"\x00\xff",
        "sources/.hidden": b"nul\0",
    }
    maps = release_maps(target(), release(files))
    assert restored(maps) == files
    keys = [key for each in maps for key in each.paths]
    assert len(set(keys)) == len(keys) == len(files)
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) and not key.startswith("..") for key in keys)


def test_files_are_divided_in_their_order_and_none_is_cut():
    files = {f"f{number:02}": bytes([number]) * 400_000 for number in range(5)}
    maps = release_maps(target(), release(files))
    assert [[*each.paths.values()] for each in maps] == [["f00", "f01"], ["f02", "f03"], ["f04"]]
    assert restored(maps) == files
    names = [each.name for each in maps]
    assert [name.rpartition("-")[2] for name in names] == ["1", "2", "3"]


@pytest.mark.parametrize("path", ["models.lock", "triton-config/a/labels.txt"])
def test_a_file_that_no_config_map_can_have_is_named(path):
    with pytest.raises(InputError, match=f"{path} has {MAX_BYTES:,} bytes"):
        release_maps(target(), release({path: bytes(MAX_BYTES)}))


def test_more_maps_than_names_are_refused():
    with pytest.raises(InputError, match="99 ConfigMaps cannot have them"):
        release_maps(target(), release({f"f{number}": bytes(MAX_BYTES - 10) for number in range(100)}))


def test_maps_are_immutable_and_named_by_the_release():
    one, other = (release_maps(target(), release({"a": data}))[0].manifest for data in (b"1", b"2"))
    assert one["immutable"] is True
    assert one["metadata"]["name"] != other["metadata"]["name"]
