"""Hostile and broken Hubs: each ends in one clean line, in bounded time and memory, with nothing out of place.

All of them run in `./inv bench hostile`, with the deadlines that people have.
"""

import pytest

from tests.hub.hostile import CASES
from tests.hub.hostile_run import run

IN_CI = (
    *("size-negative", "size-of-5000-digits", "commit-control-characters", "name-parent", "json-deep-in-an-entry"),
    *("json-many-empty-lists", "siblings-a-million", "listing-endless", "listing-body-dripped", "listing-silent"),
    *(
        "listing-cut-in-a-chunk-once",
        "listing-gzip-bomb",
        "listing-error-of-60000-characters",
        "listing-429-superscript",
    ),
    *("header-dripped", "header-10000", "http-100-flood", "length-superscript", "chunk-trailers-endless", "chunk-cut"),
    *("body-a-byte-at-a-time", "redirect-ipv6-bad", "sha256-wrong"),
)


@pytest.mark.parametrize("name", IN_CI)
def test_a_hostile_hub_ends_in_one_line_that_says_what_is_wrong(tmp_path, name):
    ended = run(CASES[name], tmp_path, environment={"TRITON_STALL_SECONDS": "0.5"})
    assert ended.complaints == (), ended.stderr
