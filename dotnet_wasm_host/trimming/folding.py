"""Folding constants through a method and removing what is never reached then."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.il import (
    FILTER,
    NO_FALL_THROUGH,
    Body,
    Clause,
    Instruction,
    Op,
    decode,
    encode,
    long_form,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Known", "constant_result", "fold", "load_constant"]


class Known(NamedTuple):
    """What a call or a field's load always gives, and how many values it takes off the stack."""

    value: int
    arguments: int = 0


#: Instructions that only put a value onto the stack, and those that only convert the one there.
_PURE = frozenset({*range(Op.LDARG_0, 0x0A), 0x0E, 0x0F, 0x11, 0x12, *range(Op.LDNULL, 0x24)})
_CONVERSIONS = frozenset({*range(0x67, 0x6F), 0xD1, 0xD2, 0xD3, 0xE0})

_ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    Op.CEQ: lambda a, b: int(a == b),
    Op.CGT: lambda a, b: int(a > b),
    Op.CGT_UN: lambda a, b: int(a & 0xFFFFFFFF > b & 0xFFFFFFFF),
    Op.CLT: lambda a, b: int(a < b),
    Op.AND: lambda a, b: a & b,
    Op.OR: lambda a, b: a | b,
}
_COMPARISONS: dict[int, Callable[[int, int], bool]] = {
    Op.BEQ: lambda a, b: a == b,
    Op.BEQ + 1: lambda a, b: a >= b,
    Op.BEQ + 2: lambda a, b: a > b,
    Op.BEQ + 3: lambda a, b: a <= b,
    Op.BEQ + 4: lambda a, b: a < b,
    Op.BEQ + 5: lambda a, b: a & 0xFFFFFFFF != b & 0xFFFFFFFF,
}


def load_constant(value: int) -> tuple[int, bytes | None]:
    """Opcode and operand that put a 32-bit number onto the stack."""
    if -1 <= value <= 8:
        return Op.LDC_I4_0 + value, None
    if -128 <= value < 128:
        return Op.LDC_I4_S, struct.pack("<b", value)
    return Op.LDC_I4, struct.pack("<i", value)


def constant_of(instruction: Instruction) -> int | None:
    """The 32-bit number that an instruction loads."""
    op = instruction.op
    if Op.LDC_I4_M1 <= op <= Op.LDC_I4_8:
        return op - Op.LDC_I4_0
    if op in {Op.LDC_I4_S, Op.LDC_I4} and isinstance(instruction.operand, bytes):
        return int.from_bytes(instruction.operand, "little", signed=True)
    return None


def constant_result(code: bytes) -> int | None:
    """The number that code does nothing but return."""
    instructions = decode(code)
    if len(instructions) == 2 and instructions[1].op == Op.RET:
        return constant_of(instructions[0])
    return None


def fold(
    body: Body,
    known: Callable[[int, int], Known | None],
    is_pure: Callable[[int], bool] = lambda _: False,
) -> Body:
    """The body with constants put in, branches on them decided and dead code removed.

    Args:
        body: what to fold.
        known: opcode and token to what a call or a field's load always gives.
        is_pure: whether loading a static field, given its token, does nothing else.
    """
    return _Folder(body, known, is_pure).run()


