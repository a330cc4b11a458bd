"""Custom attributes: their arguments, and which of them the runtime itself looks at."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import read_compressed
from dotnet_wasm_host.ecma335.rows import CustomAttributeRow
from dotnet_wasm_host.ecma335.signatures import OBJECT, STRING, TYPE, VECTOR, Type
from dotnet_wasm_host.ecma335.tables import CUSTOM_ATTRIBUTE_TYPE
from dotnet_wasm_host.trimming.type_names import TypeName, parse_type_name

if TYPE_CHECKING:
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.references import Reference
    from dotnet_wasm_host.trimming.world import World

__all__ = [
    "GUEST_ATTRIBUTES",
    "READ_BY_THE_RUNTIME",
    "AttributeRules",
    "AttributeValue",
    "attribute_name",
    "read_attribute",
]

FRIENDS = "System.Runtime.CompilerServices.InternalsVisibleToAttribute"
#: Attributes of the base library that Mono or the base library itself reads at run time. All
#: others on it are for compilers, analysers and debuggers.
READ_BY_THE_RUNTIME = frozenset(
    {
        "AttributeUsageAttribute",
        "DefaultMemberAttribute",
        "DisableRuntimeMarshallingAttribute",
        "DynamicInterfaceCastableImplementationAttribute",
        "FixedAddressValueTypeAttribute",
        "FlagsAttribute",
        "IgnoresAccessChecksToAttribute",
        "InlineArrayAttribute",
        "InternalsVisibleToAttribute",
        "IntrinsicAttribute",
        "IsByRefLikeAttribute",
        "ModuleInitializerAttribute",
        "PreserveBaseOverridesAttribute",
        "RuntimeCompatibilityAttribute",
        "StackTraceHiddenAttribute",
        "SuppressGCTransitionAttribute",
        "ThreadStaticAttribute",
        "UnmanagedCallConvAttribute",
        "UnmanagedCallersOnlyAttribute",
        "UnmanagedFunctionPointerAttribute",
        "UnsafeAccessorAttribute",
        "UnsafeAccessorTypeAttribute",
    }
)
#: Attributes that compilers put onto assemblies, types and members without being asked, those that
#: much code has on it, and those of the base library's own assemblies, which may be added later.
GUEST_ATTRIBUTES = frozenset(
    {
        "System.AttributeUsageAttribute",
        "System.CLSCompliantAttribute",
        "System.ComponentModel.EditorBrowsableAttribute",
        "System.Diagnostics.CodeAnalysis.SetsRequiredMembersAttribute",
        "System.Diagnostics.CodeAnalysis.UnscopedRefAttribute",
        "System.Diagnostics.ConditionalAttribute",
        "System.Diagnostics.DebuggableAttribute",
        "System.Diagnostics.DebuggerBrowsableAttribute",
        "System.Diagnostics.DebuggerDisplayAttribute",
        "System.Diagnostics.DebuggerHiddenAttribute",
        "System.Diagnostics.DebuggerNonUserCodeAttribute",
        "System.Diagnostics.DebuggerStepThroughAttribute",
        "System.FlagsAttribute",
        "System.ObsoleteAttribute",
        "System.ParamArrayAttribute",
        "System.Reflection.AssemblyCompanyAttribute",
        "System.Reflection.AssemblyConfigurationAttribute",
        "System.Reflection.AssemblyCopyrightAttribute",
        "System.Reflection.AssemblyDefaultAliasAttribute",
        "System.Reflection.AssemblyDescriptionAttribute",
        "System.Reflection.AssemblyFileVersionAttribute",
        "System.Reflection.AssemblyInformationalVersionAttribute",
        "System.Reflection.AssemblyMetadataAttribute",
        "System.Reflection.AssemblyProductAttribute",
        "System.Reflection.AssemblyTitleAttribute",
        "System.Reflection.AssemblyTrademarkAttribute",
        "System.Reflection.AssemblyVersionAttribute",
        "System.Reflection.DefaultMemberAttribute",
        "System.Reflection.Metadata.MetadataUpdateHandlerAttribute",
        "System.Resources.NeutralResourcesLanguageAttribute",
        "System.Runtime.CompilerServices.AsyncStateMachineAttribute",
        "System.Runtime.CompilerServices.CompilationRelaxationsAttribute",
        "System.Runtime.CompilerServices.CompilerFeatureRequiredAttribute",
        "System.Runtime.CompilerServices.CompilerGeneratedAttribute",
        "System.Runtime.CompilerServices.DisableRuntimeMarshallingAttribute",
        "System.Runtime.CompilerServices.ExtensionAttribute",
        "System.Runtime.CompilerServices.FixedBufferAttribute",
        "System.Runtime.CompilerServices.InternalsVisibleToAttribute",
        "System.Runtime.CompilerServices.IsByRefLikeAttribute",
        "System.Runtime.CompilerServices.IsReadOnlyAttribute",
        "System.Runtime.CompilerServices.IsUnmanagedAttribute",
        "System.Runtime.CompilerServices.IteratorStateMachineAttribute",
        "System.Runtime.CompilerServices.ModuleInitializerAttribute",
        "System.Runtime.CompilerServices.NullableAttribute",
        "System.Runtime.CompilerServices.NullableContextAttribute",
        "System.Runtime.CompilerServices.NullablePublicOnlyAttribute",
        "System.Runtime.CompilerServices.RefSafetyRulesAttribute",
        "System.Runtime.CompilerServices.ReferenceAssemblyAttribute",
        "System.Runtime.CompilerServices.RequiredMemberAttribute",
        "System.Runtime.CompilerServices.RuntimeCompatibilityAttribute",
        "System.Runtime.CompilerServices.SkipLocalsInitAttribute",
        "System.Runtime.CompilerServices.TupleElementNamesAttribute",
        "System.Runtime.CompilerServices.UnsafeValueTypeAttribute",
        "System.Runtime.InteropServices.ComVisibleAttribute",
        "System.Runtime.InteropServices.DefaultDllImportSearchPathsAttribute",
        "System.Runtime.InteropServices.GuidAttribute",
        "System.Runtime.Versioning.SupportedOSPlatformAttribute",
        "System.Runtime.Versioning.TargetFrameworkAttribute",
        "System.Runtime.Versioning.TargetPlatformAttribute",
        "System.Runtime.Versioning.UnsupportedOSPlatformAttribute",
        "System.Security.Permissions.SecurityPermissionAttribute",
        "System.Security.UnverifiableCodeAttribute",
        "System.SerializableAttribute",
        "System.ThreadStaticAttribute",
        "System.Reflection.AssemblyDelaySignAttribute",
        "System.Reflection.AssemblyKeyFileAttribute",
        "System.Runtime.CompilerServices.CallerArgumentExpressionAttribute",
        "System.Runtime.CompilerServices.CallerMemberNameAttribute",
        "System.Runtime.CompilerServices.InlineArrayAttribute",
        "System.Runtime.CompilerServices.InterpolatedStringHandlerAttribute",
        "System.Runtime.CompilerServices.IsExternalInit",
        "System.Runtime.CompilerServices.MethodImplAttribute",
        "System.Runtime.CompilerServices.PreserveBaseOverridesAttribute",
        "System.Runtime.InteropServices.InAttribute",
        "System.Runtime.InteropServices.StructLayoutAttribute",
    }
)
#: II.23.3: what a blob starts with, and types of boxed values.
PROLOG = 1
SYSTEM_TYPE, BOXED, ENUM, NULL_STRING = 0x50, 0x51, 0x55, 0xFF
_NUMBERS = {
    0x02: "?", 0x03: "H", 0x04: "b", 0x05: "B", 0x06: "h", 0x07: "H", 0x08: "i", 0x09: "I",
    0x0A: "q", 0x0B: "Q", 0x0C: "f", 0x0D: "d",
}  # fmt: skip
_LAYOUTS = {code: struct.Struct("<" + letter) for code, letter in _NUMBERS.items()}

Value = int | float | bool | str | TypeName | list["Value"] | None


class Named(NamedTuple):
    """A named argument."""

    kind: int
    name: str
    value: Value


@final
@dataclass(frozen=True, slots=True)
class AttributeValue:
    """An attribute: its constructor and arguments.

    Attributes:
        types: every type that an argument is or has as its value.
    """

    constructor: Reference
    fixed: tuple[Value, ...]
    named: tuple[Named, ...]
    types: tuple[TypeName, ...]


def attribute_name(world: World, module: Module, row: int) -> str:
    """Full name of an attribute's class, without reading its arguments."""
    owner = _constructor(world, module, row).owner
    definition = world.definition(owner)
    return world.full_name(definition) if definition is not None else ""


