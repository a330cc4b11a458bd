"""The command ``repl`` in a terminal: history, completion, several lines, Ctrl-C, Ctrl-D."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.artifacts.cache import default_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAM = "from dotnet_wasm_host.cli.main import main; main()"
#: What moves the cursor or colours text.
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|[()][A-Z0-9]|[=>])")
_SECONDS = 300.0
CTRL_C, CTRL_D, TAB, UP, ENTER = "\x03", "\x04", "\t", "\x1b[A", "\r"


class Terminal:
    """The command, behind a pseudo-terminal."""

    def __init__(self, home: Path) -> None:
        self._ours, theirs = pty.openpty()
        cache = os.environ.get("DOTNET_WASM_HOST_CACHE", str(default_folder()))
        environment = {**os.environ, "HOME": str(home), "TERM": "xterm", "COLUMNS": "120",
                       "PROMPT_TOOLKIT_NO_CPR": "1",
                       "DOTNET_WASM_HOST_CACHE": cache}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "repl"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            close_fds=True,
        )  # fmt: skip
        os.close(theirs)
        self._seen = ""
        self.wait_for(">")

    def send(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str) -> None:
        """Wait until it is shown, behind what was waited for before."""
        deadline = time.monotonic() + _SECONDS
        while True:
            shown = _CONTROL.sub("", self._seen)
            if text in shown:
                self._seen = shown[shown.index(text) + len(text) :]
                return
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._ours], [], [], left)[0]:
                raise AssertionError(f"{text!r} did not come; there was {shown!r}")
            try:
                self._seen += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the command ended; there was {shown!r}") from None

    def ask(self, entry: str, answer: str) -> None:
        """Enter a line, see it, and wait for its answer and the next prompt."""
        self.send(entry + ENTER)
        self.wait_for(f"{answer}\r\n")
        self.wait_for(">")

    def interrupt(self) -> None:
        """Ctrl-C while a program runs: the terminal sends the signal, not the character."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        self.send(CTRL_D)
        code = self.process.wait(_SECONDS)
        os.close(self._ours)
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.kill()


def test_a_conversation(terminal: Terminal, tmp_path: Path) -> None:
    terminal.send("int x = 40;" + ENTER)
    terminal.wait_for(">")
    terminal.ask("x + 2", "42")
    # An entry goes on while C# misses its end.
    terminal.send("int Twice(int a) {" + ENTER)
    terminal.wait_for("...")
    terminal.send("return 2 * a;" + ENTER)
    terminal.wait_for("...")
    terminal.send("}" + ENTER)
    terminal.wait_for(">")
    terminal.ask("Twice(x)", "80")
    # The compiler knows what can stand there.
    terminal.send("x.CompareT")
    terminal.wait_for("CompareT")
    terminal.send(TAB)
    terminal.wait_for("o")
    terminal.ask("(41)", "-1")
    # Ctrl-C throws away what was typed.
    terminal.send("nonsense" + CTRL_C)
    terminal.wait_for(">")
    terminal.ask("x + 3", "43")
    terminal.ask(UP, "43")
    terminal.ask("100 + 23", "123")
    assert terminal.end() == 0
    assert "+x + 3" in (tmp_path / ".dotnet_wasm_host_history").read_text()
    # The next one remembers.
    again = Terminal(tmp_path)
    try:
        again.ask(UP, "123")
        assert again.end() == 0
    finally:
        again.kill()


def test_ctrl_c_ends_what_runs_and_not_the_conversation(terminal: Terminal) -> None:
    terminal.ask("1 + 1", "2")
    terminal.send('Console.WriteLine("begins"); while (true) { }' + ENTER)
    time.sleep(3)  # it shows nothing while it runs
    terminal.interrupt()
    terminal.wait_for("KeyboardInterrupt")
    terminal.wait_for(">")
    terminal.ask("2 + 2", "4")
    assert terminal.end() == 0
