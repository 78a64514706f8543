"""Findings, and what they amount to."""

import pytest

from tests.models.rules.subjects import subject
from tritonops.errors import TritonOpsError
from tritonops.models.rules.finding import Finding, raise_on_errors


def finding(severity):
    return Finding("clip", "code", severity, (), "what", "why", "fix")


def test_errors_raise_with_their_number_and_warnings_pass():
    raise_on_errors([finding("warning")])
    with pytest.raises(TritonOpsError, match="2 errors, 1 warning"):
        raise_on_errors([finding("error"), finding("warning"), finding("error")])


@pytest.mark.parametrize(
    ("edits", "append", "is_ensemble"),
    [
        ((), "", False),
        ((), "ensemble_scheduling { }", True),
        ((('backend: "onnxruntime"', 'platform: "ensemble"'),), "", True),
    ],
)
def test_an_ensemble_is_known_by_its_platform_or_its_steps(edits, append, is_ensemble):
    assert subject(*edits, append=append).is_ensemble == is_ensemble
