"""Leave the tables of libraries that were cut out of linear memory.

ICU's code goes with :mod:`native_cut`; its tables (properties of characters, names of scripts,
patterns) stay, because nothing in a linked module says whose data an address is. It follows from
the code: the linker lays out data in the order of functions, so a library's tables are the stretch
of addresses that only its own functions name, between what the libraries before and after name.

Addresses are looked for in ``i32.const`` and in the offsets of loads and stores. A number is not
always an address: those that are masks, and the few in :data:`NUMBERS`, are none. Any other number
of other code ends the stretch, so that a build where other code names something in it keeps more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.wasm.binary import ExternKind, MalformedModule, Reader
from dotnet_wasm_host.wasm.instructions import MEMORY_ACCESSES, Scanner
from dotnet_wasm_host.wasm.module import Module, memory_module
from runtime_artifacts.pipeline import native_cut

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["NUMBERS", "Named", "Stretch", "find_stretch", "own_data", "without"]

_I32_CONST = b"\x41"
_ADDRESSES = Scanner(frozenset({_I32_CONST, *MEMORY_ACCESSES}))
#: Numbers of .NET 10's native code that are larger than the smallest address and are no addresses.
NUMBERS = frozenset(
    {
        0x31069,  # 200809, the version of POSIX that sysconf tells
        0x349C9,  # 215497, a factor in fixed point: x * 215497 >> 16
        0x4000F, 0x50000, 0x50005,  # pairs of 16 bits
        0x80002, 0x80101,  # O_CLOEXEC and the access mode
    }
)  # fmt: skip


class Stretch(NamedTuple):
    """Addresses ``start`` to ``end``, which is not among them."""

    start: int
    end: int


class Named(NamedTuple):
    """Numbers that functions name: as constants, and as offsets of loads and stores."""

    constants: set[int]
    offsets: set[int]


def own_data(native: bytes) -> Stretch:
    """The stretch of data that only functions name which :mod:`native_cut` takes out.

    Args:
        native: the native module, before anything is cut out of it.

    Raises:
        MalformedModule: there is no stretch that has most of what they name.
    """
    dead = native_cut.dead_functions(native)
    module = Module.parse(native)
    segments = module.data_segments()
    first = min((s.offset for s in segments), default=0)
    end = max((s.offset + len(s.content) for s in segments), default=0)
    return find_stretch(*_named(module, dead), range(first, end))


def find_stretch(own: Named, others: Named, data: range) -> Stretch:
    """Where in ``data`` most of what only ``own`` name lies, between two addresses of others."""
    constants = (v for v in others.constants if not _is_mask(v) and v not in NUMBERS)
    bounds = sorted(
        {data.start, data.stop, *(v for v in {*constants, *others.offsets} if v in data)}
    )
    shared = others.constants | others.offsets
    only_own = sorted(v for v in (own.constants | own.offsets) - shared if v in data)
    gaps = Counter(bisect_right(bounds, address) for address in only_own)
    (gap, count), *_ = gaps.most_common(1) or [(0, 0)]
    if count <= len(only_own) / 2:
        raise MalformedModule("the data of the libraries that are cut does not lie together")
    # What is at the lower bound is another library's, up to where the first own table begins.
    return Stretch(next(v for v in only_own if v > bounds[gap - 1]), bounds[gap])


def without(data: bytes, stretch: Stretch) -> bytes:
    """A data module without what lies there: memory is zero instead."""
    module = Module.parse(data)
    limits = module.memories()[0]
    kept = [part for segment in module.data_segments() for part in segment.outside(*stretch)]
    return memory_module(kept, limits.minimum, limits.maximum or 65536)


def _named(module: Module, functions: Container[int]) -> tuple[Named, Named]:
    """What ``functions`` name, and what the others do."""
    own, others = Named(set(), set()), Named(set(), set())
    imported = sum(item.kind is ExternKind.FUNCTION for item in module.imports())
    for index, body in enumerate(module.bodies(), imported):
        named = own if index in functions else others
        for start, _, encoding in _ADDRESSES.find(body):
            reader = Reader(body, start + len(encoding))
            if encoding == _I32_CONST:
                named.constants.add(reader.sleb128() & 0xFFFFFFFF)
            else:
                reader.uleb128()  # alignment
                named.offsets.add(reader.uleb128())
    return own, others


def _is_mask(value: int) -> bool:
    """Whether the bits of a number that are set lie together."""
    lowest = value & -value
    return (value + lowest) & value == 0
