"""What the library tells its caller while it works; each is given one line."""

from __future__ import annotations

from collections.abc import Callable

OnStep = Callable[[str], None]
"""Given a line for each step."""
OnLine = Callable[[str], None]
"""Given each line of output as it comes."""
