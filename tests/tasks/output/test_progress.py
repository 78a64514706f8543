"""A download at a terminal and in a log: names whole where they fit, a fixed height, a line each ten seconds."""

import time

import pytest

from tasks.output.progress import _by_model, _duration, _fitted, _Log, _model_line
from tritonops.models.transfer.progress import Transfer


def transfer(label, size=2_000_000, received=500_000):
    return Transfer(label, size, received, 0, 1.0)


def test_the_files_of_a_version_are_one_line_the_largest_version_first():
    active = [transfer("small/1/a", 10, 5), transfer("large/2/a", 100, 50), transfer("small/1/b", 20, 10)]
    assert _by_model(active) == {"large/2": (50, 100), "small/1": (15, 30)}


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("name", ["clip/1", "a-model-with-quite-a-long-name/12", "x" * 50])
def test_a_line_fits_and_has_the_name_whole_where_that_fits(width, name):
    line = _model_line(name, 500_000, 2_000_000, width)
    assert len(line) <= width
    assert " 25%" in line
    assert name in line or len(name) + 6 > width


def test_a_name_that_does_not_fit_keeps_both_ends():
    assert _fitted("abcdefghijk", 7) == "abc…ijk"


def test_a_log_has_the_total_every_ten_seconds(monkeypatch, capfd):
    now = iter([0.0, 4.0, 9.0, 14.0, 18.0, 26.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    log = _Log()
    for received in (1_000_000, 2_000_000, 3_000_000, 4_000_000, 6_000_000):
        log.moved([transfer("clip/1/model.onnx")], received, 10_000_000)
    assert capfd.readouterr().err.splitlines() == [
        "3.0 MB of 10.0 MB, 30%, 200.0 kB/s, 0:35 left",
        "6.0 MB of 10.0 MB, 60%, 250.0 kB/s, 0:16 left",
    ]


def test_durations_are_minutes_and_seconds():
    assert [_duration(seconds) for seconds in (0, 59.6, 61, 3725)] == ["0:00", "1:00", "1:01", "1:02:05"]
