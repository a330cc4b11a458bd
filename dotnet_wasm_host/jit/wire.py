"""How a task of the compiler, and what comes of it, go to another process and back.

A message is a kind, the length of what follows, and that: JSON, or bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict
from enum import IntEnum, unique
from typing import TYPE_CHECKING, Any, NamedTuple

from dotnet_wasm_host.jit.interface import (
    Callee,
    CompiledBatch,
    CompilerLimits,
    Entry,
    LinkTarget,
    Rejected,
    Signature,
    Statistics,
)
from dotnet_wasm_host.wasm.binary import ValueType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "Message", "Task", "decode_batch", "decode_task", "encode_batch", "encode_task", "receive",
    "send",
]  # fmt: skip

_HEAD = struct.Struct("<BI")
#: Bytes of a message: more is nothing that is sent.
_MAX_BYTES = 256 << 20
#: What was read for so many methods goes in one message: reading it holds the interpreter lock.
_METHODS_A_MESSAGE = 64

#: Method to address and bytes of what was read for it.
Spans = Mapping[int, "Sequence[tuple[int, int]]"]


@unique
class Message(IntEnum):
    """Kinds of messages."""

    #: To the process: ``mint.json`` of the code module.
    FACTS = 1
    TASK = 2
    #: The number of a page, and its content back; nothing where the guest is gone.
    PAGE = 3
    #: Back: the batch without its code, what belongs to some methods, and last its code.
    BATCH = 4
    METHODS = 5
    CODE = 6
    #: Back: nothing comes of the task.
    FAILED = 7


class Task(NamedTuple):
    """What is to be compiled.

    Attributes:
        methods: addresses.
        size: bytes of linear memory.
        target: where the code will be.
        limits: what it may cost.
    """

    methods: Sequence[int]
    size: int
    target: LinkTarget
    limits: CompilerLimits


def send(write: Callable[[bytes], object], kind: Message, content: bytes = b"") -> None:
    """Write a message."""
    write(_HEAD.pack(kind, len(content)) + content)


def receive(read: Callable[[int], bytes]) -> tuple[Message, bytes]:
    """Read a message.

    Args:
        read: reads so many bytes; fewer at the end.

    Raises:
        EOFError: nothing follows, or no whole message.
        ValueError: it is no message.
    """
    kind, length = _HEAD.unpack(_exactly(read, _HEAD.size))
    if length > _MAX_BYTES:
        raise ValueError(
            f"expected at most {_MAX_BYTES} bytes, found a message of {length}; close the process"
        )
    return Message(kind), _exactly(read, length)


def _exactly(read: Callable[[int], bytes], count: int) -> bytes:
    content = read(count) if count else b""
    if len(content) < count:
        raise EOFError(f"expected {count} bytes, found {len(content)}; start the process again")
    return content


def _write(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def encode_task(task: Task) -> bytes:
    """Content of ``Message.TASK``."""
    target = task.target
    return _write([
        list(task.methods), task.size, asdict(task.limits), target.first_slot,
        target.thread_context, target.records, sorted(target.former), target.budget,
        sorted(target.hot),
        [_callee(callee) for callee in target.callees.values()],
    ])  # fmt: skip


def decode_task(content: bytes) -> Task:
    """Read :func:`encode_task`."""
    methods, size, limits, first, context, records, former, budget, hot, callees = json.loads(
        content
    )
    known = {callee.method: callee for callee in map(_to_callee, callees)}
    target = LinkTarget(first, context, records, known, frozenset(former), budget, frozenset(hot))
    return Task(methods, size, target, CompilerLimits(**limits))


def encode_batch(batch: CompiledBatch, spans: Spans) -> Iterator[tuple[Message, bytes]]:
    """The messages with a batch and what was read for its methods."""
    statistics = batch.statistics
    yield Message.BATCH, _write([
        batch.slots, [[it.method, it.instructions, it.slot] for it in batch.entries],
        [_callee(callee) for callee in batch.callees],
        [[it.method, it.reason, it.opcode] for it in batch.rejected], batch.unused,
        [statistics.methods, statistics.instructions, statistics.exits, statistics.seconds,
         statistics.work],
    ])  # fmt: skip
    methods = list(spans)
    for start in range(0, len(methods), _METHODS_A_MESSAGE):
        yield Message.METHODS, _write([
            [method, [number for span in spans[method] for number in span],
             batch.exits.get(method), batch.calls.get(method)]
            for method in methods[start : start + _METHODS_A_MESSAGE]
        ])  # fmt: skip
    yield Message.CODE, batch.wasm


def decode_batch(messages: Sequence[tuple[Message, bytes]]) -> tuple[CompiledBatch, Spans]:
    """Read :func:`encode_batch`. ValueError, TypeError, LookupError if it is none."""
    kinds = [kind for kind, _ in messages]
    if kinds[:1] + kinds[-1:] != [Message.BATCH, Message.CODE]:
        raise ValueError(f"expected a batch and its code, found {kinds!r:.80}; close the process")
    slots, entries, callees, rejected, unused, numbers = json.loads(messages[0][1])
    spans: dict[int, list[tuple[int, int]]] = {}
    exits, calls = {}, {}
    for _, content in messages[1:-1]:
        for method, read, of_exits, of_calls in json.loads(content):
            spans[method] = list(zip(read[::2], read[1::2], strict=True))
            if of_exits is not None:
                exits[method] = of_exits
            if of_calls is not None:
                calls[method] = tuple((place, callee) for place, callee in of_calls)
    batch = CompiledBatch(
        messages[-1][1], slots,
        tuple(Entry(method, tuple(places), slot) for method, places, slot in entries),
        tuple(map(_to_callee, callees)), tuple(Rejected(*it) for it in rejected),
        Statistics(*numbers), tuple((method, place) for method, place in unused), exits, calls,
    )  # fmt: skip
    return batch, spans


def _callee(it: Callee) -> list[object]:
    arguments = [[offset, int(of)] for offset, of in it.signature.arguments]
    result = it.signature.result
    return [
        it.method, it.slot, it.typed_slot, it.frame_size, it.result_size, it.is_found, it.is_boxed,
        arguments, None if result is None else int(result),
    ]  # fmt: skip


def _to_callee(values: Sequence[Any]) -> Callee:
    *words, is_found, is_boxed, arguments, result = values
    method, slot, typed_slot, frame_size, result_size = words
    signature = Signature(
        tuple((offset, ValueType(of)) for offset, of in arguments),
        None if result is None else ValueType(result),
    )
    return Callee(method, slot, typed_slot, frame_size, result_size, is_found, is_boxed, signature)
