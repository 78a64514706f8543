"""A short life of two hosts; `./inv bench life` lives a long one."""

from __future__ import annotations

import pytest

from tests.remote.life import HOSTS, Life, summary
from tests.remote.project import Site


@pytest.mark.slow
def test_fifteen_steps_of_random_life_give_no_wrong_answer(tmp_path):
    with Site.at(tmp_path, *HOSTS) as site:
        steps = Life(site, seed=16).run_steps(15)
    assert not [step for step in steps if step.complaints], summary(steps)
    assert sum(step.requests for step in steps) > 100
