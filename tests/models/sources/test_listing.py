"""Listings: where files of a version come from, and how they become pins."""

from pathlib import Path

from tritonops.models.catalog.catalog import HubSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.lockfile import LockedFile, LockedVersion
from tritonops.models.catalog.parsing import parse_catalog
from tritonops.models.http.address_with_token import Address
from tritonops.models.sources.hub_address import Hub
from tritonops.models.sources.listing import Listing, list_pinned
from tritonops.models.transfer.remote_file import RemoteFile

HUB = Hub("https://hub.example", None)
CATALOG = Path("/project/models.toml")


def version(entry) -> ModelVersion:
    [found] = parse_catalog(CATALOG, f"[[models.one]]\ntriton_version = 1\n{entry}\n").versions
    return found


def pin(*paths):
    return LockedVersion("one", 1, "", "c0ffee", tuple(LockedFile(path, 5, "a" * 64) for path in paths))


def origins(entry, *paths):
    return [file.origin for file in list_pinned(version(entry), pin(*paths), HUB).files]


def test_a_pinned_file_of_the_hub_is_at_its_commit():
    one = origins('repo_id = "team/one"\nmodel_path = "weights/best.onnx"\ntype = "single_file"', "model.onnx")
    assert one == [Address("https://hub.example/team/one/resolve/c0ffee/weights/best.onnx")]


def test_a_pinned_folder_of_the_hub_is_below_its_subfolder():
    entry = 'repo_id = "team/one"\nsubfolder = "onnx"\ntype = "directory"'
    assert origins(entry, "model.onnx/parts/x.bin") == [
        Address("https://hub.example/team/one/resolve/c0ffee/onnx/parts/x.bin")
    ]


def test_a_pinned_url_or_path_is_what_models_toml_says():
    assert origins(f'url = "https://x.example/m.onnx"\nsha256 = "{"a" * 64}"', "model.onnx") == [
        Address("https://x.example/m.onnx")
    ]
    assert origins('path = "exported"\ntype = "directory"', "model.onnx/a.bin") == [Path("/project/exported/a.bin")]


def listing(*hashes):
    found = version('repo_id = "team/one"\nmodel_path = "m.onnx"\ntype = "single_file"')
    assert isinstance(found.source, HubSource | UrlSource | PathSource)
    files = [RemoteFile("one/1", f"{number}", 5, Address("https://x"), each, "g") for number, each in enumerate(hashes)]
    return Listing(found, "c0ffee", tuple(files))


def test_a_listing_is_pinned_once_every_hash_is_known():
    assert listing("a" * 64, None).locked(CATALOG, {}) is None
    pinned = listing("a" * 64, None).locked(CATALOG, {"git-g": "b" * 64})
    assert pinned
    assert [file.sha256 for file in pinned.files] == ["a" * 64, "b" * 64]
    assert pinned.commit == "c0ffee"
