"""The loads of a starting server, with loads that end, fail, hang and crash as they are told to."""

import contextlib
import threading

import pytest

from tests.onnx_models import write_model
from tests.triton.projects import write_ensemble
from tests.triton.stub_client import StubClient
from tritonops.errors import TritonError, TritonUnreachableError
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.startup import loading
from tritonops.triton.startup.loading import Loading, load_threads

DOWN = TritonUnreachableError("127.0.0.1:8001", "refused")


@pytest.fixture
def models_dir(tmp_path):
    return tmp_path / "triton"


@pytest.fixture
def run(models_dir, monkeypatch):
    """Run loads on a server whose calls do what `effects` says of a model; the log is what they wrote."""
    ended = threading.Event()

    def run(found, effects=None, *, timeout=10.0):
        log, is_alive = [], threading.Event()
        is_alive.set()

        def on_load(client, name):
            effect = (effects or {}).get(name)
            if effect == "crash":
                is_alive.clear()
                raise DOWN
            if effect == "hang":
                ended.wait(10)
            elif isinstance(effect, str):
                log.append(effect)
                ended.wait(10)
            elif effect:
                raise effect

        client = StubClient(on_load=on_load)
        monkeypatch.setattr(loading, "connect", lambda url, token: contextlib.nullcontext(client))
        read_log = lambda position: ("".join(log)[position:], len("".join(log)))  # noqa: E731
        done = found.run(client.url, read_log, is_alive.is_set, token=None, deadline=Deadline.after(timeout))
        return done, [call.removeprefix("load ") for call in client.calls if call.startswith("load ")]

    yield run
    ended.set()


def of(models_dir, **options):
    return Loading.of(models_dir, refuse=lambda name: None, **options)


def test_every_model_is_loaded_and_ensembles_last_after_their_steps(models_dir, run):
    write_ensemble(models_dir, "a_outer", "b_inner")
    write_ensemble(models_dir, "b_inner", "step")
    write_model(models_dir, "step")
    done, loaded = run(of(models_dir))
    assert (done, loaded) == (True, ["step", "b_inner", "a_outer"])


def test_a_refused_model_is_left_out_and_so_is_its_ensemble(models_dir, run):
    write_model(models_dir, "step")
    write_ensemble(models_dir, "pair", "step")
    found = Loading.of(models_dir, refuse=lambda name: "a bad name" if name == "step" else None)
    assert run(found) == (True, [])
    assert found.reasons == {"step": "a bad name", "pair": "its step step would be loaded with it: a bad name"}


def test_the_answer_to_a_failed_load_is_kept_without_its_prefix(models_dir, run):
    write_model(models_dir, "bad")
    found = of(models_dir)
    run(found, {"bad": TritonError("no", answer="load failed for model 'bad': no memory")})
    assert (found.answers, found.reasons) == ({"bad": "no memory"}, {})


def test_a_load_that_takes_too_long_is_aborted_and_the_others_are_loaded(models_dir, run):
    write_model(models_dir, "slow")
    write_model(models_dir, "good")
    found = of(models_dir, model_timeout=0.2)
    done, loaded = run(found, {"slow": "hang"})
    assert (done, sorted(loaded)) == (True, ["good", "slow"])
    assert found.reasons == {"slow": "still loading after 0.2 s; --model-timeout allows more"}


def test_a_load_that_the_log_shows_as_stuck_is_aborted_at_once(models_dir, run):
    write_model(models_dir, "m")
    found = of(models_dir)
    stuck = 'I1 "loading: m:1"\nE1 "Failed to preinitialize Python stub: no file \'/models/m/1/model.py\'"\n'
    assert run(found, {"m": stuck})[0]
    assert found.reasons["m"].startswith("its load cannot end: ")


def test_the_deadline_of_all_loads_ends_them(models_dir, run):
    write_model(models_dir, "slow")
    found = of(models_dir)
    run(found, {"slow": "hang"}, timeout=0.3)
    assert found.reasons == {"slow": "not loaded within the 0.3 s for all models; --timeout allows more"}


def test_a_crash_during_one_load_names_that_model(models_dir, run):
    write_model(models_dir, "bad")
    found = of(models_dir)
    assert not run(found, {"bad": "crash"})[0]
    assert found.reasons["bad"].startswith("Triton crashed while it loaded this model")
    assert run(found) == (True, [])


def test_after_a_crash_the_suspects_are_loaded_one_by_one(models_dir):
    for name in ("a", "b", "c"):
        write_model(models_dir, name)
    found = of(models_dir)
    found._crashed(["a", "b"], "")
    assert (found.together, found.alone, found.reasons) == (["c"], ["a", "b"], {})


def test_after_many_crashes_no_suspect_is_tried_again(models_dir):
    write_model(models_dir, "a")
    found = of(models_dir)
    found.crashes, found.alone = 7, ["b"]
    found._crashed(["a", "c"], "")
    assert found.reasons["a"].startswith("not tried again: Triton crashed 8 times")
    assert found.reasons["b"].startswith("not tried: Triton crashed 8 times")


def test_each_model_has_a_thread():
    assert (load_threads("abc"), load_threads("abcdefghij" * 100)) == (11, 256)
