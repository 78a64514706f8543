"""Fifteen cells of the matrix; `./inv bench ensembles` runs all of them."""

import itertools

import pytest

from tests.triton.ensemble_matrix import CELLS, Matrix

CHOSEN = [
    *(("serve", "pinned step"), ("serve", "newest step"), ("serve", "disabled step")),
    *(("load", "pinned step"), ("load", "signature change"), ("load", "two ensembles on one step")),
    *(("load --version", "two ensembles on one step"), ("load --version", "unmanaged ensemble")),
    *(("unload", "unmanaged ensemble"), ("unload --version", "newest step"), ("unload --version", "disabled step")),
    *(
        ("apply", "unmanaged ensemble"),
        ("apply", "newest step"),
        ("apply", "signature change"),
        ("remove", "pinned step"),
    ),
]


@pytest.fixture(scope="module")
def server(start_module_triton, tmp_path_factory):
    models_dir = tmp_path_factory.mktemp("matrix") / "triton"
    models_dir.mkdir()
    return start_module_triton(models_dir)


@pytest.fixture(scope="module")
def numbers():
    return itertools.count()


@pytest.fixture
def matrix(server, tmp_path, inv, monkeypatch, numbers):
    def run(arguments, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code, out, err = inv(*arguments)
        return code, out + err

    return Matrix(server, tmp_path, run, numbers)


@pytest.mark.parametrize(("operation", "situation"), CHOSEN, ids=lambda part: part.replace(" ", "_"))
def test_no_command_loses_an_ensemble_unsaid(matrix, operation, situation):
    assert (operation, situation) in CELLS
    result = matrix.cell(operation, situation)
    assert result.problem is None, result
