"""The library behind the tasks: models on disk, a running Triton, and the servers it runs on.

Nothing here prints, exits or knows Invoke; `tasks/` does that. Imports run one way:
remote → compose, server → triton → models → settings, errors.
"""

__version__ = "0.1.0"
