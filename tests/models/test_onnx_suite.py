"""The ONNX project's backend tests: generated configs are served and right, and refusals are reported before."""

import os

import pytest
from tritonclient.grpc import InferenceServerClient

from tests.models.live_suite import judge_and_serve
from tests.models.onnx_suite import sample, suite

COUNT = int(os.environ.get("ONNX_SUITE", "80"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_gets_a_config_is_served_and_right_and_every_refusal_was_said(start_module_triton, tmp_path_factory):
    repository = tmp_path_factory.mktemp("suite") / "triton"
    repository.mkdir()
    client = InferenceServerClient(start_module_triton(repository).grpc_url)
    verdicts = judge_and_serve(sample(suite(), COUNT, seed=21), repository, client)
    served = [verdict for verdict in verdicts if not verdict.unservable and not verdict.refused]
    assert [verdict for verdict in verdicts if not verdict.is_right] == []
    assert len(served) > COUNT / 2
    print(f"{len(verdicts)} models: {len(served)} served, {sum(bool(v.refused) for v in verdicts)} refused")
