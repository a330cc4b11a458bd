"""Basic blocks, and which of them dominate others.

Dominators: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.interface import CannotCompile
from dotnet_wasm_host.jit.ir import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.jit.ir import Operation

__all__ = ["Block", "Dominators", "Work", "find_blocks"]

_JUMPS = (Kind.JUMP, Kind.BRANCH, Kind.SWITCH)
_ENDS = (*_JUMPS, Kind.RETURN, Kind.EXIT)
#: Steps between two calls of what lets others work.
_PACE = 50


class Work:
    """Steps that a method, or a batch, may still take.

    Code is written by whoever compiled the guest's assemblies, or by the guest, which can write to
    its memory: some graphs take the square of their size, and nobody knows before.

    Attributes:
        taken: steps so far.
    """

    __slots__ = ("_all", "_limit", "_next", "_pace", "taken")

    def __init__(
        self, limit: int, of: Work | None = None, pace: Callable[[], object] | None = None
    ) -> None:
        self._limit = limit
        self._all = of
        self._pace = pace
        self._next = 0
        self.taken = 0

    def charge(self, steps: int) -> None:
        """Take steps. CannotCompile if fewer are left, here or of the whole."""
        self.taken += steps
        if self._all is not None:
            self._all.charge(steps)
        if self._pace is not None and self.taken >= self._next:
            self._next = self.taken + _PACE
            self._pace()
        if self.taken > self._limit:
            raise CannotCompile("takes too long to compile")


@dataclass(slots=True)
class Block:
    """Operations that run one after the other.

    Attributes:
        start: place of the first in the method, in units.
        operations: at least one; only the last may jump.
        next: where control goes on without a jump; ``None`` where it never does.
        successors: all blocks that may follow.
    """

    start: int
    operations: list[Operation] = field(default_factory=list)
    next: int | None = None
    successors: tuple[int, ...] = ()


def find_blocks(operations: Sequence[Operation], root: int, limit: int) -> dict[int, Block]:
    """The blocks that are reached from ``root``.

    CannotCompile if there are more than ``limit``, or control goes where no operation is.
    """
    following = {a.at: b.at for a, b in pairwise(operations)}
    by_place = {operation.at: operation for operation in operations}
    leaders = {root}
    for operation in operations:
        leaders.update(operation.targets)
        if operation.kind in _ENDS and operation.at in following:
            leaders.add(following[operation.at])
    blocks: dict[int, Block] = {}
    pending = [root]
    while pending:
        start = pending.pop()
        if start in blocks:
            continue
        if len(blocks) >= limit:
            raise CannotCompile(f"has more than {limit} basic blocks")
        block = blocks[start] = _block(start, by_place, following, leaders)
        pending += block.successors
    return blocks


def _block(
    start: int, by_place: Mapping[int, Operation], following: Mapping[int, int], leaders: set[int]
) -> Block:
    block, at = Block(start), start
    while True:
        if at not in by_place:
            raise CannotCompile("jumps to where no instruction begins")
        operation = by_place[at]
        block.operations.append(operation)
        if operation.kind in {Kind.RETURN, Kind.EXIT}:
            return block
        after = following.get(at)
        if operation.kind in {Kind.JUMP, Kind.SWITCH}:
            block.successors = tuple(dict.fromkeys(operation.targets))
            return block
        if after is None:
            raise CannotCompile("runs past its last instruction", operation.name)
        if operation.kind is Kind.BRANCH:
            block.next = after
            block.successors = tuple(dict.fromkeys((*operation.targets, after)))
            return block
        if after in leaders:
            block.next, block.successors = after, (after,)
            return block
        at = after


class Dominators:
    """Order and dominators of the blocks that are reached from ``root``.

    Attributes:
        number: of each block in reverse postorder.
        parent: its immediate dominator; the root is its own.
        children: the other way round.
    """

    __slots__ = ("_work", "children", "number", "parent")

    def __init__(self, root: int, successors: Mapping[int, Sequence[int]], work: Work) -> None:
        self._work = work
        order = _reverse_postorder(root, successors)
        self.number: dict[int, int] = {block: n for n, block in enumerate(order)}
        predecessors: dict[int, list[int]] = {block: [] for block in order}
        for block in order:
            for target in successors[block]:
                predecessors[target].append(block)
        self.parent: dict[int, int] = {root: root}
        changed = True
        while changed:
            changed = False
            for block in order[1:]:
                work.charge(1 + len(predecessors[block]))
                known = [p for p in predecessors[block] if p in self.parent]
                found = known[0]
                for other in known[1:]:
                    found = self._common(found, other)
                if self.parent.get(block) != found:
                    self.parent[block], changed = found, True
        self.children: dict[int, list[int]] = {block: [] for block in order}
        for block in order[1:]:
            self.children[self.parent[block]].append(block)

    def dominates(self, upper: int, lower: int) -> bool:
        """Whether every way to ``lower`` leads through ``upper``."""
        while self.number[lower] > self.number[upper]:
            self._work.charge(1)
            lower = self.parent[lower]
        return lower == upper

    def _common(self, a: int, b: int) -> int:
        while a != b:
            self._work.charge(1)
            while self.number[a] > self.number[b]:
                self._work.charge(1)
                a = self.parent[a]
            while self.number[b] > self.number[a]:
                self._work.charge(1)
                b = self.parent[b]
        return a


def _reverse_postorder(root: int, successors: Mapping[int, Sequence[int]]) -> list[int]:
    postorder, seen = [], {root}
    stack = [(root, iter(successors[root]))]
    while stack:
        block, targets = stack[-1]
        for target in targets:
            if target not in seen:
                seen.add(target)
                stack.append((target, iter(successors[target])))
                break
        else:
            postorder.append(block)
            stack.pop()
    return postorder[::-1]
