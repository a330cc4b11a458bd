"""A process that translates methods for another one, which runs guests meanwhile.

It sees pages of a guest's memory that it asks for, and answers with a module. It has a low
priority, and ends when the other does.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, final

from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.facts import parse_facts
from dotnet_wasm_host.jit.view import GuestGone, PagesOnDemand, RecordingView
from dotnet_wasm_host.jit.wire import Message, decode_task, encode_batch, receive, send

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.interface import MintFacts
    from dotnet_wasm_host.jit.wire import Task

__all__ = ["main"]

#: Added to its nice value: calls come first, and where all CPUs are busy it still gets a tenth.
_NICE = 10


@final
class _Connection:
    """To the process that runs guests."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self.receive = partial(receive, incoming.read)
        self._outgoing = outgoing

    def send(self, kind: Message, content: bytes = b"") -> None:
        send(self._outgoing.write, kind, content)
        self._outgoing.flush()

    def page(self, number: int) -> bytes:
        """Ask for a page. GuestGone if there is none any more."""
        self.send(Message.PAGE, number.to_bytes(4, "little"))
        _, content = self.receive()
        if not content:
            raise GuestGone
        return content


def main() -> None:
    """Translate until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process
    with suppress(AttributeError, OSError):
        os.nice(_NICE)
    gc.disable()  # what is made for a batch goes with it
    connection = _Connection(sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout = sys.stderr
    facts: MintFacts | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            kind, content = connection.receive()
            if kind is Message.FACTS:
                facts = parse_facts(content, "")
            elif kind is Message.TASK and facts is not None:
                _translate(connection, facts, decode_task(content))
                gc.collect()


def _translate(connection: _Connection, facts: MintFacts, task: Task) -> None:
    view = RecordingView(PagesOnDemand(task.size, connection.page))
    try:
        batch = compile_batch(
            facts, view, task.target, task.methods, task.limits, before_method=view.begin
        )
    except GuestGone:
        connection.send(Message.FAILED)
        return
    for message in encode_batch(batch, view.spans):
        connection.send(*message)
