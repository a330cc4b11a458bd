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

__all__ = [
    "CALL_VI",
    "COMPILER_EXPORTS",
    "EXPORTS",
    "FUNCTION_TABLE",
    "GLOBAL_PREFIX",
    "SplitModule",
    "split",
]

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

#: What compiled methods call and their compiler asks (``src/mono/mono/mini/interp/jiterpreter.c``):
#: the runtime offers them to the compiler that it has in browsers. They cost 22 kB.
COMPILER_EXPORTS = (
    # How the interpreter's code and structures look; asked when the artifacts are built.
    "mono_jiterp_get_opcode_info",
    "mono_jiterp_get_member_offset",
    "mono_jiterp_get_simd_intrinsic",
    "mono_jiterp_get_simd_opcode",
    "mono_jiterp_get_opcode_value_table_entry",
    "mono_jiterp_get_size_of_stackval",
    "mono_jiterp_get_polling_required_address",
    "mono_jiterp_get_interp_entry_func",
    # Methods, their signatures and how often they ran.
    "mono_jiterp_get_arg_offset",
    "mono_jiterp_get_signature_has_this",
    "mono_jiterp_get_signature_param_count",
    "mono_jiterp_get_signature_params",
    "mono_jiterp_get_signature_return_type",
    "mono_jiterp_get_trace_hit_count",
    "mono_jiterp_get_trace_bailout_count",
    "mono_jiterp_is_imethod_var_address_taken",
    "mono_jiterp_type_get_raw_value_size",
    "mono_jiterp_type_is_byref",
    "mono_jiterp_type_to_ldind",
    "mono_jiterp_type_to_stind",
    "mono_wasm_method_get_full_name",
    # Options and the function table.
    "mono_jiterp_parse_option",
    "mono_jiterp_get_option_as_int",
    "mono_jiterp_initialize_table",
    "mono_jiterp_allocate_table_entry",
    "mono_jiterp_imethod_to_ftnptr",
    "mono_jiterp_register_jit_call_thunk",
    "mono_jiterp_interp_entry",
    "mono_jiterp_interp_entry_prologue",
    # What instructions do that is more than a few loads and stores.
    "mono_jiterp_begin_catch",
    "mono_jiterp_end_catch",
    "mono_jiterp_box_ref",
    "mono_jiterp_cast_v2",
    "mono_jiterp_conv",
    "mono_jiterp_do_safepoint",
    "mono_jiterp_enum_hasflag",
    "mono_jiterp_get_array_element_size",
    "mono_jiterp_get_array_rank",
    "mono_jiterp_get_hashcode",
    "mono_jiterp_gettype_ref",
    "mono_jiterp_has_parent_fast",
    "mono_jiterp_implements_interface",
    "mono_jiterp_implements_special_interface",
    "mono_jiterp_is_special_interface",
    "mono_jiterp_ld_delegate_method_ptr",
    "mono_jiterp_ldtsflda",
    "mono_jiterp_localloc",
    "mono_jiterp_object_has_component_size",
    "mono_jiterp_object_unbox",
    "mono_jiterp_overflow_check_i4",
    "mono_jiterp_overflow_check_u4",
    "mono_jiterp_relop_fp",
    "mono_jiterp_set_object_field",
    "mono_jiterp_stackval_from_data",
    "mono_jiterp_stackval_to_data",
    "mono_jiterp_stelem_ref",
    "mono_jiterp_try_get_hashcode",
    "mono_jiterp_try_newarr",
    "mono_jiterp_try_newobj_inlined",
    "mono_jiterp_try_newstr",
    "mono_jiterp_value_copy",
    "mono_wasm_copy_managed_pointer",
    "mono_wasm_write_managed_pointer_unsafe",
    # The interpreter's own functions of numbers: compiled code gives the same bits.
    *(name for base in ("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos",
                        "cosh", "exp", "fma", "fmod", "log", "log10", "log2", "pow", "sin", "sinh",
                        "tan", "tanh") for name in (base, f"{base}f")),
)  # fmt: skip

#: Name of the exported function table.
FUNCTION_TABLE = "__indirect_function_table"

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
    wanted = (*EXPORTS, *COMPILER_EXPORTS, FUNCTION_TABLE)
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise MalformedModule(f"the native module does not export {', '.join(missing)}")
    if by_name[FUNCTION_TABLE].kind is not ExternKind.TABLE:
        raise MalformedModule(f"{FUNCTION_TABLE} of the native module is no table")
    return [by_name[name] for name in wanted]


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
