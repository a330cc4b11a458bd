"""Put a template and a memory together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import LimitExceeded, StandaloneBuildError
from dotnet_wasm_host.linking.adapter_layout import AdapterFlags, AdapterLayout
from dotnet_wasm_host.linking.description import own_section, producers_section
from dotnet_wasm_host.linking.memory import Assemblies, BootedMemory, segments
from dotnet_wasm_host.linking.module import StandaloneModule
from dotnet_wasm_host.linking.template import Template
from dotnet_wasm_host.wasm import PAGE
from dotnet_wasm_host.wasm.module import DataSegment, Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.linking.description import Description
    from dotnet_wasm_host.linking.options import ModuleOptions
    from dotnet_wasm_host.wasm.module import Import

__all__ = ["check_functions", "write_module"]

#: What a library's host may call; ``last_error`` is beside the original's.
LIBRARY_EXPORTS = (
    "memory",
    "_start",
    "invoke",
    "load_assembly",
    "unload_assembly",
    "free_result",
    "malloc",
    "free",
    "last_error",
)
_WASI = "wasi_snapshot_preview1"
#: Of the original host's ten functions, what a library needs, and what a command needs beside it.
_ALWAYS = frozenset(
    {
        "clock_time_get",
        "environ_get",
        "environ_sizes_get",
        "fd_read",
        "fd_write",
        "proc_exit",
        "random_get",
    }
)
_OF_COMMANDS = frozenset({"args_get", "args_sizes_get"})


def write_module(
    template: bytes,
    start: BootedMemory | Assemblies,
    options: ModuleOptions,
    description: Description,
    *,
    is_program: bool = False,
) -> StandaloneModule:
    """The module of a template and what its memory starts with.

    Args:
        template: content of the artifact.
        start: a booted memory, or what .NET boots from.
        options: how the module is to be.
        description: what it says of itself.
        is_program: the function runs a program, which reads standard input itself.

    Raises:
        StandaloneBuildError: the target does not fit the functions.
        LimitExceeded: memory or file are larger than the options allow.
        ArtifactError: the template is damaged.
    """
    check_functions([f.function_id for f in start.functions], options)
    module = Template(template)
    flags = _flags(options, is_program=is_program)
    if isinstance(start, BootedMemory):
        module.set_globals(start.globals)
        _put_booted(module, start, options, flags)
    else:
        _put_assemblies(module, start, options, flags | AdapterFlags.BOOT)
    module.set_imports(lambda item: _is_wanted(item, options))
    if isinstance(start, BootedMemory) and start.code is not None:
        description = replace(
            description,
            compiled_methods=start.code.methods,
            compiled_bytes=module.add_code(start.code),
        )
    if options.target == "extism":
        ids = [function.function_id for function in start.functions]
        module.set_exports(["memory"], {i: ("extism_call", n) for n, i in enumerate(ids)})
    else:
        names = ("memory", "_start") if options.target == "command" else LIBRARY_EXPORTS
        module.set_exports(names, {})
    module.append_custom(producers_section(description))
    module.append_custom(own_section(description))
    data = module.emit()
    if options.max_bytes is not None and len(data) > options.max_bytes:
        raise LimitExceeded(
            f"expected a module of at most {options.max_bytes:,} bytes, found {len(data):,}; boot "
            "at start, use fewer libraries, or raise max_bytes"
        )
    return StandaloneModule.parse(data)


def check_functions(function_ids: Sequence[str], options: ModuleOptions) -> None:
    """StandaloneBuildError if the functions do not fit the target."""
    if options.target == "command" and len(function_ids) != 1:
        raise StandaloneBuildError(
            f"expected one function for a command, found {len(function_ids)}; build a library"
        )
    if options.target == "extism":
        if not function_ids:
            raise StandaloneBuildError(
                "expected functions for an Extism plugin, found none; give at least one"
            )
        if "memory" in function_ids:
            raise StandaloneBuildError(
                "expected another id than 'memory', which a plugin's memory is exported as; "
                "rename the function"
            )


def _flags(options: ModuleOptions, *, is_program: bool) -> AdapterFlags:
    flags = AdapterFlags(0)
    if options.wasi == "full":
        flags |= AdapterFlags.FILES
    if options.js_log:
        flags |= AdapterFlags.JS_LOG
    if options.target == "command":
        flags |= AdapterFlags.PROGRAM if is_program else AdapterFlags.COMMAND
    return flags


def _is_wanted(item: Import, options: ModuleOptions) -> bool:
    if item.module != _WASI:
        return options.js_log if item.module == "env" else options.target == "extism"
    return (
        options.wasi == "full"
        or item.name in _ALWAYS
        or (options.target == "command" and item.name in _OF_COMMANDS)
    )


def _put_booted(
    module: Template, start: BootedMemory, options: ModuleOptions, flags: AdapterFlags
) -> None:
    if start.has_work:
        flags |= AdapterFlags.WORK
    layout = AdapterLayout(flags, options.memory_limit, start.methods, start.frame, start.entries)
    given = segments(start.content, options.layout)
    pages = len(start.content) // PAGE
    if options.layout == "dense":
        # One segment for engines to map: the adapter's data is part of it.
        content = bytearray(given[0].content)
        for segment in module.own_data(layout.encode()):
            content[segment.offset : segment.offset + len(segment.content)] = segment.content
        given = [DataSegment(0, bytes(content))]
        module.fill_memory(given, pages, _max_pages(pages, options))
        return
    module.fill_memory(
        [*given, *module.own_data(layout.encode())], pages, _max_pages(pages, options)
    )


def _put_assemblies(
    module: Template, start: Assemblies, options: ModuleOptions, flags: AdapterFlags
) -> None:
    block = start.block()
    place = start.place(len(block))
    layout = AdapterLayout(
        flags, options.memory_limit, assemblies=place, assemblies_bytes=len(block)
    )
    pages = -(-(place + len(block)) // PAGE)
    data = Module.parse(start.data).data_segments()
    module.fill_memory(
        [*data, *module.own_data(layout.encode()), DataSegment(place, block)],
        pages,
        _max_pages(max(pages, start.booted_bytes // PAGE), options),
    )


def _max_pages(pages: int, options: ModuleOptions) -> int:
    most = options.memory_limit // PAGE
    if pages > most:
        raise LimitExceeded(
            f"expected a memory of at most {options.memory_limit:,} bytes at the start, found "
            f"{pages * PAGE:,}; raise max_memory_bytes"
        )
    return most
