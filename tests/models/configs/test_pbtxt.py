import pytest

from tritonops.errors import ConfigError
from tritonops.models.configs.pbtxt import parse_config, read_config, read_text_if_present


def test_a_config_is_parsed_with_the_schema_of_triton():
    config = parse_config('max_batch_size: 4\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] } ]')
    assert (config.max_batch_size, list(config.input[0].dims)) == (4, [-1, 2])


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("\n  foo: 1", "2:3", 'Message type "inference.ModelConfig" has no field named "foo".'),
        ('max_batch_size: "x"', "1:17", 'Couldn\'t parse integer: "x"'),
        ('input [ { name: "it\'s: X" dims: [1, ] } ]', "1:37", "Couldn't parse integer: ]"),
        ("input [", "1:8", 'Expected "{".'),
        ('name: "a" // c', "1:11", "Expected identifier or number, got /."),
    ],
)
def test_what_does_not_parse_is_an_error_with_line_and_column(tmp_path, text, place, problem):
    (tmp_path / "config.pbtxt").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path / "config.pbtxt")
    assert str(caught.value) == f"{tmp_path / 'config.pbtxt'}:{place}: {problem}"


def test_a_file_that_is_not_there_or_not_text_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_config(tmp_path / "config.pbtxt")
    (tmp_path / "config.pbtxt").write_bytes(b'\n\nname: "\xff"')
    with pytest.raises(ConfigError, match=r"config\.pbtxt:3: is not UTF-8"):
        read_config(tmp_path / "config.pbtxt")


def test_white_space_that_would_cost_megabytes_is_refused_by_its_line():
    with pytest.raises(ConfigError, match=r"config\.pbtxt:2: has 20,000 characters of white space in a row"):
        parse_config('name: "x"\n' + " " * 20_000)
    assert parse_config('name: "x"' + " " * 19_999 + "\n" * 30_000).name == "x"


def test_a_config_that_may_be_missing_is_none_only_where_there_is_no_file(tmp_path):
    path = tmp_path / "config.pbtxt"
    assert read_text_if_present(path) is None
    path.symlink_to(tmp_path / "nowhere")
    assert read_text_if_present(path) is None
    path.unlink()
    path.write_text("# a config\r\n", newline="")
    assert read_text_if_present(path) == "# a config\r\n"
    for wrong in (tmp_path, path / "config.pbtxt"):
        with pytest.raises(ConfigError, match=r"a folder|Not a directory"):
            read_text_if_present(wrong)