@final
class _Folder:
    def __init__(
        self,
        body: Body,
        known: Callable[[int, int], Known | None],
        is_pure: Callable[[int], bool],
    ) -> None:
        self._body = body
        self._is_pure = is_pure
        self._code: list[Instruction] = []
        for instruction in decode(body.code):
            self._code += _put_in(instruction, known)
        self._index = {i.offset: n for n, i in enumerate(self._code)}
        self._index[len(body.code)] = len(self._code)
        self._clauses = [tuple(self._bounds(c)) for c in body.clauses]
        self._targets: set[int] = set()

    def _bounds(self, clause: Clause) -> list[int]:
        """Try start and end, handler start and end, filter start, as positions in the code."""
        offsets = [clause.try_start, clause.try_start + clause.try_length]
        offsets += [clause.handler_start, clause.handler_start + clause.handler_length]
        offsets += [clause.extra] if clause.kind == FILTER else []
        return [self._index[offset] for offset in offsets]

    def run(self) -> Body:
        self._find_targets()
        while sum(self._simplify(position) for position in range(len(self._code))):
            self._find_targets()
        return self._without_dead_code()

    def _find_targets(self) -> None:
        """Instructions that are reached from elsewhere than the one before."""
        self._targets = {id(target) for i in self._code for target in _branch_targets(i)}
        for clause in self._clauses:
            self._targets |= {id(self._code[n]) for n in clause if n < len(self._code)}

    def _next(self, position: int) -> int | None:
        """The next instruction, if only the one at ``position`` leads to it."""
        for n in range(position + 1, len(self._code)):
            if id(self._code[n]) in self._targets:
                return None
            if self._code[n].op != Op.NOP:
                return n
        return None

    def _simplify(self, position: int) -> bool:
        """Carry out what can be told at ``position``."""
        if self._drop(position):
            return True
        value = constant_of(self._code[position])
        following = self._next(position) if value is not None else None
        if value is None or following is None:
            return False
        user = self._code[following]
        op = long_form(user.op)
        if op in {Op.BRTRUE, Op.BRFALSE}:
            self._decide(user, taken=(value != 0) == (op == Op.BRTRUE))
        elif op == Op.BR and self._thread(user, value):
            pass
        elif op == Op.SWITCH and isinstance(user.operand, list):
            _choose(user, value)
        else:
            return self._combine(position, following, value)
        _erase(self._code[position])
        return True

    def _drop(self, position: int) -> bool:
        """Leave out a value that is thrown away at once."""
        instruction = self._code[position]
        following = self._next(position)
        if following is None or self._code[following].op != Op.POP:
            return False
        if instruction.op in _CONVERSIONS:
            _erase(instruction)
            return True
        token = instruction.operand
        pure = instruction.op in _PURE
        if instruction.op == Op.LDSFLD and isinstance(token, int):
            pure = self._is_pure(token)
        if pure:
            _erase(instruction)
            _erase(self._code[following])
        return pure

    @staticmethod
    def _decide(branch: Instruction, *, taken: bool) -> None:
        if taken:
            branch.op = Op.BR
        else:
            _erase(branch)

    def _thread(self, branch: Instruction, value: int) -> bool:
        """``ldc; br L`` with a conditional branch at L goes where that one would go."""
        target = branch.operand
        assert isinstance(target, Instruction)
        op = long_form(target.op)
        # The branch at L could lie in another protected block.
        if op not in {Op.BRTRUE, Op.BRFALSE} or self._clauses:
            return False
        if (value != 0) == (op == Op.BRTRUE):
            branch.operand = target.operand
        else:
            after = self._position(target) + 1
            if after >= len(self._code):
                return False
            branch.operand = self._code[after]
        self._targets |= {id(i) for i in _branch_targets(branch)}
        branch.op = Op.BR
        return True

    def _position(self, instruction: Instruction) -> int:
        return self._index[instruction.offset]

    def _combine(self, position: int, following: int, left: int) -> bool:
        """Two constants and what is done with them."""
        right = constant_of(self._code[following])
        last = self._next(following) if right is not None else None
        if right is None or last is None:
            return False
        user = self._code[last]
        arithmetic, comparison = _ARITHMETIC.get(user.op), _COMPARISONS.get(long_form(user.op))
        if arithmetic is not None:
            user.op, user.operand = load_constant(arithmetic(left, right))
        elif comparison is not None:
            self._decide(user, taken=comparison(left, right))
        else:
            return False
        _erase(self._code[position])
        _erase(self._code[following])
        return True

    def _without_dead_code(self) -> Body:
        reached = self._reached()
        code = self._code
        clauses = [n for n, c in enumerate(self._clauses) if c[2] in reached]
        kept = [n for n in range(len(code)) if n in reached and code[n].op != Op.NOP]
        kept = self._without_idle_branches(kept)
        survivor = self._survivors(kept)
        for n in kept:
            _retarget(code[n], lambda target: code[survivor[self._position(target)]])
        before = {id(i): n for n, i in enumerate(code)}
        instructions = [code[n] for n in kept]
        encoded = encode(instructions)
        starts = {before[id(i)]: i.offset for i in instructions} | {len(code): len(encoded)}
        places = {n: starts[survivor[n]] for n in range(len(code) + 1)}
        return replace(
            self._body,
            code=encoded,
            clauses=tuple(self._moved(n, places) for n in clauses),
        )

    def _moved(self, number: int, places: dict[int, int]) -> Clause:
        clause, bounds = self._body.clauses[number], self._clauses[number]
        start, end, handler, handler_end = (places[n] for n in bounds[:4])
        extra = places[bounds[4]] if clause.kind == FILTER else clause.extra
        return Clause(clause.kind, start, end - start, handler, handler_end - handler, extra)

    def _reached(self) -> set[int]:
        reached: set[int] = set()
        pending = [0]
        while pending:
            n = pending.pop()
            if n not in reached and n < len(self._code):
                reached.add(n)
                instruction = self._code[n]
                pending += [self._position(target) for target in _branch_targets(instruction)]
                if instruction.op not in NO_FALL_THROUGH:
                    pending.append(n + 1)
            if not pending:
                # A handler is reached when anything that it protects is.
                pending = [
                    start
                    for first, end, handler, _, *filters in self._clauses
                    for start in (handler, *filters)
                    if start not in reached and any(k in reached for k in range(first, end))
                ]
        return reached

    def _without_idle_branches(self, kept: list[int]) -> list[int]:
        """Leave out branches to what comes next anyway."""
        result: list[int] = []
        following = len(self._code)
        for n in reversed(kept):
            target = self._code[n].operand
            is_branch = long_form(self._code[n].op) == Op.BR and isinstance(target, Instruction)
            if is_branch and n < self._position(target) <= following:  # type: ignore[arg-type]
                continue
            result.append(n)
            following = n
        return result[::-1]

    def _survivors(self, kept: list[int]) -> dict[int, int]:
        """Each position to the first one at or behind it that is kept; the end is kept."""
        survivor = {}
        following = len(self._code)
        keep = set(kept)
        for n in range(len(self._code), -1, -1):
            following = n if n in keep else following
            survivor[n] = following
        return survivor