def _constructor(world: World, module: Module, row: int) -> Reference:
    coded = module.metadata.row(CustomAttributeRow, row).type
    table, member = CUSTOM_ATTRIBUTE_TYPE.split(coded)
    return world.reference(module, int(table) << 24 | member)


def read_attribute(world: World, module: Module, row: int) -> AttributeValue:
    """An attribute with its arguments.

    Raises:
        MalformedImage: its constructor is not there, or the blob is not what that says.
    """
    constructor = _constructor(world, module, row)
    if not constructor.target:
        raise MalformedImage(f"an attribute of {module.name} has no constructor")
    blob = module.metadata.blob(module.metadata.row(CustomAttributeRow, row).value)
    reader = _BlobReader(world, module, blob)
    parameters = world.signature(constructor.target).parameters
    if not blob:
        return AttributeValue(constructor, (), (), ())
    fixed, named = reader.read(parameters)
    return AttributeValue(constructor, fixed, named, tuple(reader.types))


class _BlobReader:
    """II.23.3."""

    def __init__(self, world: World, module: Module, blob: bytes) -> None:
        self.types: list[TypeName] = []
        self._world = world
        self._module = module
        self._blob = blob
        self._position = 0

    def read(self, parameters: tuple[Type, ...]) -> tuple[tuple[Value, ...], tuple[Named, ...]]:
        try:
            if self._number(0x07) != PROLOG:
                raise MalformedImage("an attribute without its prolog")
            fixed = tuple(self._value(self._kind_of(p)) for p in parameters)
            named = tuple(self._named() for _ in range(int(self._number(0x07))))
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise MalformedImage(f"an attribute of {self._module.name} is cut off") from error
        return fixed, named

    def _named(self) -> Named:
        kind = int(self._number(0x05))
        type_ = self._boxed_type()
        name = self._text() or ""
        return Named(kind, name, self._value(type_))

    def _kind_of(self, type_: Type) -> tuple[int, ...]:
        """A parameter's type in the terms of boxed values: element types, arrays nested."""
        if isinstance(type_, int):
            return (BOXED,) if type_ == OBJECT else (type_,)
        if type_[0] == VECTOR:
            return (VECTOR, *self._kind_of(type_[1]))
        if type_[0] == TYPE:
            if self._world.full_name(type_[1]) == "System.Type":
                return (SYSTEM_TYPE,)
            return (self._underlying(type_[1]),)
        raise MalformedImage(f"an attribute of {self._module.name} takes {type_!r}")

    def _underlying(self, enum: int) -> int:
        for field in self._world.fields(enum):
            if self._world.field_name(field) == "value__":
                code = self._world.field_type(field)
                if isinstance(code, int):
                    return code
        raise MalformedImage(f"{self._world.full_name(enum)} is not an enum")

    def _boxed_type(self) -> tuple[int, ...]:
        code = int(self._number(0x05))
        if code == VECTOR:
            return (VECTOR, *self._boxed_type())
        if code != ENUM:
            return (code,)
        name = parse_type_name(self._text() or "")
        self.types.append(name)
        enum = name.resolve(self._world, self._module)
        if enum is None:
            raise MalformedImage(f"{name} in an attribute of {self._module.name} is not there")
        return (self._underlying(enum),)

    def _value(self, kind: tuple[int, ...]) -> Value:
        code = kind[0]
        if code == STRING:
            return self._text()
        if code == SYSTEM_TYPE:
            text = self._text()
            if text is None:
                return None
            name = parse_type_name(text)
            self.types.append(name)
            return name
        if code == BOXED:
            return self._value(self._boxed_type())
        if code == VECTOR:
            count = int(self._number(0x09))
            return [self._value(kind[1:]) for _ in range(count if count != 0xFFFFFFFF else 0)]
        return self._number(code)

    def _number(self, code: int) -> int | float | bool:
        layout = _LAYOUTS.get(code)
        if layout is None:
            raise MalformedImage(f"element type {code:#x} in an attribute")
        value: int | float | bool = layout.unpack_from(self._blob, self._position)[0]
        self._position += layout.size
        return value

    def _text(self) -> str | None:
        if self._blob[self._position] == NULL_STRING:
            self._position += 1
            return None
        length, start = read_compressed(self._blob, self._position)
        self._position = start + length
        return self._blob[start : self._position].decode()


@final
class AttributeRules:
    """Which attributes stay on what is kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: dict[tuple[int, int], str] = {}

    def name(self, module: Module, row: int) -> str:
        """Full name of an attribute's class."""
        coded = module.metadata.row(CustomAttributeRow, row).type
        key = module.index, coded
        name = self._names.get(key)
        if name is None:
            name = attribute_name(self._world, module, row)
            self._names[key] = name
        return name

    def keeps(self, module: Module, row: int) -> bool:
        """Whether an attribute on something that is kept stays."""
        name = self.name(module, row)
        if name == FRIENDS:
            friend = str(read_attribute(self._world, module, row).fixed[0])
            return self._world.has(friend.partition(",")[0].strip())
        return name.rpartition(".")[2] in READ_BY_THE_RUNTIME
