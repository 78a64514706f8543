"""Tables at a terminal: they fit, and no name is cut."""

import pytest

from tasks.output.table import print_fitted

COLUMNS = ("name", "version", "revision", "source", "size", "installed", "enabled", "config")
NAMES = [f"a-model-with-a-name-that-is-rather-long-{number}" for number in range(3)]
ROWS = [(name, "1", "2a38f0c0f495", "openfoodfacts/some-repository", "1.5 MB", "yes", "yes", "gpu") for name in NAMES]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_every_name_is_whole_at_any_width(capfd, monkeypatch, width):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    print_fitted(COLUMNS, ROWS)
    lines = capfd.readouterr().out.splitlines()
    assert all(any(name in line for line in lines) for name in NAMES)
    assert all(len(line) <= max(width, len(NAMES[0]) + 40) for line in lines)


def test_a_wide_terminal_has_all_columns_and_a_narrow_one_names_those_left_out(capfd, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    print_fitted(COLUMNS, ROWS)
    out = capfd.readouterr().out
    assert all(column in out for column in COLUMNS)
    monkeypatch.setenv("COLUMNS", "80")
    print_fitted(COLUMNS, ROWS)
    out = capfd.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "not shown, for lack of width: revision, " in out


def test_a_column_without_a_value_is_left_out(capfd, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    print_fitted(("model", "state", "reason"), [("clip", "READY", "-")])
    assert "reason" not in capfd.readouterr().out
