"""YAML that reads back as what was written, by a parser of others; and stays readable."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.kubernetes.manifests.yaml_text import yaml_documents, yaml_text

# Surrogates are no characters; everything else is tried, also what YAML gives a meaning.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORDS = st.sampled_from(
    ["yes", "NO", "null", "~", "1e3", "0x1f", "-", ": ", "# no comment", "a: b", "<<", "=", "12:30"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | WORDS | st.text("ab \n\t#:-|>'\"", max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
@settings(max_examples=400, deadline=None)
def test_what_is_written_reads_back_as_it_was(value):
    assert (yaml.safe_load(yaml_text(value)) or {}) == value


def test_keys_keep_their_order_and_lists_stand_below_their_key():
    value = {"kind": "Service", "spec": {"ports": [{"name": "grpc", "port": 8001}, "x"], "empty": [], "none": {}}}
    assert yaml_text(value) == (
        "kind: Service\nspec:\n  ports:\n  - name: grpc\n    port: 8001\n  - x\n  empty: []\n  none: {}\n"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\nb\n", "|\n  a\n  b\n"),
        ("a\nb", "|-\n  a\n  b\n"),
        ("a\n\n", "|+\n  a\n\n"),
        ("a\n\n\tb\n", "|\n  a\n\n  \tb\n"),
        (" a\nb\n", '" a\\nb\\n"\n'),
        ("a\r\nb\n", '"a\\r\\nb\\n"\n'),
        ("a\n  \nb\n", '"a\\n  \\nb\\n"\n'),
        ("\u2028\x85\ufeff", '"\\u2028\\u0085\\ufeff"\n'),
    ],
)
def test_texts_of_several_lines_are_blocks_unless_a_block_would_change_them(text, written):
    assert yaml_text({"key": text}) == f"key: {written}"
    assert yaml.safe_load(yaml_text({"key": text})) == {"key": text}


@pytest.mark.parametrize(
    "word", ["yes", "Off", "NULL", "y", "1", "1.5", "1e3", "0o7", "", "-", "a:", "@a", "2026-01-01"]
)
def test_what_yaml_would_take_for_something_else_than_a_string_is_quoted(word):
    assert yaml.safe_load(yaml_text({"key": word})) == {"key": word}
    assert yaml_text({"key": word}) == f'key: "{word}"\n'


def test_documents_are_told_apart():
    text = yaml_documents([{"a": "x\n\n"}, {"b": 1}])
    assert [*yaml.safe_load_all(text)] == [{"a": "x\n\n"}, {"b": 1}]
