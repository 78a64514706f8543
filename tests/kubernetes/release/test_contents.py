"""What of a checkout travels to the pods, and what is refused."""

import base64

import pytest

from tests.kubernetes.projects import MODELS_IMAGE, load, target, write_project
from tests.onnx_models import external_weights
from tests.paths import PROJECT
from tritonops.errors import InputError, PartialFailureError
from tritonops.kubernetes.release.catalog_text import format_catalog
from tritonops.kubernetes.release.contents import MAX_SOURCES, read_release
from tritonops.kubernetes.release.release import FOLDER
from tritonops.models.catalog.lockfile import differences, parse_lock
from tritonops.models.catalog.parsing import load_catalog, parse_catalog
from tritonops.models.lock import lock_models


@pytest.fixture
def checkout(tmp_path):
    write_project(tmp_path)
    return tmp_path


def read(checkout, *, has_image_volumes=False, **options):
    return read_release(load(checkout), target(**options), has_image_volumes=has_image_volumes)


def failures(checkout, **options):
    with pytest.raises(PartialFailureError) as caught:
        read(checkout, **options)
    assert caught.value.exit_code == 2
    return caught.value.failures


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_catalogue_of_the_pods_agrees_with_their_lock(checkout):
    files = read(checkout).files
    catalog = parse_catalog(FOLDER / "models.toml", files["models.toml"].decode())
    assert differences(catalog, parse_lock(FOLDER / "models.lock", files["models.lock"].decode())) == {}
    assert {*files} == {
        *("models.toml", "models.lock", "triton-config/alpha/gpu.pbtxt", "triton-config/beta/gpu.pbtxt"),
        *("sources/alpha/1/model.onnx", "sources/beta/1/model.onnx", "sources/beta/2/model.onnx"),
    }
    assert files["sources/beta/2/model.onnx"] == (checkout / "sources/beta-2.onnx").read_bytes()


