"""C++ exceptions without exception handling: every call that may throw is followed by a check.

The native module leaves throwing to its host, and a standalone module's host cannot throw through
WebAssembly. No exception-handling proposal fits all hosts: Node.js 20 has the first one, wasmtime
the second one. So throwing sets a flag, and whoever called something that may throw looks at it
and returns at once, down to the nearest ``invoke_vi``, which clears it. .NET's own exceptions are
the interpreter's business and never come here.

What may throw is found from the call graph: the callers of ``raise``, their callers, and so on;
through the function table by type.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.wasm.assembly import END, IF, RETURN, UNREACHABLE, call, local_get
from dotnet_wasm_host.wasm.binary import (
    ExternKind,
    FunctionType,
    MalformedModule,
    Reader,
    ValueType,
    uleb128,
    vector,
)
from dotnet_wasm_host.wasm.builder import ModuleBuilder
from dotnet_wasm_host.wasm.instructions import CALL, CALL_INDIRECT, Scanner
from dotnet_wasm_host.wasm.module import Export, Global, Module, SectionId

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["GUARD", "INVOKE", "RAISE", "check_calls", "guard_module"]

#: Name that the guard module is linked under, and its exports.
GUARD, RAISE, INVOKE, FLAG = "guard", "raise", "invoke_vi", "unwinding"
_SCANNER = Scanner(frozenset({CALL, CALL_INDIRECT}))
_I32 = ValueType.I32
#: What a function returns while it is unwound; nobody looks at it.
_ZERO: Mapping[ValueType, bytes] = {
    ValueType.I32: b"\x41\x00",
    ValueType.I64: b"\x42\x00",
    ValueType.F32: b"\x43" + bytes(4),
    ValueType.F64: b"\x44" + bytes(8),
    ValueType.V128: b"\xfd\x0c" + bytes(16),
}


def guard_module() -> bytes:
    """The flag; ``raise``, which sets it; ``invoke_vi(function, argument)``, which catches.

    ``invoke_vi`` is Emscripten's: it tells its caller by ``setThrew`` that the call was left.
    """
    builder = ModuleBuilder()
    imported = {
        name: builder.import_function("mono", name, FunctionType(params, results))
        for name, params, results in (
            ("__call_vi", (_I32, _I32), ()),
            ("stackSave", (), (_I32,)),
            ("stackRestore", (_I32,), ()),
            ("setThrew", (_I32, _I32), ()),
        )
    }
    set_flag, get_flag = b"\x24\x00", b"\x23\x00"
    one, zero = b"\x41\x01", b"\x41\x00"
    stack = 2
    raise_ = builder.add_function(FunctionType(), (), one + set_flag)
    invoke = builder.add_function(
        FunctionType((_I32, _I32)),
        (_I32,),
        call(imported["stackSave"])
        + b"\x21"
        + uleb128(stack)
        + local_get(0)
        + local_get(1)
        + call(imported["__call_vi"])
        + get_flag
        + IF
        + zero
        + set_flag
        + local_get(stack)
        + call(imported["stackRestore"])
        + one
        + zero
        + call(imported["setThrew"])
        + END,
    )
    builder.export_function(RAISE, raise_)
    builder.export_function(INVOKE, invoke)
    module = Module.parse(builder.emit())
    module.set_section(SectionId.GLOBAL, [Global(0, mutable=True).encode()])
    flag = Export(FLAG, ExternKind.GLOBAL, 0)
    module.set_section(SectionId.EXPORT, [e.encode() for e in (*module.exports(), flag)])
    return module.emit()


class _Call(NamedTuple):
    """A call in a body: where it ends, and its function or, through the table, its type."""

    end: int
    direct: bool
    target: int


@final
class _CallGraph:
    """Who calls whom in a module."""

    def __init__(self, module: Module) -> None:
        self.bodies = module.bodies()
        self.imported = sum(i.kind is ExternKind.FUNCTION for i in module.imports())
        self.type_indices = module.function_type_indices()
        self.calls = [list(_calls(body)) for body in self.bodies]
        self._in_table = {f for s in module.element_segments() for f in s.functions}
        self._callers: defaultdict[int, set[int]] = defaultdict(set)
        self._table_callers: defaultdict[int, set[int]] = defaultdict(set)
        for number, calls in enumerate(self.calls):
            for found in calls:
                callers = self._callers if found.direct else self._table_callers
                callers[found.target].add(number + self.imported)

    def reaching(self, function: int, stops: Collection[int]) -> tuple[set[int], set[int]]:
        """Functions from which ``function`` is reached without going through ``stops``.

        And the types under which they are reached through the table.
        """
        reaching, types, left = {function}, set[int](), [function]
        while left:
            current = left.pop()
            callers = set(self._callers[current])
            kind = self.type_indices[current - self.imported]
            if current in self._in_table and kind not in types:
                types.add(kind)
                callers |= self._table_callers[kind]
            fresh = callers - reaching - set(stops)
            reaching |= fresh
            left += fresh
        return reaching, types


def _calls(body: bytes) -> list[_Call]:
    return [
        _Call(found.end, found.encoding == CALL, Reader(body, found.start + 1).uleb128())
        for found in _SCANNER.find(body)
    ]


def check_calls(module: Module, boundary: Collection[str]) -> int:
    """Put the checks into ``module``; how many there are.

    Args:
        module: the linked module, with the guard's exports.
        boundary: exported functions that hosts call. An exception that would leave one traps.

    Raises:
        MalformedModule: the guard is not in it, or a function returns something else than
            numbers and vectors.
    """
    exports = {export.name: export.index for export in module.exports()}
    if not {RAISE, INVOKE, FLAG} <= exports.keys():
        raise MalformedModule("the linked module has no guard")
    graph = _CallGraph(module)
    raise_ = exports[RAISE]
    throwing, types = graph.reaching(raise_, {exports[INVOKE]})
    ends = {exports[name] for name in boundary if name in exports}
    signatures, count = module.types(), 0
    for number, body in enumerate(graph.bodies):
        function = number + graph.imported
        if function not in throwing or function == raise_:
            continue
        leave = UNREACHABLE
        if function not in ends:
            results = signatures[graph.type_indices[number]].results
            leave = b"".join(map(_zero, results)) + RETURN
        check = b"\x23" + uleb128(exports[FLAG]) + IF + leave + END
        pieces, done = list[bytes](), 0
        for found in graph.calls[number]:
            if found.target in (throwing if found.direct else types):
                pieces += [body[done : found.end], check]
                done = found.end
        count += len(pieces) // 2
        graph.bodies[number] = b"".join([*pieces, body[done:]])
    module.set_section(SectionId.CODE, [vector(body) for body in graph.bodies])
    return count


def _zero(kind: ValueType) -> bytes:
    try:
        return _ZERO[kind]
    except KeyError:
        raise MalformedModule(f"a function that may throw returns a {kind.name}") from None
