"""The types of inference.ModelConfig are those of the schema in tritonclient."""

from tests.models.configs.model_config_stub import STUB, stub_text


def test_the_types_are_those_of_the_schema():
    assert STUB.read_text(encoding="utf-8") == stub_text()
