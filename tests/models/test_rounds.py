"""Ten commands at once, three times over; `python -m tests.models.rounds` does it fifty times."""

import random

import pytest

from tests.models.rounds import Tally, push_models, run_round


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_commands_at_once_lose_nothing_and_bring_nothing_back(hub, tmp_path, seed):
    push_models(hub)
    tally = Tally()
    assert run_round(hub, tmp_path / "project", random.Random(seed), tally) == []
    assert tally.codes["models.add exit 0"] == 2
