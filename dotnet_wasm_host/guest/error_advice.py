"""What to say of .NET exceptions that do not say what is missing, or what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotnet_wasm_host.abi import RemoteException

__all__ = ["advice_on"]

_NOT_SUPPORTED = "System.PlatformNotSupportedException"
_NO_LIBRARY = "native libraries cannot be loaded in WebAssembly; take a managed library"
#: What SQLitePCL.raw, which Microsoft.Data.Sqlite is on, says without its native part.
_SQLITE = "SQLitePCL.raw"
_BY_TYPE = {
    "System.DllNotFoundException": _NO_LIBRARY,
    "System.EntryPointNotFoundException": _NO_LIBRARY,
    "System.TimeZoneNotFoundException": "IANA names such as 'Europe/Berlin' and Windows names such "
    "as 'W. Europe Standard Time' are known here",
}
_CRYPTOGRAPHY = "System.Security.Cryptography.CryptographicException"
#: How HostWaits.cs says that a wait cannot end, because nothing else runs meanwhile.
_WAITS = "This wait "
_UNKNOWN_HASH = "is not a known hash algorithm"
_OWN = ("System.", "Microsoft.", "Interop.")
_ACCESSORS = ("get_", "set_", "add_", "remove_")
#: Frames and exceptions that are looked at; the guest chose how many there are.
_MOST_FRAMES, _MOST_EXCEPTIONS = 32, 16


def advice_on(thrown: RemoteException) -> str:
    """A sentence for behind the message, or ``""`` if the exception says enough itself."""
    current: RemoteException | None = thrown
    for _ in range(_MOST_EXCEPTIONS):
        if current is None:
            break
        if _SQLITE in current.message:
            return f"SQLite's native part, e_sqlite3, is missing: {_NO_LIBRARY}"
        if advice := _advice_on_one(current):
            return advice
        current = current.inner
    return ""


def _advice_on_one(thrown: RemoteException) -> str:
    if thrown.type_name in _BY_TYPE:
        return _BY_TYPE[thrown.type_name]
    if thrown.type_name == _NOT_SUPPORTED:
        if thrown.message.startswith(_WAITS):
            return "a function that awaits implements IAsyncFunctionHandler"
        return _missing(thrown.stack_trace)
    if thrown.type_name == _CRYPTOGRAPHY and _UNKNOWN_HASH in thrown.message:
        return _missing(thrown.stack_trace)
    return ""


def _missing(trace: str) -> str:
    api = called_api(trace)
    if not api:
        return ""
    return f"{api} does not work in WebAssembly; the guide lists what this .NET does not have"


def called_api(trace: str) -> str:
    """What of the base library was called by the first frame that does not belong to it."""
    called = ""
    for line in trace.split("\n", _MOST_FRAMES)[:_MOST_FRAMES]:
        name = line.strip().removeprefix("at ").partition("(")[0]
        if not name.startswith(_OWN):
            break
        called = name
    owner, _, member = called.partition("[")[0].rpartition(".")
    if member == "ctor":
        return f"new {owner.rstrip('.')}"
    for prefix in _ACCESSORS:
        member = member.removeprefix(prefix)
    return f"{owner}.{member}" if owner else ""
