"""Types and their members as metadata has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dotnet_wasm_host.typed.unsupported import is_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Accessors",
    "Method",
    "Parameter",
    "Property",
    "Reader",
    "StaticField",
    "TypeDefinition",
]

#: II.23.1.15: what a type is.
_INTERFACE, _ABSTRACT, _SEALED = 0x20, 0x80, 0x100
#: II.23.1.10: who sees a method, and what it is.
_ACCESS, _PUBLIC_MEMBER, _STATIC, _SPECIAL_NAME = 7, 6, 0x10, 0x800
_VIRTUAL, _NEW_SLOT = 0x40, 0x100


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method.

    Attributes:
        name: C#'s.
        type: its type, as :class:`SignatureReader` gives it.
        flags: II.23.1.13.
        default: the constant that stands for it, in a tuple; ``()`` if it must be given.
        is_params: any number of arguments can stand for it.
    """

    name: str
    type: Any
    flags: int
    default: tuple[Any, ...]
    is_params: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """A method."""

    name: str
    flags: int
    generic_count: int
    result: Any
    parameters: tuple[Parameter, ...]
    is_init: bool = False

    @property
    def is_override(self) -> bool:
        """It stands for a method of a base class."""
        return self.flags & (_VIRTUAL | _NEW_SLOT) == _VIRTUAL

    @property
    def is_public(self) -> bool:
        """Everybody may call it."""
        return self.flags & _ACCESS == _PUBLIC_MEMBER

    @property
    def is_static(self) -> bool:
        """It needs no object."""
        return bool(self.flags & _STATIC)

    @property
    def is_special(self) -> bool:
        """An accessor, operator or constructor."""
        return bool(self.flags & _SPECIAL_NAME)

    @property
    def is_function(self) -> bool:
        """Everybody may call it without an object, by a name that C# can write."""
        return (
            self.is_public and self.is_static and not self.is_special and is_identifier(self.name)
        )


@dataclass(frozen=True, slots=True)
class Property:
    """A property that everybody may read."""

    name: str
    type: Any
    is_settable: bool


@dataclass(frozen=True, slots=True)
class Accessors:
    """A property with the public ones of its accessors."""

    name: str
    getter: Method | None
    setter: Method | None


@dataclass(frozen=True, slots=True)
class StaticField:
    """A public static field; ``constant`` is its value in a tuple if it is ``const``."""

    name: str
    type: Any
    is_settable: bool
    constant: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class TypeDefinition:
    """A type that an assembly defines.

    Attributes:
        reader: of its assembly.
        row: its number there.
        path: its namespace's parts, the types around it and its own name.
        namespace: the namespace alone.
        arguments: types for its type parameters, if it is a constructed one.
        csharp: how C# writes a constructed type.
        generic: what a constructed type was made of.
    """

    reader: Reader
    row: int
    path: tuple[str, ...]
    namespace: str
    flags: int
    is_visible: bool
    base: str
    generic_count: int
    arguments: tuple[Any, ...] = ()
    csharp: str = ""
    generic: TypeDefinition | None = None

    @property
    def origin(self) -> TypeDefinition:
        """The type as its assembly defines it."""
        return self.generic or self

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]

    @property
    def full_name(self) -> str:
        """As metadata writes it: ``Namespace.Outer/Inner``."""
        depth = len(self.namespace.split(".")) if self.namespace else 0
        nested = "/".join(self.path[depth:])
        return f"{self.namespace}.{nested}" if self.namespace else nested

    @property
    def is_static(self) -> bool:
        """A static class."""
        return self.flags & (_ABSTRACT | _SEALED) == _ABSTRACT | _SEALED

    @property
    def is_abstract(self) -> bool:
        """An abstract class or an interface."""
        return bool(self.flags & (_ABSTRACT | _INTERFACE))

    @property
    def is_enum(self) -> bool:
        """An enum."""
        return self.base == "System.Enum"

    @property
    def is_value_type(self) -> bool:
        """A struct or an enum."""
        return self.base in {"System.Enum", "System.ValueType"}

    @property
    def is_delegate(self) -> bool:
        """A delegate."""
        return self.base == "System.MulticastDelegate"


def library_type(reader: Reader, name: str) -> TypeDefinition:
    """A type of .NET itself, of which nobody asks for members."""
    return TypeDefinition(
        reader,
        row=0,
        path=tuple(name.split(".")),
        namespace="System",
        flags=0,
        is_visible=True,
        base="",
        generic_count=0,
    )


class Reader(Protocol):
    """What reads the members of a type."""

    def methods(self, of: TypeDefinition) -> Iterator[Method]:
        """Methods, in order."""

    def accessors(self, of: TypeDefinition) -> Iterator[Accessors]:
        """Properties that have public accessors."""

    def properties(self, of: TypeDefinition) -> Iterator[Property]:
        """Public properties of an object, without parameters."""

    def fields(self, of: TypeDefinition) -> Iterator[Property]:
        """Public fields of an object."""

    def static_fields(self, of: TypeDefinition) -> Iterator[StaticField]:
        """Public static fields."""

    def interfaces(self, of: TypeDefinition) -> Iterator[Any]:
        """Interfaces."""

    def base(self, of: TypeDefinition) -> Any:  # noqa: ANN401 - a type, as the reader has them
        """The base class; ``None`` if there is none."""

    def base_type(self, of: TypeDefinition) -> TypeDefinition | None:
        """The base class if the same assembly defines it."""

    def enum_members(self, of: TypeDefinition) -> tuple[int, dict[str, int]]:
        """Element type of an enum's numbers, and its members."""

    def has_attribute(self, of: TypeDefinition, name: str) -> bool:
        """Whether an attribute of this full name is on a type."""
