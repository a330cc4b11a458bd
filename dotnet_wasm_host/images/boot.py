"""Starting .NET from nothing: the order of calls that Mono's WebAssembly runtime expects.

The contract (``dotnet.runtime.js`` of .NET 10): run the C constructors, hand over every
assembly, then start the runtime with its properties. The bytes of an assembly stay where they
are for as long as the runtime lives.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dotnet_wasm_host.abi import COMPILED_RECORDS_SIZE, COMPILED_ROOTS, COMPILED_SLOTS
from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dotnet_wasm_host.imports.host import Host

__all__ = [
    "ENTRIES_EVERYWHERE", "boot", "find_methods", "make_room_for_compiled_code",
    "runtime_properties",
]  # fmt: skip

#: Options of the runtime with which every method begins with an instruction that counts how often
#: it runs and that can be pointed at compiled code. The base is ``jiterpreter-opts.def``.
ENTRIES_EVERYWHERE = ("--jiterpreter-minimum-trace-value=0",)
#: The table that the interpreter takes entries' slots from (``JITERPRETER_TABLE_TRACE``).
_TRACES = 0

#: ``System.Private.CoreLib`` asserts without the first two.
PROPERTIES: Mapping[str, str] = {
    "APP_CONTEXT_BASE_DIRECTORY": "/",
    "RUNTIME_IDENTIFIER": "browser-wasm",
    # No ICU is shipped: cultures behave as the invariant one.
    "System.Globalization.Invariant": "true",
    # Named cultures exist all the same: many libraries make one, and few look at its data.
    "System.Globalization.PredefinedCulturesOnly": "false",
}
_NO_TIME_ZONES = "System.TimeZoneInfo.Invariant"
_NO_DEBUGGER = 0
_ANY_PARAMETER_COUNT = 0xFFFFFFFF


def boot(
    host: Host,
    assemblies: Iterable[tuple[str, bytes]],
    *,
    with_time_zones: bool = True,
    options: Iterable[str] = (),
) -> dict[str, int]:
    """Start the runtime with ``assemblies``: file name (``X.dll`` or ``X.wasm``) and content.

    Without time zones every zone is UTC, and the data module need not have any. ``options`` are
    the interpreter's (``jiterpreter-opts.def``). Returns where in linear memory each assembly is.
    """
    host.call("__wasm_call_ctors")
    for option in options:
        _set_option(host, option)
    places = {name: _add_assembly(host, name, content) for name, content in assemblies}
    properties = runtime_properties(with_time_zones=with_time_zones)
    keys, values = list(properties), list(properties.values())
    host.call(
        "mono_wasm_load_runtime",
        _NO_DEBUGGER, len(keys), _string_array(host, keys), _string_array(host, values),
    )  # fmt: skip
    # The first round of background work starts the finalizer, which has no thread of its own.
    host.call("mono_background_exec")
    return places


def make_room_for_compiled_code(host: Host) -> int:
    """Tell the interpreter where slots of compiled methods begin, at the end of the table.

    Returns the address of the records that their code needs, 0 where the engine adds no code. So
    whoever compiles for an instance later need not call it.
    """
    linker = host.instance.code_linker
    if linker is None:
        return 0
    first = linker.table_size
    host.call("mono_jiterp_initialize_table", _TRACES, first, first + COMPILED_SLOTS - 1)
    records = host.call("malloc", COMPILED_RECORDS_SIZE)
    host.memory.write(records, bytes(COMPILED_RECORDS_SIZE))
    roots = COMPILED_RECORDS_SIZE - COMPILED_ROOTS
    host.call("mono_wasm_register_root", records + COMPILED_ROOTS, roots, 0)
    return records


def runtime_properties(*, with_time_zones: bool) -> dict[str, str]:
    """Properties that the runtime is started with. Without time zones every zone is UTC."""
    return {**PROPERTIES, _NO_TIME_ZONES: str(not with_time_zones).lower()}


def find_methods(
    host: Host, assembly: str, namespace: str, type_name: str, methods: Iterable[str]
) -> dict[str, int]:
    """Addresses of static methods, for ``mono_wasm_invoke_jsexport``."""
    image = host.call("mono_wasm_assembly_load", _c_string(host, assembly))
    if image == 0:
        raise ArtifactError(
            f"the runtime does not find assembly '{assembly}'; build the artifacts again"
        )
    class_ = host.call(
        "mono_wasm_assembly_find_class",
        image,
        _c_string(host, namespace),
        _c_string(host, type_name),
    )
    if class_ == 0:
        raise ArtifactError(
            f"assembly '{assembly}' has no type '{namespace}.{type_name}'; build the artifacts "
            "again"
        )
    found = {}
    for method in methods:
        found[method] = host.call(
            "mono_wasm_assembly_find_method", class_, _c_string(host, method), _ANY_PARAMETER_COUNT
        )
        if found[method] == 0:
            raise ArtifactError(
                f"type '{namespace}.{type_name}' has no method '{method}'; build the artifacts "
                "again"
            )
    return found


def _set_option(host: Host, option: str) -> None:
    if not host.call("mono_jiterp_parse_option", _c_string(host, option)):
        raise ArtifactError(
            f"expected an option of the interpreter, found {option!r}, which it does not know; "
            "build the artifacts again"
        )


def _add_assembly(host: Host, name: str, content: bytes) -> int:
    pointer = _allocate(host, content)
    host.call("mono_wasm_add_assembly", _c_string(host, name), pointer, len(content))
    return pointer


# Boot allocations are never freed: Mono keeps most of them, and the rest is a few kilobytes that
# every instance of the image shares.
def _allocate(host: Host, content: bytes) -> int:
    pointer = host.call("malloc", len(content))
    if pointer == 0:
        raise ArtifactError(
            f"linear memory has no room for {len(content)} bytes of the image; raise the memory "
            "limit"
        )
    host.memory.write(pointer, content)
    return pointer


def _c_string(host: Host, text: str) -> int:
    return _allocate(host, text.encode() + b"\0")


def _string_array(host: Host, texts: list[str]) -> int:
    pointers = [_c_string(host, text) for text in texts]
    return _allocate(host, struct.pack(f"<{len(pointers)}I", *pointers))
