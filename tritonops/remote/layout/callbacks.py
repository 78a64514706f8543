"""What the library tells its caller while it works."""

from __future__ import annotations

from collections.abc import Callable

OnStep = Callable[[str], None]
"""Given a line for each step."""
