"""The side of :mod:`translator` that runs guests: it has methods translated elsewhere.

Translation takes milliseconds of Python for a method, and whoever runs Python keeps others in the
same process from it.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

from dotnet_wasm_host.jit.facts import encode_facts
from dotnet_wasm_host.jit.view import GuestGone, Seen
from dotnet_wasm_host.jit.wire import Message, Task, decode_batch, encode_task, receive, send

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.interface import CompiledBatch, CompilerLimits, MintFacts
    from dotnet_wasm_host.jit.translation import Taken
    from dotnet_wasm_host.jit.view import LivePages

__all__ = ["TranslatingProcess", "shared_process"]

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from dotnet_wasm_host.jit.translator import main; main()"
)
_log = logging.getLogger("dotnet_wasm_host.jit")
#: Of the process that this one was forked from.
_of_others: list[subprocess.Popen[bytes]] = []


@final
class TranslatingProcess:
    """A process that translates, for as long as somebody uses it. Thread-safe, a task at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: MintFacts | None = None
        self._failed = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._end)

    def __enter__(self) -> TranslatingProcess:
        with self._lock:
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._end()

    @property
    def is_running(self) -> bool:
        """Whether there is one: to start it costs a tenth of a second of a CPU."""
        return self._process is not None

    def _forget(self) -> None:
        """This is the child of a fork: the process is another's, and its users are not here."""
        self._lock = threading.Lock()
        process, self._process, self._users = self._process, None, 0
        if process is not None:
            # Locks of its pipes may be held for ever: they are left open.
            process.returncode = 0
            _of_others.append(process)

    def translate(
        self, facts: MintFacts, taken: Taken, limits: CompilerLimits
    ) -> tuple[CompiledBatch, Seen] | None:
        """Translate methods; ``None`` if it has to be done here: from the first failure on.

        Raises:
            GuestGone: the instance was closed.
        """
        with self._lock:
            if self._failed:
                return None
            try:
                return _translate(self._running(facts), taken, limits)
            except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
                self._failed = True
                self._end()
                _log.debug("methods are translated in this process: %s", error)
                return None

    def _running(self, facts: MintFacts) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None:
            process = self._process = _start()
            self._facts = None
        if self._facts is not facts:
            _send(process, Message.FACTS, encode_facts(facts, ""))
            self._facts = facts
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # a thread that waits for its answer holds what closing a pipe needs
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _there(pipe).close()
        process.wait()


@cache
def shared_process() -> TranslatingProcess:
    """The one for all guests of this process."""
    return TranslatingProcess()


def _start() -> subprocess.Popen[bytes]:
    """Start this interpreter. OSError if it is not known, or cannot be started."""
    python = Path(sys.executable or "")
    if not python.name.startswith("python") or getattr(sys, "frozen", False):
        raise OSError(f"{str(python)!r} is no Python")  # it may be a program that embeds it
    root = Path(__file__).parents[2]
    return subprocess.Popen(  # noqa: S603 - see above
        [python, "-I", "-c", _START, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _send(process: subprocess.Popen[bytes], kind: Message, content: bytes = b"") -> None:
    stdin = _there(process.stdin)
    send(stdin.write, kind, content)
    stdin.flush()


def _translate(
    process: subprocess.Popen[bytes], taken: Taken, limits: CompilerLimits
) -> tuple[CompiledBatch, Seen]:
    take = partial(receive, _there(process.stdout).read)
    memory: LivePages = taken.memory
    task = Task(taken.methods, memory.size, taken.target, limits)
    _send(process, Message.TASK, encode_task(task))
    messages: list[tuple[Message, bytes]] = []
    while not messages or messages[-1][0] is not Message.CODE:
        kind, content = take()
        if kind is Message.FAILED:
            raise GuestGone
        if kind is Message.PAGE:
            try:
                page = memory.page(int.from_bytes(content, "little"))
            except GuestGone:
                page = b""
            _send(process, Message.PAGE, page)
        else:
            messages.append((kind, content))
    batch, spans = decode_batch(messages)
    return batch, Seen(memory.pages, spans)