def _put_in(
    instruction: Instruction, known: Callable[[int, int], Known | None]
) -> list[Instruction]:
    """The instruction, or its arguments thrown away and what it always gives."""
    if not isinstance(instruction.operand, int):
        return [instruction]
    found = known(instruction.op, instruction.operand)
    if found is None:
        return [instruction]
    op, operand = load_constant(found.value)
    # The first one keeps the offset that branches name; what is added needs offsets of its own.
    added = [Instruction(-instruction.offset * 64 - n - 1, Op.POP) for n in range(found.arguments)]
    code = [*added, Instruction(-instruction.offset * 64 - 64, op, operand)]
    code[0].offset = instruction.offset
    return code


def _branch_targets(instruction: Instruction) -> list[Instruction]:
    operand = instruction.operand
    if isinstance(operand, Instruction):
        return [operand]
    return operand if isinstance(operand, list) else []


def _retarget(instruction: Instruction, target: Callable[[Instruction], Instruction]) -> None:
    if isinstance(instruction.operand, Instruction):
        instruction.operand = target(instruction.operand)
    elif isinstance(instruction.operand, list):
        instruction.operand = [target(t) for t in instruction.operand]


def _choose(switch: Instruction, value: int) -> None:
    assert isinstance(switch.operand, list)
    if 0 <= value < len(switch.operand):
        switch.op, switch.operand = Op.BR, switch.operand[value]
    else:
        _erase(switch)


def _erase(instruction: Instruction) -> None:
    instruction.op, instruction.operand = Op.NOP, None
