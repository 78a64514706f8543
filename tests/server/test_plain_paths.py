"""Links with plain names for paths that a shell would interpret."""

import os

import pytest

from tritonops.errors import RepositoryError
from tritonops.server import plain_paths
from tritonops.server.plain_paths import plain_path, remove_links


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_plain_path_stays_as_it_is(tmp_path):
    assert plain_path(tmp_path / "triton", tmp_path) == tmp_path / "triton"


def test_any_other_path_gets_a_link_in_the_cache_which_goes_with_the_server(tmp_path, cache):
    spaced = tmp_path / "my models"
    spaced.mkdir()
    (spaced / "file").touch()
    link = plain_path(spaced, tmp_path / ".server")
    assert link.is_relative_to(cache)
    assert (link / "file").exists()
    assert plain_path(spaced, tmp_path / ".server") == link
    remove_links(tmp_path / ".server")
    assert not link.is_symlink()


def test_a_link_to_another_folder_is_replaced(tmp_path, cache):
    spaced = tmp_path / "my models"
    link = plain_path(spaced, tmp_path / ".server")
    link.unlink()
    link.symlink_to("/elsewhere")
    assert plain_path(spaced, tmp_path / ".server").readlink() == spaced


def test_a_cache_that_is_not_plain_itself_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    server_dir = tmp_path / ".server"
    try:
        assert str(plain_path(tmp_path / "my models", server_dir)).startswith(f"/var/tmp/tritonops-{os.getuid()}-")
    finally:
        remove_links(server_dir)


def test_a_folder_of_another_user_gets_no_link(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    monkeypatch.setattr(plain_paths, "_link_folders", lambda server_dir: [cache / "theirs"])
    with pytest.raises(RepositoryError, match="cannot read from") as raised:
        plain_path(tmp_path / "my models", tmp_path)
    assert raised.value.hint == "Move the project, or set TRITON_MODELS_DIR."
