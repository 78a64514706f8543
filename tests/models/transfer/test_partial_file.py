"""Partial files and their journals."""

import pytest

from tritonops.models.transfer.intervals import gaps, joined
from tritonops.models.transfer.partial_file import PartialFile

SIZE = 1 << 20


def write(file, start, data):
    file.write(start, memoryview(data))


def test_what_was_written_is_known_to_the_next_run(tmp_path):
    first = PartialFile(tmp_path / "x", SIZE)
    write(first, 100, b"abc")
    write(first, 103, b"de")
    write(first, 0, b"start")
    first.close()
    again = PartialFile(tmp_path / "x", SIZE)
    assert again.arrived() == [(0, 5), (100, 105)]
    buffer = memoryview(bytearray(5))
    assert again.read(100, buffer) == 5
    assert bytes(buffer) == b"abcde"
    again.close()


def test_a_record_that_was_cut_short_is_ignored_and_overwritten(tmp_path):
    first = PartialFile(tmp_path / "x", SIZE)
    write(first, 0, b"abc")
    first.close()
    with (tmp_path / "x.journal").open("ab") as journal:
        journal.write(b"half")
    again = PartialFile(tmp_path / "x", SIZE)
    assert again.arrived() == [(0, 3)]
    write(again, 10, b"d")
    assert again.arrived() == [(0, 3), (10, 11)]
    again.close()


def test_a_file_of_another_size_is_started_over(tmp_path):
    first = PartialFile(tmp_path / "x", SIZE)
    write(first, 0, b"abc")
    first.close()
    again = PartialFile(tmp_path / "x", SIZE + 1)
    assert again.arrived() == []
    again.close()


def test_reset_discards_the_journal(tmp_path):
    file = PartialFile(tmp_path / "x", SIZE)
    write(file, 0, b"abc")
    file.reset()
    assert file.arrived() == []
    assert (tmp_path / "x").stat().st_size == SIZE
    file.close()


def test_a_file_that_arrives_as_a_whole_and_a_small_one_have_no_journal(tmp_path):
    for size in (SIZE, 100):
        file = PartialFile(tmp_path / f"{size}", size)
        write(file, 0, bytes(size))
        assert file.finish() == tmp_path / f"{size}"
    small = PartialFile(tmp_path / "small", 100)
    write(small, 0, b"abc")
    assert small.arrived() == []
    small.close()
    assert not list(tmp_path.glob("*.journal"))


def test_finish_deletes_the_journal(tmp_path):
    file = PartialFile(tmp_path / "x", SIZE)
    write(file, 0, b"abc")
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("intervals", "expected", "left"),
    [
        ([], [], [(0, 10)]),
        ([(5, 6), (0, 2)], [(0, 2), (5, 6)], [(2, 5), (6, 10)]),
        ([(0, 4), (4, 10)], [(0, 10)], []),
        ([(0, 6), (3, 5), (7, 7)], [(0, 6)], [(6, 10)]),
    ],
)
def test_intervals_are_joined_and_leave_gaps(intervals, expected, left):
    assert joined(intervals) == expected
    assert gaps(expected, 10) == left
