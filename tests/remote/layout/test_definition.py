"""The parts of a running Triton's definition that make a deploy restart it."""

from dataclasses import replace

import pytest

from tests.paths import PROJECT
from tests.remote.fakes import RECORD
from tritonops.remote.layout.definition import runtime_definition
from tritonops.remote.layout.records import StartRecord

COMPOSE = replace(RECORD, runtime="compose")


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "tritonops/server/backends").mkdir(parents=True)
    (tmp_path / "ml.yml").write_text("# comment\nservices:\n  image: ${TRITON_IMAGE:-example/triton:1}\n")
    return tmp_path


def reasons(before, after):
    return StartRecord(before).reasons(after)


def test_an_embedded_triton_is_defined_by_ports_requirements_and_its_backends(checkout):
    before = runtime_definition(checkout, RECORD, {})
    assert before["TRITON_EXPOSE_HTTP"] == "8000"
    backend = checkout / "tritonops/server/backends/model.py"
    backend.write_text("x = 1\n")
    assert reasons(before, runtime_definition(checkout, RECORD, {})) == ("backend files",)
    env = {"TRITON_EXPOSE_HTTP": "9000", "TRITON_TOKEN": "secret"}
    changed = reasons(before, runtime_definition(checkout, replace(RECORD, venv="new"), env))
    assert changed == ("TRITON_EXPOSE_HTTP", "TRITON_TOKEN", "backend files", "requirements")


def test_a_compose_service_is_defined_by_its_files_its_image_and_its_variables(checkout):
    before = runtime_definition(checkout, COMPOSE, {})
    assert before["image"] == "example/triton:1"
    (checkout / "ml.yml").write_text("# another comment\n\n" + (checkout / "ml.yml").read_text())
    assert reasons(before, runtime_definition(checkout, COMPOSE, {})) == ()
    (checkout / "ml.yml").write_text((checkout / "ml.yml").read_text() + "  shm_size: 1g\n")
    assert reasons(before, runtime_definition(checkout, COMPOSE, {})) == ("Compose files",)
    env = {"TRITON_IMAGE": "other", "TRITON_MEMORY": "1g", "HF_TOKEN": "x", "EMPTY": ""}
    changed = reasons(before, runtime_definition(checkout, COMPOSE, env))
    assert changed == ("Compose files", "TRITON_MEMORY", "image: example/triton:1 → other")


def test_no_secret_is_in_a_definition():
    env = {"TRITON_TOKEN": "hush", "TRITON_MEMORY": "1g"}
    for record in (RECORD, COMPOSE):
        assert "hush" not in str(runtime_definition(PROJECT, record, env))
