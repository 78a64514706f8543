"""Which text files are as tritonops wrote them."""

import hashlib
import json

import pytest

from tritonops.models.disk.written_files import WrittenFiles


@pytest.fixture
def record(tmp_path):
    return WrittenFiles(tmp_path / "written.json")


def test_a_file_is_ours_until_it_is_edited(record, tmp_path):
    file = tmp_path / "config.pbtxt"
    file.write_text("a")
    assert not record.is_current("clip/config.pbtxt", file)
    record.add("clip/config.pbtxt", "a")
    assert record.is_current("clip/config.pbtxt", file)
    assert not record.is_current("other/config.pbtxt", file)
    file.write_text("b")
    assert not record.is_current("clip/config.pbtxt", file)


def test_a_link_to_the_same_text_is_not_ours(record, tmp_path):
    (tmp_path / "mine").write_text("a")
    (tmp_path / "link").symlink_to("mine")
    record.add("link", "a")
    assert not record.is_current("link", tmp_path / "link")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"file": 1}', "\0"])
def test_a_record_that_is_none_is_empty_and_is_written_again(record, tmp_path, text):
    (tmp_path / "written.json").write_text(text)
    (tmp_path / "file").write_text("a")
    assert not record.is_current("file", tmp_path / "file")
    record.add("file", "a")
    assert record.is_current("file", tmp_path / "file")


def test_the_record_of_an_earlier_version_is_read_and_written_again(record, tmp_path):
    digest = hashlib.sha256(b"a").hexdigest()
    (tmp_path / "written.json").write_text(json.dumps({"file": digest, "other": digest}, indent=1))
    (tmp_path / "file").write_text("a")
    assert record.is_current("file", tmp_path / "file")
    record.add("more", "b")
    assert WrittenFiles(tmp_path / "written.json").is_current("file", tmp_path / "file")


def test_each_addition_is_one_line_until_there_are_too_many_stale_ones(record, tmp_path):
    path = tmp_path / "written.json"
    record.add("clip", "0")
    size = path.stat().st_size
    record.add("clip", "1")
    assert path.stat().st_size == 2 * size
    for number in range(2000):
        record.add("clip", str(number))
    assert path.stat().st_size < 1100 * size
    (tmp_path / "file").write_text("1999")
    assert record.is_current("clip", tmp_path / "file")


def test_what_another_process_added_is_seen_and_a_line_cut_short_is_left_out(record, tmp_path):
    record.add("a", "1")
    other = WrittenFiles(tmp_path / "written.json")
    other.add("b", "2")
    (tmp_path / "file").write_text("2")
    assert record.is_current("b", tmp_path / "file")
    with (tmp_path / "written.json").open("a") as file:
        file.write('["c", "12')
    assert record.is_current("b", tmp_path / "file")
    record.add("d", "4")
    fresh = WrittenFiles(tmp_path / "written.json")
    (tmp_path / "file").write_text("4")
    assert fresh.is_current("d", tmp_path / "file")
    (tmp_path / "file").write_text("2")
    assert fresh.is_current("b", tmp_path / "file")
