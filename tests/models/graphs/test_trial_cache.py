"""Trials remembered by content."""

import onnx
import pytest

from tests.onnx_models import affine, external_weights
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.graphs.trial import TrialRequest
from tritonops.models.graphs.trial_cache import TrialCache


@pytest.fixture
def tried(tmp_path):
    """Try graphs, and give the files of those that were not known."""

    def tried(*requests):
        ran: list[TrialRequest] = []
        cache = TrialCache(tmp_path / "work" / "trials.json", DigestCache(tmp_path / "work" / "digests.json"))
        found = cache.try_graphs(requests, on_start=ran.append)
        assert list(found) == list(requests) or set(found) == set(requests)
        return found, ran

    return tried


def test_the_same_bytes_are_tried_once_also_at_another_path(tmp_path, tried):
    for name in ("a", "b"):
        onnx.save_model(affine(), tmp_path / f"{name}.onnx")
    first, second = TrialRequest(tmp_path / "a.onnx", batches=True), TrialRequest(tmp_path / "b.onnx", batches=True)
    found, ran = tried(first)
    assert ran == [first]
    again, ran = tried(second)
    assert ran == []
    assert again[second] == found[first]
    assert tried(TrialRequest(tmp_path / "b.onnx", batches=True, rows=2))[1]


def test_changed_weights_outside_of_the_file_are_tried_again(tmp_path, tried):
    external_weights([1.0, 2.0], tmp_path / "model")
    request = TrialRequest(tmp_path / "model" / "model.onnx")
    assert tried(request)[1] == [request]
    (tmp_path / "model" / "model.onnx.data").write_bytes(b"\0" * 8)
    assert tried(request)[1] == [request]


def test_a_link_to_weights_elsewhere_is_not_taken_for_the_weights(tmp_path, tried):
    external_weights([1.0, 2.0], tmp_path / "elsewhere")
    external_weights([1.0, 2.0], tmp_path / "model")
    weights = tmp_path / "model" / "model.onnx.data"
    weights.unlink()
    weights.symlink_to(tmp_path / "elsewhere" / "model.onnx.data")
    linked, copied = (TrialRequest(tmp_path / name / "model.onnx") for name in ("model", "elsewhere"))
    assert tried(linked)[0][linked].state == "refused"
    assert tried(copied)[0][copied].state == "loaded"
    weights.unlink()
    weights.write_bytes((tmp_path / "elsewhere" / "model.onnx.data").read_bytes())
    assert tried(linked) == ({linked: tried(copied)[0][copied]}, [])


def test_what_is_unknown_is_tried_again_and_a_spoiled_cache_is_none(tmp_path, tried):
    onnx.save_model(affine(), tmp_path / "a.onnx")
    known, unknown = TrialRequest(tmp_path / "a.onnx"), TrialRequest(tmp_path / "a.onnx", libraries=("/absent.so",))
    assert set(tried(known, unknown)[1]) == {known, unknown}
    assert tried(known, unknown)[1] == [unknown]
    (tmp_path / "work" / "trials.json").write_text('{"x": [1]}')
    assert tried(known)[1] == [known]
