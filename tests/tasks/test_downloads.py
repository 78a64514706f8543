import json

import pytest

from tasks.output.progress import download_progress
from tests.models.catalogs import one_file
from tritonops.models.transfer.progress import Transfer


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch, hub):
    """A project of two models, of which the Hub has one."""
    hub.push("team/there", {"model.onnx": b"weights"})
    (tmp_path / "models.toml").write_text(one_file("there", "team/there"))
    monkeypatch.setenv("MODELS_TOML", str(tmp_path / "models.toml"))
    monkeypatch.setenv("TRITON_MODELS_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    return tmp_path


def lose_one(project):
    with (project / "models.toml").open("a") as file:
        file.write(one_file("lost", "team/there", "lost.onnx"))


def test_download_says_each_file_and_a_summary_on_stderr(inv):
    code, out, err = inv("models.download")
    assert (code, out) == (0, "")
    first, last = err.splitlines()
    assert first.startswith("there/1/model.onnx: 7 B in ")
    assert last.startswith("1 downloaded (7 B in ")


def test_download_is_one_json_document_for_scripts_also_when_it_fails_in_part(inv, project):
    lose_one(project)
    code, out, err = inv("models.download", "--json")
    result = json.loads(out)
    assert code == 1
    assert result.keys() == {"downloaded", "skipped", "failed", "bytes", "seconds"}
    assert (result["downloaded"], result["skipped"], result["bytes"]) == (["there/1"], [], 7)
    assert [failure["model"] for failure in result["failed"]] == ["lost/1"]
    assert err.startswith("error: not everything was downloaded:\n  lost/1: ")


def test_an_unknown_model_and_a_wrong_number_are_refused(inv):
    assert inv("models.download", "--include", "theer")[0] == 2
    code, _, err = inv("models.download", "--jobs", "0")
    assert (code, "expected a positive integer" in err) == (2, True)


def test_lock_check_exits_4_until_everything_is_locked(inv):
    assert inv("models.lock", "--check")[0] == 4
    assert inv("models.lock")[0] == 0
    assert inv("models.lock", "--check") == (0, "", "")


def test_prune_asks_and_deletes_with_yes(inv, project):
    inv("models.download")
    unused = project / ".store" / ("0" * 64)
    unused.write_bytes(b"unused")
    assert inv("models.prune")[0] == 2
    assert unused.exists()
    assert inv("models.prune", "--yes")[0] == 0
    assert not unused.exists()


def test_ctrl_c_says_what_is_kept(capfd):
    def download():
        with download_progress(quiet=False) as progress:
            progress.moved([Transfer("a/1/model.onnx", 118_000_000, 54_000_000, 0, 1.0)], 54_000_000, 118_000_000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download()
    assert capfd.readouterr().err == "54.0 MB of 118.0 MB kept; run it again to resume\n"


def test_what_an_earlier_run_left_is_named(capfd):
    with download_progress(quiet=False) as progress:
        progress.moved([Transfer("a/1/model.onnx", 2000, 1500, 1500, 0.0)], 1500, 4000)
    assert capfd.readouterr().err == "resumed: 1.5 kB of 4.0 kB are here\n"
