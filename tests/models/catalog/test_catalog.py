"""What models.toml declares, as values."""

from pathlib import Path

import pytest

from tritonops.errors import UnknownModelError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.catalog.parsing import parse_catalog

TEXT = """
[[models.a]]
path = "a.onnx"
triton_version = 1
[[models.b]]
path = "b.onnx"
triton_version = 1
depends_on = ["a"]
[[models.a]]
path = "a2.onnx"
triton_version = 2
"""


@pytest.fixture
def catalog():
    return parse_catalog(Path("/p/models.toml"), TEXT)


def test_models_are_named_once_and_their_versions_found_by_name(catalog):
    assert catalog.names == ("a", "b")
    assert [version.label for version in catalog.versions_of("a")] == ["a/1", "a/2"]
    assert catalog.versions_of("c") == ()


def test_a_selection_keeps_the_order_of_the_catalogue_and_refuses_unknown_names(catalog):
    assert [version.label for version in catalog.select(["b", "a"])] == ["a/1", "a/2", "b/1"]
    assert len(catalog.select([])) == 3
    with pytest.raises(UnknownModelError, match="'bb'"):
        catalog.select(["a", "bb"])


def test_callers_are_found_by_the_model_that_they_call(catalog):
    assert catalog.callers == {"a": ("b",)}
    assert Catalog(Path("x"), ()).callers == {}
