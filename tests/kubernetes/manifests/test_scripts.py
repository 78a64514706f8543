"""What the shell programs of a release say about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonops.kubernetes.manifests.scripts import SERVE, STARTED, digest, expected_versions, scripts

NAMES = st.text(st.characters(exclude_characters="/\n", exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1)


@given(st.lists(st.tuples(NAMES, st.integers(1, 2**40))))
def test_the_versions_that_a_probe_asks_for_are_read_from_its_program(versions):
    assert expected_versions(scripts(versions)[STARTED]) == versions


@pytest.mark.parametrize("program", ["", "#!/bin/sh\nexit 0\n"])
def test_a_program_that_asks_for_nothing_has_no_versions(program):
    assert expected_versions(program) == []
    assert expected_versions(scripts([])[STARTED]) == []


def test_a_digest_changes_with_the_versions_and_not_with_each_call():
    assert digest(scripts([("a", 1)])) == digest(scripts([("a", 1)])) != digest(scripts([("a", 2)]))
    assert expected_versions(scripts([("a", 1)])[SERVE]) == []
