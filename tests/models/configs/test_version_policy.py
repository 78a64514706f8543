"""The version policy of a config: read, and written without touching the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonops.errors import InputError
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.version_policy import (
    AS_IN_CATALOG,
    SET_WITH_SERVE,
    VersionPolicy,
    policy_note,
    set_version_policy,
)

TWO_AND_THREE = VersionPolicy("specific", versions=(2, 3))


@pytest.mark.parametrize("typed", ["all", "latest:1", "latest:12", "7", "2,3"])
def test_a_policy_survives_being_written_and_read(typed):
    policy = VersionPolicy.parse(typed)
    assert str(policy) == typed
    assert VersionPolicy.of(parse_config(set_version_policy("", policy))) == policy


def test_versions_are_sorted_and_counted_once():
    assert VersionPolicy.parse("3, 2,3") == TWO_AND_THREE


@pytest.mark.parametrize(
    "typed", ["", "0", "01", "-1", "1,", "1.0", "latest", "latest:0", "latest:x", "newest", str(2**63), "1 2"]
)
def test_what_is_no_policy_is_an_error(typed):
    with pytest.raises(InputError, match="expected `2,3`, `latest:2` or `all`"):
        VersionPolicy.parse(typed)


def test_a_config_without_a_policy_has_none():
    assert VersionPolicy.of(parse_config("")) is None
    assert VersionPolicy.of(parse_config("version_policy {}")) is None


def test_a_policy_picks_of_the_versions_that_are_there():
    served = {typed: VersionPolicy.parse(typed).served((1, 2, 10)) for typed in ("all", "latest:2", "1,3")}
    assert served == {"all": (1, 2, 10), "latest:2": (2, 10), "1,3": (1,)}


WRITTEN = "version_policy: { specific: { versions: [ 2, 3 ] } }  # set with triton.serve"


EDITS = {
    "appended to nothing": ("", f"{WRITTEN}\n"),
    "appended": ('name: "a"\n', f'name: "a"\n{WRITTEN}\n'),
    "appended behind a line without an end": ('name: "a"', f'name: "a"\n{WRITTEN}\n'),
    "replaced in place": ("a\nversion_policy: { latest: { num_versions: 2 } }\nb\n", f"a\n{WRITTEN}\nb\n"),
    "replaced over lines": ("version_policy {\n  # why\n  all <\n  >\n}\r\nb", f"{WRITTEN}\r\nb"),
    "replaced between others": ("a: 1 version_policy <all {}> b: 2", f"a: 1 {WRITTEN}\n b: 2"),
    "a comment of another's stays": ("version_policy { all {} } # mine\n", f"{WRITTEN}\n # mine\n"),
    "a comment of ours goes": (f"version_policy {{ all {{}} }}  # {AS_IN_CATALOG}\nb", f"{WRITTEN}\nb"),
    "not in a string": ('a: "version_policy <>" # \'\n', f'a: "version_policy <>" # \'\n{WRITTEN}\n'),
    "not in a comment": ("# version_policy <>\n", f"# version_policy <>\n{WRITTEN}\n"),
    "not below another field": ("x < version_policy <> >\n", f"x < version_policy <> >\n{WRITTEN}\n"),
}


@pytest.mark.parametrize(("text", "edited"), EDITS.values(), ids=EDITS.keys())
def test_a_policy_is_written_and_every_other_byte_stays(text, edited):
    assert set_version_policy(text, TWO_AND_THREE) == edited
    assert set_version_policy(edited, TWO_AND_THREE) == edited


def test_the_file_says_who_set_the_policy():
    assert policy_note("version_policy { all {} }\n") is None
    assert policy_note("") is None
    assert policy_note(set_version_policy("", TWO_AND_THREE)) == SET_WITH_SERVE
    assert policy_note(set_version_policy("", TWO_AND_THREE, note=AS_IN_CATALOG)) == AS_IN_CATALOG
    assert policy_note(f"# {SET_WITH_SERVE}\nversion_policy {{ all {{}} }}") is None


_PIECES = st.sampled_from(
    [
        'name: "version_policy {"',
        "name: 'it\\'s # \"'",
        "max_batch_size: 4",
        "# version_policy { all {} }",
        "version_policy { all {} }",
        "version_policy: < latest: { num_versions: 3 }; >,",
        'input [ { name: "x", dims: [ 1, -1 ] }, { name: "]" } ]',
        'parameters { key: "version_policy" value { string_value: "{" } }',
        "instance_group { kind: KIND_CPU };",
    ]
)


@given(st.lists(_PIECES, unique_by=lambda piece: piece[:4]), st.sampled_from(["\n", "\r\n", "\n\n  "]))
def test_only_the_policy_of_any_config_changes(pieces, gap):
    text = gap.join(pieces)
    before, after = parse_config(text), parse_config(set_version_policy(text, TWO_AND_THREE))
    assert VersionPolicy.of(after) == TWO_AND_THREE
    before.ClearField("version_policy")
    after.ClearField("version_policy")
    assert before == after
