"""Real terminals for tests: tmux draws them, so that a screen is what a person sees."""

import os
import re
import subprocess
import sys
import time

from tests import programs
from tests.paths import PROJECT

INV = f"{sys.executable} -P {PROJECT}/tasks/shared/program.py --write-pyc --search-root {PROJECT}"


class Screen:
    """A terminal in tmux, with a server of its own."""

    def __init__(self, folder, columns, environment):
        self._commands = 0
        self._socket = str(folder / f"tmux-{columns}")
        others = ("TRITON", "MODELS", "COLUMNS", "LINES")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        size = ["-x", str(columns), "-y", "24"]
        self._env = {**clean, **environment, "LANG": "C.UTF-8", "TMUX": "", "PS1": ""}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "screen", *size, "sh")
        self._tmux("set-option", "-g", "history-limit", "5000")

    def _tmux(self, *words):
        command = [programs.find("tmux"), "-S", self._socket, *words]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout

    def start(self, command):
        """Type a command; a line of its own says when it has ended: see `ended`."""
        self._commands += 1
        self._tmux("send-keys", "-t", "screen", f"clear; {command}; echo ended-{self._commands}-$?", "Enter")

    @property
    def ended(self):
        """The pattern of the line that ends the last command; what was typed does not match it."""
        return rf"ended-{self._commands}-\d"

    def text(self, *, history=False):
        """Give what the screen shows, or all that it ever showed."""
        return self._tmux("capture-pane", "-J", "-p", "-t", "screen", *(["-S", "-"] if history else []))

    def wait(self, *patterns, seconds=60.0):
        """Wait until all patterns are shown; gives the screen."""
        for _ in range(round(seconds / 0.05)):
            text = self.text()
            if all(re.search(pattern, text) for pattern in patterns):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{patterns} did not appear:\n{self.text()}")

    def run(self, command):
        """Run a command to its end, and give all of its output."""
        self.start(command)
        self.wait(self.ended)
        return self.text(history=True)

    def close(self):
        """End the terminal and what runs in it."""
        self._tmux("kill-server")
