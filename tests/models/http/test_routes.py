"""Switches of the environment that say who is asked, and with which token."""

import pytest

from tests.hub.server import GOOD_TOKEN
from tests.models.catalogs import files_below, one_file, write
from tests.models.http.test_proxies import failure_of, settings_of
from tests.models.test_download_route import BODY
from tritonops.models.download import download
from tritonops.project import Project


@pytest.mark.parametrize("value", ["1", "true", "YES", "On"])
def test_offline_installs_what_is_stored_and_asks_nobody(project, hub, value):
    hub.push("team/stored", {"model.onnx": BODY})
    hub.push("team/new", {"model.onnx": b"new"})
    write(project, one_file("stored", "team/stored"))
    download(Project(project))
    (project.models_dir / "stored/1/model.onnx").unlink()
    (project.models_dir / "stored/1").rmdir()
    url = f'[[models.url]]\nurl = "{hub.cdn}/cdn/x"\nsha256 = "{"0" * 64}"\ntriton_version = 1\ntype = "single_file"\n'
    write(project, one_file("stored", "team/stored"), one_file("new", "team/new"), url)
    hub.seen.clear()
    result = download(Project(settings_of(project, HF_HUB_OFFLINE=value)))
    assert result.downloaded == ("stored/1",)
    assert [failure.model for failure in result.failed] == ["new/1", "url/1"]
    assert all("HF_HUB_OFFLINE forbids" in failure.error for failure in result.failed)
    assert hub.seen == []


def test_offline_names_a_pinned_file_that_is_not_stored(project, hub):
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    download(Project(project))
    for path in [*project.store_dir.glob("?" * 64), project.models_dir / "one/1/model.onnx"]:
        path.unlink()
    hub.seen.clear()
    assert "one/1/model.onnx is not stored here" in failure_of(settings_of(project, TRANSFORMERS_OFFLINE="1"))
    assert hub.seen == []


@pytest.mark.parametrize("environ", [{"HF_HUB_OFFLINE": "0"}, {"HF_HUB_OFFLINE": "no", "TRANSFORMERS_OFFLINE": "1"}])
def test_what_huggingface_hub_takes_for_no_is_online(project, hub, environ):
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    assert download(Project(settings_of(project, **environ))).failed == ()


def test_no_token_is_sent_where_none_may_be_sent_implicitly(project, hub):
    hub.push("team/one", {"model.onnx": BODY}, access="private")
    write(project, one_file("one", "team/one"))
    error = failure_of(settings_of(project, HF_TOKEN=GOOD_TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN="1"))
    assert "HF_HUB_DISABLE_IMPLICIT_TOKEN is set, so no token was sent" in error
    assert all("Authorization" not in seen.headers for seen in hub.seen)
    assert download(Project(settings_of(project, HF_TOKEN=GOOD_TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN="0"))).failed == ()
    assert files_below(project.models_dir) == {"one/1/model.onnx": BODY}
