"""models.download from a server that speaks the Hub's protocol."""

import hashlib
import re

import pytest

from tests.hub.server import GOOD_TOKEN, OTHER_TOKEN, Link
from tests.models.catalogs import files_below, one_file, one_folder, with_token, write
from tritonops.errors import SettingsError
from tritonops.models.download import download
from tritonops.models.lock import lock_models
from tritonops.models.sources.hub_address import Hub
from tritonops.project import Project
from tritonops.settings import load_settings


def test_huggingface_hub_itself_works_against_the_test_hub(hub, tmp_path):
    from huggingface_hub import snapshot_download

    commit = hub.push("team/itself", {"onnx/model.onnx": b"weights" * 1000}, small={"config.json": b"{}"})
    folder = snapshot_download("team/itself", endpoint=hub.endpoint, cache_dir=tmp_path, token=False)
    assert folder.endswith(commit)
    assert files_below(tmp_path / "models--team--itself/snapshots" / commit) == {
        "onnx/model.onnx": b"weights" * 1000,
        "config.json": b"{}",
    }


def test_a_file_of_the_hub_is_installed_and_pinned_to_the_commit(hub, project):
    commit = hub.push("team/one", {"weights/best.onnx": b"weights"})
    write(project, one_file("one", "team/one", "weights/best.onnx"))
    assert download(Project(project)).downloaded == ("one/1",)
    assert files_below(project.models_dir) == {"one/1/model.onnx": b"weights"}
    lock = project.lock_path.read_text()
    assert f'commit = "{commit}"' in lock
    assert hashlib.sha256(b"weights").hexdigest() in lock


def test_a_folder_of_the_hub_becomes_the_folder_named_local_name(hub, project):
    hub.push(
        "team/folder",
        {"onnx/model.onnx": b"graph", "onnx/data/weights.bin": b"weights", "other/model.onnx": b"no"},
        small={"onnx/config.json": b"{}", "README.md": b"no"},
    )
    write(project, one_folder("folder", "team/folder"))
    assert download(Project(project)).downloaded == ("folder/1",)
    assert files_below(project.models_dir) == {
        "folder/1/model.onnx/model.onnx": b"graph",
        "folder/1/model.onnx/data/weights.bin": b"weights",
        "folder/1/model.onnx/config.json": b"{}",
    }


def test_a_branch_that_moves_on_does_not_move_the_pin(hub, project):
    hub.push("team/moving", {"model.onnx": b"first"})
    write(project, one_file("moving", "team/moving"))
    download(Project(project))
    hub.push("team/moving", {"model.onnx": b"second"})
    assert download(Project(project)).skipped == ("moving/1",)
    assert files_below(project.models_dir) == {"moving/1/model.onnx": b"first"}


def test_nothing_to_do_asks_nobody(hub, project):
    hub.push("team/idle", {"model.onnx": b"weights"}, small={"config.json": b"{}"})
    write(project, one_file("idle", "team/idle"))
    download(Project(project))
    hub.seen.clear()
    assert download(Project(project)).skipped == ("idle/1",)
    assert hub.seen == []


def test_with_the_lock_no_metadata_is_asked_for(hub, project):
    hub.push("team/locked", {"model.onnx": b"weights"})
    write(project, one_file("locked", "team/locked"))
    download(Project(project))
    for path in (project.models_dir / "locked/1/model.onnx", *project.store_dir.glob("?" * 64)):
        path.unlink()
    hub.seen.clear()
    assert download(Project(project), overwrite=True).downloaded == ("locked/1",)
    assert hub.requests("/api/") == []


def test_one_request_a_model_and_one_a_file(hub, project):
    hub.push("team/few", {"onnx/model.onnx": b"weights"}, small={"onnx/config.json": b"{}"})
    write(project, one_folder("few", "team/few"))
    download(Project(project))
    assert len(hub.requests("/api/")) == 1
    assert len(hub.requests("/resolve/")) == 2
    assert len(hub.requests("/cdn/")) == 1
    assert len(hub.seen) == 4


def test_the_same_file_of_two_models_is_fetched_once(hub, project):
    hub.push("team/a", {"model.onnx": b"shared weights"})
    hub.push("team/b", {"model.onnx": b"shared weights"})
    write(project, one_file("a", "team/a"), one_file("b", "team/b"))
    result = download(Project(project))
    assert (result.downloaded, result.bytes) == (("a/1", "b/1"), len(b"shared weights"))
    assert len(hub.requests("/cdn/")) == 1


def test_a_large_file_comes_in_several_pieces_at_once(hub, project):
    hub.link = Link(latency=0.02)
    content = b"0123456789abcdef" * (1 << 19)
    hub.push("team/large", {"model.onnx": content})
    write(project, one_file("large", "team/large"))
    assert download(Project(project)).bytes == len(content)
    assert files_below(project.models_dir) == {"large/1/model.onnx": content}
    assert len(hub.requests("/resolve/")) == 1
    assert len(hub.requests("/cdn/")) >= 7  # of 1 MB each, but for the last


def test_an_empty_file_is_a_file(hub, project):
    hub.push("team/empty", {"onnx/model.onnx": b"graph"}, small={"onnx/empty.txt": b""})
    write(project, one_folder("empty", "team/empty"))
    assert download(Project(project)).failed == ()
    assert files_below(project.models_dir)["empty/1/model.onnx/empty.txt"] == b""