def test_sources_lie_in_the_release_wherever_they_are_here(checkout, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside.onnx"
    outside.write_bytes((checkout / "sources/alpha-1.onnx").read_bytes())
    edit(checkout / "models.toml", '"sources/alpha-1.onnx"', f'"{outside}"')
    lock_models(load(checkout))
    files = read(checkout).files
    assert files["sources/alpha/1/model.onnx"] == outside.read_bytes()
    assert tmp_path.name not in files["models.toml"].decode() + files["models.lock"].decode()


def test_a_folder_travels_with_all_of_its_files(checkout):
    external_weights([1.0, 2.0, 3.0], checkout / "sources/folder")
    edit(checkout / "models.toml", '"sources/alpha-1.onnx"', '"sources/folder"\ntype = "directory"')
    lock_models(load(checkout))
    found = [path for path in read(checkout).files if path.startswith("sources/alpha")]
    assert found == ["sources/alpha/1/model.onnx/model.onnx", "sources/alpha/1/model.onnx/model.onnx.data"]


def test_every_kind_of_source_reads_back_as_it_was():
    catalog = load_catalog(PROJECT / "models.toml")
    again = parse_catalog(catalog.path, format_catalog(catalog.versions, catalog.path.parent))
    key = lambda version: (version.name, version.version)  # noqa: E731
    places = {key(version): version.place for version in again.versions}
    assert sorted(again.versions, key=key) == [
        type(version)(**{**vars(version), "place": places[key(version)]})
        for version in sorted(catalog.versions, key=key)
    ]


def test_names_and_values_that_need_quotes_read_back_as_they_were(tmp_path):
    text = (
        '[[models."a.b"]]\nurl = "https://x.org/a?b=c"\nsha256 = "' + "0" * 64 + '"\ntriton_version = 3\n'
        'local_name = "m\\"o.onnx"\n\n[[models.x]]\nname = "ü-3.0"\nrepo_id = "a/b"\ntype = "directory"\n'
        'subfolder = "."\ntriton_version = 1\ndepends_on = ["a.b"]\nhosts = ["eu"]\n'
    )
    catalog = parse_catalog(tmp_path / "models.toml", text)
    again = parse_catalog(tmp_path / "models.toml", format_catalog(catalog.versions, tmp_path))
    plain = [{**vars(version), "place": None, "hosts": ()} for version in catalog.versions]
    assert [{**vars(version), "place": None} for version in again.versions] == plain


def test_sources_of_more_than_900_kb_are_refused_with_the_ways_out(checkout):
    (checkout / "sources/alpha-1.onnx").write_bytes(bytes(MAX_SOURCES))
    lock_models(load(checkout), include=["alpha"])
    with pytest.raises(InputError, match="900,312 bytes") as caught:
        read(checkout)
    assert all(way in str(caught.value.hint) for way in ("url", "Hub", "init_sources", "models_image"))


def test_sources_of_the_init_image_do_not_travel(checkout):
    (checkout / "sources/alpha-1.onnx").write_bytes(bytes(MAX_SOURCES))
    lock_models(load(checkout), include=["alpha"])
    files = read(checkout, init_sources="/opt/sources").files
    assert not any(path.startswith("sources/") for path in files)
    assert 'path = "/opt/sources/beta/2/model.onnx"' in files["models.toml"].decode()
    assert '"path:../opt/sources/beta/2/model.onnx as model.onnx"' in files["models.lock"].decode()


def test_sources_travel_unless_an_image_has_the_models(checkout):
    (checkout / "sources/alpha-1.onnx").write_bytes(bytes(MAX_SOURCES))
    lock_models(load(checkout), include=["alpha"])
    with pytest.raises(InputError, match="900,312 bytes"):
        read(checkout, models_image=MODELS_IMAGE)
    mounted = read(checkout, models_image=MODELS_IMAGE, has_image_volumes=True)
    assert mounted.models_image == MODELS_IMAGE
    assert {path.partition("/")[0] for path in mounted.files} == {"models.toml", "models.lock", "triton-config"}
    with pytest.raises(InputError, match="900,312 bytes"):
        read(checkout, has_image_volumes=True)


def test_a_source_that_changed_since_it_was_locked_is_named(checkout):
    (checkout / "sources/alpha-1.onnx").write_bytes(b"changed")
    assert "changed since it was locked" in failures(checkout)["alpha/1"]


def test_what_is_not_locked_and_what_was_locked_otherwise_is_named(checkout):
    (checkout / "models.lock").write_text("")
    assert "inv models.lock" in failures(checkout)["beta/2"]
    lock_models(load(checkout))
    edit(checkout / "models.toml", "alpha-1", "beta-1")
    assert failures(checkout) == {
        "alpha/1": "models.toml asks for path:sources/beta-1.onnx as model.onnx, the lock was made for "
        "path:sources/alpha-1.onnx as model.onnx. inv models.lock --include alpha"
    }


def test_the_cpu_configs_are_those_of_a_target_without_gpus(checkout):
    (checkout / "triton-config/alpha/gpu.pbtxt").unlink()
    assert "triton-config/alpha/cpu.pbtxt" in read(checkout, gpus=0).files
    assert "gpu.pbtxt" in failures(checkout)["alpha"]


def test_labels_travel_with_their_config(checkout):
    folder = checkout / "triton-config/alpha"
    edit(folder / "gpu.pbtxt", 'name: "y"', 'name: "y" label_filename: "labels.txt"')
    (folder / "labels.txt").write_bytes("zéro\r\n".encode())
    assert read(checkout).files["triton-config/alpha/labels.txt"] == "zéro\r\n".encode()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", [1, 2]),  # as models.toml declares several
        ("version_policy: { latest: { num_versions: 1 } }", [2]),
        ("version_policy: { specific: { versions: [ 1 ] } }", [1]),
        ("version_policy: { all: {} }", [1, 2]),
    ],
)
def test_the_versions_that_are_expected_follow_the_policy(checkout, policy, expected):
    config = checkout / "triton-config/beta/gpu.pbtxt"
    config.write_text(f"{config.read_text()}{policy}\n")
    assert [version for name, version in read(checkout).expected if name == "beta"] == expected


def test_a_config_that_does_not_parse_is_named_with_its_line(checkout):
    (checkout / "triton-config/alpha/gpu.pbtxt").write_text('backend: "onnxruntime"\nmax_batch: 8\n')
    assert "gpu.pbtxt:2:" in failures(checkout)["alpha"]


@pytest.mark.parametrize("name", ["a b", "a?b", "a#b", "a'b"])
def test_a_name_that_the_probe_could_not_ask_for_is_refused(tmp_path, name):
    write_project(tmp_path, {"alpha": (1,)})
    edit(tmp_path / "models.toml", "[[models.alpha]]", f'[[models."{name}"]]')
    (tmp_path / "triton-config/alpha").rename(tmp_path / "triton-config" / name)
    lock_models(load(tmp_path))
    assert "the probes cannot ask for its name" in failures(tmp_path)[name]


def test_bytes_that_are_no_text_are_base64(checkout):
    from tritonops.kubernetes.manifests.config_maps import release_maps

    release = read(checkout)
    (made,) = release_maps(target(), release)
    binaries = made.manifest["binaryData"]
    decoded = {made.paths[key]: base64.b64decode(value) for key, value in binaries.items()}
    assert decoded == {path: data for path, data in release.files.items() if path.startswith("sources/")}
