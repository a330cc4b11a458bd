"""Where the interpreter keeps the ends of its stack (``ThreadContext`` in interp-internals.h)."""

from __future__ import annotations

__all__ = ["find_thread_context"]

#: ``INTERP_STACK_SIZE``, of which ``INTERP_REDZONE_SIZE`` are for whoever handles its overflow.
_STACK_SIZE, _RED_ZONE = 1 << 20, 8 << 10
#: While nothing runs the stack has as much as was entered and never left.
_IDLE = 4096


def find_thread_context(memory: bytes) -> int:
    """Address of the context; 0 unless exactly one is there. A second or so of Python.

    It is looked for when an image is made. Instances have it where the image has it, and which
    frame is the first of all is not known in the middle of their calls: a static constructor runs
    in frames that have no parent.

    Args:
        memory: of a guest in which nothing runs.
    """
    words = memoryview(memory).cast("I")
    # stack_start, stack_end, stack_real_end, stack_pointer
    pairs = enumerate(zip(words, words[2:], strict=False))
    found = []
    for number in [n for n, (start, end) in pairs if end - start == _STACK_SIZE]:
        start, end, real_end, *pointer = words[number : number + 4].tolist()
        inside = start > 0 and real_end <= len(memory) and real_end - end == _RED_ZONE
        if inside and pointer and start <= pointer[0] < start + _IDLE:
            found.append(4 * number)
    return found[0] if len(found) == 1 else 0
