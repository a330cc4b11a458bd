"""Give the base library code of this project where .NET's build for browsers has none.

That build throws, or returns what it was given, where it would ask ICU or a terminal. Types of
``MinimalRuntime.Platform`` are copied into the assembly (``transplanting.py``), and such methods
get a new body that calls one of the same name and signature. Sources: ECMA-335 6th edition II.25.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import TINY_FORMAT, Op
from dotnet_wasm_host.ecma335.rows import MethodDefRow
from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.trimming.module import Module
from runtime_artifacts.pipeline.appending import GrowingAssembly
from runtime_artifacts.pipeline.transplanting import Transplant

__all__ = ["FILES", "WOVEN", "Redirect", "Weave", "weave"]


@dataclass(frozen=True, slots=True)
class Redirect:
    """Static methods of one type, to those of the same signature of a type that is copied.

    Attributes:
        type_name: full name of the type they are in.
        target: simple name of the type that has those which are called.
        methods: their names, which are also those of the methods that are called.
    """

    type_name: str
    target: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weave:
    """What one assembly of the base library gets.

    Attributes:
        source: the guest assembly whose types are copied into it.
        redirects: which of its methods call these.
    """

    source: str
    redirects: tuple[Redirect, ...]


#: Simple name of an assembly to what it gets.
WOVEN: dict[str, Weave] = {
    "System.Private.CoreLib": Weave("MinimalRuntime.Platform", (
        Redirect(
            "System.Globalization.Normalization",
            "TextNormalization",
            ("IsNormalized", "Normalize", "TryNormalize", "GetNormalizedLength"),
        ),
        Redirect(
            "System.TimeZoneInfo",
            "TimeZoneNames",
            ("GetAlternativeId", "TryConvertIanaIdToWindowsId", "TryConvertWindowsIdToIanaId"),
        ),
    )),
    "System.Console": Weave("MinimalRuntime.Platform.Console", (
        Redirect(
            "System.Console",
            "ConsoleDevice",
            (
                "get_IsInputRedirected", "get_IsOutputRedirected", "get_IsErrorRedirected",
                "get_KeyAvailable", "add_CancelKeyPress", "remove_CancelKeyPress",
            ),
        ),
        Redirect(
            "System.ConsolePal",
            "ConsoleDevice",
            (
                "OpenStandardInput", "GetOrCreateReader", "get_InputEncoding",
                "SetConsoleInputEncoding", "ReadKey", "get_TreatControlCAsInput",
                "set_TreatControlCAsInput", "get_ForegroundColor", "set_ForegroundColor",
                "get_BackgroundColor", "set_BackgroundColor", "ResetColor", "Beep",
                "get_CursorSize", "set_CursorVisible", "GetCursorPosition",
                "SetCursorPosition", "set_Title",
                "get_BufferWidth", "get_BufferHeight", "get_LargestWindowWidth",
                "get_LargestWindowHeight", "get_WindowWidth", "get_WindowHeight",
            ),
        ),
    )),
}  # fmt: skip

#: The compiled C#, in ``guest/bin``.
FILES = tuple(f"{woven.source}.dll" for woven in WOVEN.values())

#: II.23.1.10: a method that belongs to no object.
_STATIC = 0x10
#: III.3.38: the opcodes of the first four arguments are short.
_SHORT_ARGUMENTS, _LDARG_S = 4, 0x0E


def weave(name: str, content: bytes, source: bytes, woven: Weave) -> bytes:
    """An assembly with the types of another, and with methods that call theirs.

    Args:
        name: its simple name.
        content: it, as raw webcil.
        source: the assembly whose types it gets.
        woven: which methods call these.

    Raises:
        ArtifactError: a method is not there, is not static, or something else is not as in the
            builds that this was written for.
    """
    try:
        target = Module(0, name, content, is_root=False)
        into = GrowingAssembly(content)
        transplant = Transplant(Module(1, woven.source, source, is_root=False), target, into)
        transplant.copy()
        for redirect in woven.redirects:
            for method_name in redirect.methods:
                _redirect(target, into, transplant, redirect, method_name)
        return into.webcil()
    except (MalformedImage, struct.error) as error:
        raise ArtifactError(
            f"{name} cannot be woven: {error}; adapt runtime_artifacts/pipeline/platform_code.py"
        ) from error


def _redirect(
    target: Module, into: GrowingAssembly, transplant: Transplant, redirect: Redirect, name: str
) -> None:
    """Let the overloads of a method that the copied type has call those."""
    type_ = target.by_name.get(redirect.type_name)
    overloads = {
        target.metadata.blob(row.signature): (method, row)
        for method in (target.methods_named(type_, name) if type_ else ())
        for row in (target.metadata.row(MethodDefRow, method),)
    }
    called = transplant.methods.get((redirect.target, name), [])
    for new, signature in called:
        method, row = overloads.get(signature, (0, None))
        if row is None or not row.flags & _STATIC or not row.rva:
            raise MalformedImage(
                f"{redirect.type_name} has no static {name} with a body and the signature "
                f"{signature.hex()}"
            )
        code = b"".join(_load_argument(number) for number in range(signature[1]))
        code += struct.pack("<BIB", Op.CALL, int(Table.METHOD_DEF) << 24 | new, Op.RET)
        body = into.place(bytes([len(code) << 2 | TINY_FORMAT]) + code)
        into.address(Table.METHOD_DEF, method, body)
    if not called:
        raise MalformedImage(f"{redirect.target} has no {name}")


def _load_argument(number: int) -> bytes:
    """III.3.38: ldarg."""
    return bytes([Op.LDARG_0 + number]) if number < _SHORT_ARGUMENTS else bytes([_LDARG_S, number])
