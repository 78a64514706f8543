"""Which text files are as tritonops wrote them."""

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
