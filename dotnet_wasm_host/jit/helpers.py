"""Functions of the code module that compiled code calls, with their types (jiterpreter.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.wasm.assembly import F32, F64, I32, call
from dotnet_wasm_host.wasm.binary import FunctionType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.wasm.builder import ModuleBuilder

__all__ = ["CALL_TYPES", "HELPERS", "Helpers"]

_TRIGONOMETRY = [
    "asin",
    "asinh",
    "acos",
    "acosh",
    "atan",
    "atanh",
    "cos",
    "cbrt",
    "cosh",
    "exp",
    "log",
    "log2",
    "log10",
    "sin",
    "sinh",
    "tan",
    "tanh",
]

#: Type of each export, by its name.
HELPERS: Mapping[str, FunctionType] = {
    "mono_jiterp_stelem_ref": FunctionType((I32,) * 3, (I32,)),
    "mono_jiterp_try_newobj_inlined": FunctionType((I32,) * 2, (I32,)),
    "mono_jiterp_try_newarr": FunctionType((I32,) * 3, (I32,)),
    "mono_jiterp_try_newstr": FunctionType((I32,) * 2, (I32,)),
    "mono_jiterp_box_ref": FunctionType((I32,) * 4),
    "mono_jiterp_cast_v2": FunctionType((I32,) * 4, (I32,)),
    "mono_jiterp_has_parent_fast": FunctionType((I32,) * 2, (I32,)),
    "mono_jiterp_implements_interface": FunctionType((I32,) * 2, (I32,)),
    "mono_jiterp_ldtsflda": FunctionType((I32,) * 2),
    "mono_jiterp_get_hashcode": FunctionType((I32,), (I32,)),
    "mono_jiterp_try_get_hashcode": FunctionType((I32,), (I32,)),
    "mono_jiterp_gettype_ref": FunctionType((I32,) * 2, (I32,)),
    "mono_jiterp_object_has_component_size": FunctionType((I32,), (I32,)),
    "mono_jiterp_value_copy": FunctionType((I32,) * 3),
    "mono_wasm_write_managed_pointer_unsafe": FunctionType((I32,) * 2),
    **{name: FunctionType((F64,), (F64,)) for name in _TRIGONOMETRY},
    **{f"{name}f": FunctionType((F32,), (F32,)) for name in _TRIGONOMETRY},
    **{name: FunctionType((F64,) * 2, (F64,)) for name in ("atan2", "fmod", "pow")},
    **{name: FunctionType((F32,) * 2, (F32,)) for name in ("atan2f", "fmodf", "powf")},
    "fma": FunctionType((F64,) * 3, (F64,)),
    "fmaf": FunctionType((F32,) * 3, (F32,)),
}
#: Types of functions that are called through the table: addresses of a result and arguments.
CALL_TYPES: Mapping[str, FunctionType] = {
    f"vector{count}": FunctionType((I32,) * (1 + count)) for count in (1, 2, 3)
}


@final
class Helpers:
    """The helpers of a module. All are imported before it is known which are called.

    To find an export of an instance takes as long as to link ten methods. So what nothing calls is
    imported under the name of another one of its type in the end: few names are left.
    """

    __slots__ = ("_builder", "_calls", "_used")

    def __init__(self, builder: ModuleBuilder) -> None:
        self._builder = builder
        self._calls = {
            name: call(builder.import_function("env", name, kind)) for name, kind in HELPERS.items()
        }
        self._used: set[str] = set()

    def call(self, name: str) -> bytes:
        """Call a helper."""
        self._used.add(name)
        return self._calls[name]

    def share_names(self) -> None:
        """Everything is written: import no name that is not needed."""
        of_type = {HELPERS[name]: name for name in sorted(self._used)}
        self._builder.rename_imports(
            {
                name: of_type.setdefault(kind, name)
                for name, kind in HELPERS.items()
                if name not in self._used
            }
        )
