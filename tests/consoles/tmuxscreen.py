"""A command on a terminal whose screen can be read: tmux draws it. Scenario of tests of `nexus console` that are about what a person sees.

The command runs under a shell that notes the terminal's settings before and after it, so that a test can compare them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

SECONDS = 30.0
PAUSE = 0.02
STARTED = """sh -c 'echo $$ > "$0"; exec "$@"' {folder}/process {command}"""
WRAPPER = f'stty -g > {{folder}}/before; {STARTED}; echo "left with $?"; stty -g > {{folder}}/after; exec sleep 600'


class Screen:
    """Used as a context manager. `rows` are what is to be seen now."""

    def __init__(
        self, command: Sequence[str], columns: int = 80, rows: int = 24, environ: Mapping[str, str] | None = None
    ) -> None:
        tmux = shutil.which("tmux")
        assert tmux is not None, "tmux is not installed: apt-get install tmux (nexus doctor says so too)"
        self._tmux = tmux
        self._holder = tempfile.TemporaryDirectory(prefix="nexus-")
        self.folder = Path(self._holder.name)
        script = WRAPPER.format(folder=self.folder, command=shlex.join(command))
        self._environ = {**os.environ, **(environ or {})}
        self._ask("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", "-c", script)

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print("the screen:", *self.rows, sep="\n  ")
        self._ask("kill-server")
        self._holder.cleanup()

    @property
    def process(self) -> int:
        """The command's; it has begun."""
        return int((self.folder / "process").read_text())

    @property
    def rows(self) -> list[str]:
        return self._ask("capture-pane", "-p").split("\n")[:-1]

    def row(self, text: str) -> int:
        """Which row has it; -1 for none."""
        return next((number for number, row in enumerate(self.rows) if text in row), -1)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, C-], Up."""
        self._ask("send-keys", *keys)

    def type(self, text: str) -> None:
        self._ask("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        self._ask("resize-window", "-x", str(columns), "-y", str(rows))

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, f"{what} did not come to be"
            time.sleep(PAUSE)

    def shows(self, text: str) -> None:
        self.until(lambda: self.row(text) >= 0, f"`{text}` on the screen")

    def hides(self, text: str) -> None:
        self.until(lambda: self.row(text) < 0, f"a screen without `{text}`")

    def left(self) -> int:
        """Wait until the command has ended; its exit code. The terminal has to be as it was before."""
        self.shows("left with ")
        self.until((self.folder / "after").exists, "the end of the command")
        self.until(lambda: bool((self.folder / "after").read_text()), "the settings afterwards")
        assert (self.folder / "after").read_text() == (self.folder / "before").read_text()
        assert (
            self._ask("display-message", "-p", "#{origin_flag} #{scroll_region_upper} #{wrap_flag}").strip() == "0 0 1"
        )
        return int(self.rows[self.row("left with ")].split()[-1])

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            [self._tmux, "-S", str(self.folder / "tmux"), *words],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        return done.stdout
