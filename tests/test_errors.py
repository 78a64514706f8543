"""What errors suggest."""

import pytest

from tritonops.errors import UnknownModelError, near_misses


@pytest.mark.parametrize(
    ("name", "known", "suggestion"),
    [
        ("clp", ["clip", "siglip"], "Did you mean 'clip'?"),
        ("x", ["b", "a", "b"], "Known models: a, b"),
        (
            "x",
            [f"m{number:02}" for number in range(13)],
            "Known models: m00, m01, m02, m03, m04, m05, m06, m07, m08, m09 … and 3 more",
        ),
        ("x", [], ""),
    ],
)
def test_the_nearest_names_are_suggested_or_the_first_ten(name, known, suggestion):
    assert near_misses(name, known, "models") == suggestion


def test_an_unknown_model_of_an_empty_catalogue_has_a_hint_too():
    assert UnknownModelError("clip", [], where="models.toml").hint == "There are none."