def test_the_token_goes_to_the_hub_and_never_to_the_cdn(hub, project):
    hub.push("team/private", {"model.onnx": b"weights"}, access="private")
    write(project, one_file("private", "team/private"))
    assert download(Project(with_token(project, GOOD_TOKEN))).failed == ()
    tokens = {(seen.server, seen.headers.get("Authorization")) for seen in hub.seen}
    assert tokens == {("hub", f"Bearer {GOOD_TOKEN}"), ("cdn", None)}


@pytest.mark.parametrize(
    ("stored", "found"), [("hf_stored", "hf_stored"), (" hf_stored\r\n", "hf_stored"), ("", None), (None, None)]
)
def test_the_token_of_an_earlier_login_is_used_where_there_is_one(tmp_path, stored, found):
    if stored is not None:
        (tmp_path / "token").write_text(f"{stored}\n")
    hub = Hub.of(load_settings(tmp_path, environ={"HF_HOME": str(tmp_path)}))
    assert hub.address("x").token == found


@pytest.mark.parametrize(
    ("access", "token", "advice"),
    [
        ("private", None, "Set HF_TOKEN"),
        ("private", "hf_wrong", "HF_TOKEN is set, but"),
        ("gated", None, "accept its terms"),
        ("gated", OTHER_TOKEN, "accept its terms"),
    ],
)
def test_a_refusal_says_what_to_do_and_does_not_show_the_token(hub, project, access, token, advice):
    hub.push("team/closed", {"model.onnx": b"weights"}, access=access)
    write(project, one_file("closed", "team/closed"))
    [failure] = download(Project(with_token(project, token))).failed
    assert advice in failure.error
    assert "hf_" not in failure.error
    assert files_below(project.models_dir) == {}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (one_file("lost", "team/nowhere"), "no such repository|Set HF_TOKEN"),
        (one_file("lost", "team/there", revision="v9"), "no such revision"),
        (one_file("lost", "team/there", "weight/best.onnx"), "Did you mean 'weights/best.onnx'"),
        (one_folder("lost", "team/there", "onnx"), "has no folder 'onnx'"),
    ],
)
def test_what_is_not_on_the_hub_is_named(hub, project, entry, reason):
    hub.push("team/there", {"weights/best.onnx": b"weights"})
    write(project, entry, one_file("there", "team/there", "weights/best.onnx"))
    result = download(Project(project))
    assert result.downloaded == ("there/1",)
    [failure] = result.failed
    assert failure.model == "lost/1"
    assert re.search(reason, failure.error)


@pytest.mark.parametrize("path", ["onnx/../../../escaped", "/etc/escaped", "onnx/a\\..\\b", "onnx//b", "onnx/a\nb"])
def test_a_listing_that_leads_out_of_the_repository_is_refused(hub, project, path):
    hub.push("team/hostile", {"onnx/model.onnx": b"weights", path: b"escaped"})
    write(project, one_folder("hostile", "team/hostile"))
    [failure] = download(Project(project)).failed
    assert "refused" in failure.error
    assert not list(project.project.parent.rglob("escaped*"))
    assert files_below(project.models_dir) == {}


def test_a_url_is_fetched_and_checked_against_its_sha256(hub, project):
    hub.push("team/url", {"model.onnx": b"weights" * 1000})
    sha256 = hashlib.sha256(b"weights" * 1000).hexdigest()
    url = f"{hub.cdn}/cdn/{sha256}"
    write(project, f'[[models.url]]\nurl = "{url}"\nsha256 = "{sha256}"\ntriton_version = 1\ntype = "single_file"\n')
    assert download(Project(with_token(project, GOOD_TOKEN))).downloaded == ("url/1",)
    assert all("Authorization" not in seen.headers for seen in hub.seen)
    assert files_below(project.models_dir) == {"url/1/model.onnx": b"weights" * 1000}


def test_a_url_with_other_bytes_than_its_sha256_is_not_installed(hub, project):
    hub.push("team/url", {"model.onnx": b"weights"})
    url = f"{hub.cdn}/cdn/{hashlib.sha256(b'weights').hexdigest()}"
    write(project, f'[[models.url]]\nurl = "{url}"\nsha256 = "{"0" * 64}"\ntriton_version = 1\ntype = "single_file"\n')
    [failure] = download(Project(project)).failed
    assert "another hash" in failure.error
    assert files_below(project.models_dir) == {}


@pytest.mark.parametrize("name", ["HF_TOKEN_PATH", "HF_HOME"])
def test_a_home_that_is_not_there_is_no_place_for_a_token(tmp_path, name):
    settings = load_settings(tmp_path, environ={name: "~nosuchuser/hf"})
    with pytest.raises(SettingsError, match=f"{name}='~nosuchuser/hf'.*'nosuchuser'"):
        Hub.of(settings)


def test_a_model_in_two_places_fails_alone(hub, project):
    hub.push("team/a", {"model.onnx": b"a weights"})
    hub.push("team/b", {"onnx/model.onnx": b"b weights"}, small={"onnx/config.json": b"{}"})
    write(project, one_file("a", "team/a"), one_folder("b", "team/b"))
    for folder in (project.models_dir, project.models_dir.with_name("triton-disabled")):
        (folder / "b").mkdir(parents=True)
    result = download(Project(project))
    assert result.downloaded == ("a/1",)
    assert [(failure.model, "is in two places" in failure.error) for failure in result.failed] == [("b/1", True)]
    assert lock_models(Project(project), include=["b"]).locked == ("b/1",)
