"""Split the native module in two: code that imports its memory, and the memory it starts with.

A host instantiates the data module (or a memory image in its place), then the code module
on that memory. Swapping the first for a memory taken from a booted runtime is what makes a
fresh .NET instance cost less than a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

from dotnet_wasm_host.wasm.binary import (
    ExternKind,
    FunctionType,
    MalformedModule,
    MemoryLimits,
    ValueType,
    uleb128,
)
from dotnet_wasm_host.wasm.module import (
    OP_CALL_INDIRECT,
    OP_LOCAL_GET,
    Export,
    Import,
    Module,
    SectionId,
    memory_module,
)

__all__ = ["CALL_VI", "EXPORTS", "GLOBAL_PREFIX", "SplitModule", "split"]

#: Functions of the native module that a host calls; the other exports are dropped.
EXPORTS = (
    "__wasm_call_ctors",
    "malloc",
    "free",
    "emscripten_builtin_memalign",
    "mono_wasm_add_assembly",
    "mono_wasm_setenv",
    "mono_wasm_load_runtime",
    "mono_wasm_invoke_jsexport",
    "mono_wasm_assembly_load",
    "mono_wasm_assembly_find_class",
    "mono_wasm_assembly_find_method",
    "mono_wasm_parse_runtime_options",
    "mono_wasm_set_main_args",
    "mono_wasm_string_from_utf16_ref",
    "mono_wasm_register_root",
    "mono_wasm_deregister_root",
    "mono_wasm_exit",
    "mono_background_exec",
    "mono_wasm_execute_timer",
    "mono_wasm_init_finalizer_thread",
    "mono_wasm_gc_lock",
    "mono_wasm_gc_unlock",
    "stackSave",
    "stackRestore",
    "stackAlloc",
    "setThrew",
    "setTempRet0",
    "__cxa_increment_exception_refcount",
    "__cxa_decrement_exception_refcount",
    "__cxa_can_catch",
    "__cxa_is_pointer_type",
    "fflush",
    "__funcs_on_exit",
)

#: Exported name of global ``i`` is ``f"{GLOBAL_PREFIX}{i}"``; 0 is ``__stack_pointer``.
GLOBAL_PREFIX = "global."

#: ``__call_vi(index, argument)`` calls entry ``index`` of the function table with one i32.
#: With it a host can run C++ destructors and ``invoke_vi`` without access to the table,
#: which wasmer's Python binding does not give.
CALL_VI = "__call_vi"

_I32 = ValueType.I32


@dataclass(frozen=True, slots=True)
class SplitModule:
    """The two halves of a native module, as WebAssembly binaries."""

    code: bytes
    data: bytes


def split(native: bytes) -> SplitModule:
    """Split ``native``; MalformedModule if it is not of the shape this relies on."""
    module = Module.parse(native)
    limits = _only_memory(module)
    data = memory_module(module.data_segments(), limits.minimum, limits.maximum or 65536)
    _import_memory(module, limits)
    module.remove_sections(SectionId.MEMORY, SectionId.DATA, SectionId.DATA_COUNT, SectionId.CUSTOM)
    exports = [*_kept_exports(module), *_global_exports(module), _append_call_vi(module)]
    module.set_section(SectionId.EXPORT, [export.encode() for export in exports])
    return SplitModule(code=module.emit(), data=data)


def _only_memory(module: Module) -> MemoryLimits:
    memories = module.memories()
    if len(memories) != 1 or any(i.kind is ExternKind.MEMORY for i in module.imports()):
        raise MalformedModule("the native module does not define exactly one memory")
    return memories[0]


def _import_memory(module: Module, limits: MemoryLimits) -> None:
    imported = Import("env", "memory", ExternKind.MEMORY, limits)
    imports = [*module.imports(), imported]
    module.set_section(SectionId.IMPORT, [item.encode() for item in imports])


def _kept_exports(module: Module) -> list[Export]:
    by_name = {export.name: export for export in module.exports()}
    missing = [name for name in EXPORTS if name not in by_name]
    if missing:
        raise MalformedModule(f"the native module does not export {', '.join(missing)}")
    return [by_name[name] for name in EXPORTS]


def _global_exports(module: Module) -> list[Export]:
    globals_ = module.globals()
    if any(i.kind is ExternKind.GLOBAL for i in module.imports()):
        raise MalformedModule("the native module imports globals")
    # A snapshot of a booted runtime restores every global; a constant one has nothing to restore.
    return [
        Export(f"{GLOBAL_PREFIX}{index}", ExternKind.GLOBAL, index)
        for index, item in enumerate(globals_)
        if item.mutable
    ]


def _append_call_vi(module: Module) -> Export:
    callee = module.append_type(FunctionType(params=(_I32,)))
    argument, index = bytes([OP_LOCAL_GET, 1]), bytes([OP_LOCAL_GET, 0])
    call = bytes([OP_CALL_INDIRECT]) + uleb128(callee) + uleb128(0)
    function = module.append_function(FunctionType(params=(_I32, _I32)), argument + index + call)
    return Export(CALL_VI, ExternKind.FUNCTION, function)
