"""What a part of sequence batching has wrong."""

from __future__ import annotations

from typing import NamedTuple


class Mistake(NamedTuple):
    """One thing that is wrong, in our words and in Triton's."""

    what: str
    words: str
    """What Triton says, or does."""
    fix: str
