"""Signatures as values, and signatures copied with their type tokens renamed (ECMA-335 II.23.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage
from dotnet_wasm_host.ecma335.metadata import read_compressed
from dotnet_wasm_host.ecma335.tables import TYPE_DEF_OR_REF

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MethodSignature", "SignatureReader", "compressed", "rename", "substitute"]

#: II.23.1.16: element types.
VOID, STRING, TYPED_BYREF, NATIVE_INT, NATIVE_UINT, OBJECT = 0x01, 0x0E, 0x16, 0x18, 0x19, 0x1C
POINTER, BYREF, VALUE_TYPE, CLASS, VAR, ARRAY, GENERIC_INST = range(0x0F, 0x16)
FUNCTION_POINTER, VECTOR, METHOD_VAR, REQUIRED, OPTIONAL = 0x1B, 0x1D, 0x1E, 0x1F, 0x20
SENTINEL, PINNED = 0x41, 0x45
_SENTINEL_BYTE = bytes([SENTINEL])
PRIMITIVES = frozenset({*range(VOID, STRING + 1), TYPED_BYREF, NATIVE_INT, NATIVE_UINT, OBJECT})
#: II.23.2.1-3, II.23.2.15: first bytes.
KIND_MASK, FIELD, LOCALS, PROPERTY, METHOD_SPEC = 0x0F, 0x06, 0x07, 0x08, 0x0A
GENERIC, VARARG = 0x10, 0x05

#: Types inside of types; the deepest that a compiler is known to make has 20.
MAX_DEPTH = 100
#: II.24.2.6: low bits of a TypeDefOrRef index to a TypeSpec.
TAG_MASK, TYPE_SPEC_TAG = 0x3, 0x2
#: A type: a primitive's element type, or a tuple that starts with one of these.
TYPE, UNKNOWN, INSTANCE, MODIFIED, FUNCTION = "T", "?", "G", "C", "F"
Type = int | tuple[Any, ...]


class MethodSignature(NamedTuple):
    """II.23.2.1: calling convention, number of generic parameters, result and parameters."""

    convention: int
    generic_count: int
    result: Type
    parameters: tuple[Type, ...]


def compressed(value: int) -> bytes:
    """An unsigned number as in II.23.2."""
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return (value | 0x8000).to_bytes(2, "big")
    return (value | 0xC0000000).to_bytes(4, "big")


@final
class SignatureReader:
    """Reads types out of a signature; ``resolve`` says what a TypeDefOrRef index means.

    Classes and value types become ``("T", what resolve gave)``, constructed types tuples of
    their element type and parts, so equal signatures of different modules compare equal.
    """

    __slots__ = ("_data", "_depth", "_position", "_resolve")

    def __init__(self, data: bytes, resolve: Callable[[int], Type], position: int = 0) -> None:
        self._data = data
        self._depth = 0
        self._position = position
        self._resolve = resolve

    def method(self) -> MethodSignature:
        """A method's signature (II.23.2.1 to II.23.2.3)."""
        convention = self._byte()
        generics = self._number() if convention & GENERIC else 0
        count = self._number()
        result = self.type()
        parameters = []
        for _ in range(count):
            if self._data[self._position : self._position + 1] == _SENTINEL_BYTE:
                self._position += 1
            parameters.append(self.type())
        return MethodSignature(convention, generics, result, tuple(parameters))

    def field(self) -> Type:
        """The type of a field (II.23.2.4). MalformedImage if it is something else."""
        if self._byte() & KIND_MASK != FIELD:
            raise MalformedImage("not the signature of a field")
        return self.type()

    def list(self) -> tuple[Type, ...]:
        """Types of local variables (II.23.2.6) or of a MethodSpec (II.23.2.15)."""
        if self._byte() not in {LOCALS, METHOD_SPEC}:
            raise MalformedImage("not a list of types")
        return tuple(self.type() for _ in range(self._number()))

    def type(self) -> Type:
        """One type (II.23.2.12)."""
        code = self._byte()
        if code in PRIMITIVES:
            return code
        if code in {CLASS, VALUE_TYPE}:
            return self._named()
        if self._depth == MAX_DEPTH:
            raise MalformedImage(f"a signature has types of more than {MAX_DEPTH} levels")
        self._depth += 1
        type_ = self._made_of(code)
        self._depth -= 1
        return type_

    def _made_of(self, code: int) -> Type:
        """The rest of a type with other types in it."""
        if code in {POINTER, BYREF, VECTOR, PINNED}:
            return (code, self.type())
        if code in {VAR, METHOD_VAR}:
            return (code, self._number())
        if code in {REQUIRED, OPTIONAL}:
            modifier = self._named()
            return (MODIFIED, code, modifier, self.type())
        if code == GENERIC_INST:
            self._byte()
            element = self._named()
            return (INSTANCE, element, *(self.type() for _ in range(self._number())))
        if code == ARRAY:
            element = self.type()
            rank = self._number()
            sizes = tuple(self._number() for _ in range(self._number()))
            bounds = tuple(self._number() for _ in range(self._number()))
            return (ARRAY, element, rank, sizes, bounds)
        if code == FUNCTION_POINTER:
            return (FUNCTION, self.method())
        raise MalformedImage(f"element type {code:#x} in a signature")

    def _named(self) -> Type:
        """What a TypeDefOrRef index means. .NET takes no TypeSpec here either."""
        coded = self._number()
        if coded & TAG_MASK == TYPE_SPEC_TAG:
            raise MalformedImage("a TypeSpec inside of a signature")
        return self._resolve(coded)

    def _byte(self) -> int:
        if self._position >= len(self._data):
            raise MalformedImage("a signature ends early")
        self._position += 1
        return self._data[self._position - 1]

    def _number(self) -> int:
        first = self._data[self._position] if self._position < len(self._data) else 0x80
        if first < 0x80:
            self._position += 1
            return first
        number, self._position = read_compressed(self._data, self._position)
        return number


def substitute(type_: Type, arguments: tuple[Type, ...]) -> Type:  # noqa: PLR0911 - likewise
    """The type with the type parameters of its declaring type replaced."""
    if not arguments or isinstance(type_, int):
        return type_
    head = type_[0]
    if head == VAR:
        return arguments[type_[1]] if type_[1] < len(arguments) else type_
    if head in {TYPE, UNKNOWN, METHOD_VAR}:
        return type_
    if head == FUNCTION:
        return (FUNCTION, substitute_method(type_[1], arguments))
    if head == ARRAY:
        return (ARRAY, substitute(type_[1], arguments), *type_[2:])
    if head == MODIFIED:
        return (*type_[:3], substitute(type_[3], arguments))
    return (head, *(substitute(part, arguments) for part in type_[1:]))


def substitute_method(signature: MethodSignature, arguments: tuple[Type, ...]) -> MethodSignature:
    """The signature with the type parameters of its declaring type replaced."""
    if not arguments:
        return signature
    return MethodSignature(
        signature.convention,
        signature.generic_count,
        substitute(signature.result, arguments),
        tuple(substitute(p, arguments) for p in signature.parameters),
    )


def rename(data: bytes, token: Callable[[int], int]) -> bytes:
    """A signature of any kind with every TypeDefOrRef index replaced by what ``token`` gives."""
    copier = _Renamer(data, token)
    copier.signature()
    return bytes(copier.out)


def rename_type(data: bytes, token: Callable[[int], int]) -> bytes:
    """:func:`rename` for the type of a TypeSpec (II.23.2.14)."""
    copier = _Renamer(data, token)
    copier.type()
    return bytes(copier.out)


class _Renamer:
    """Copies a signature, renaming type tokens."""

    def __init__(self, data: bytes, token: Callable[[int], int]) -> None:
        self.out = bytearray()
        self._data = data
        self._depth = 0
        self._position = 0
        self._token = token

    def signature(self) -> None:
        first = BinaryView(self._data).unsigned(0, 1)
        if first & KIND_MASK == FIELD:
            self._copy_byte()
            self.type()
        elif first in {LOCALS, METHOD_SPEC}:
            self._copy_byte()
            for _ in range(self._copy_number()):
                self.type()
        else:
            self._method()

    def _method(self) -> None:
        convention = self._copy_byte()
        if convention & GENERIC:
            self._copy_number()
        count = self._copy_number()
        for _ in range(count + 1):
            self.type()

    def type(self) -> None:
        if self._depth == MAX_DEPTH:
            raise MalformedImage(f"a signature has types of more than {MAX_DEPTH} levels")
        self._depth += 1
        self._type()
        self._depth -= 1

    def _type(self) -> None:  # noqa: C901 - one branch for each kind of type
        code = self._copy_byte()
        while code in {SENTINEL, POINTER, BYREF, VECTOR, PINNED, REQUIRED, OPTIONAL}:
            if code in {REQUIRED, OPTIONAL}:
                self._rename()
            code = self._copy_byte()
        if code in {CLASS, VALUE_TYPE}:
            self._rename()
        elif code in {VAR, METHOD_VAR}:
            self._copy_number()
        elif code == GENERIC_INST:
            self._copy_byte()
            self._rename()
            for _ in range(self._copy_number()):
                self.type()
        elif code == ARRAY:
            self.type()
            self._copy_number()
            for _ in range(2):
                for _ in range(self._copy_number()):
                    self._copy_number()
        elif code == FUNCTION_POINTER:
            self._method()
        elif code not in PRIMITIVES:
            raise MalformedImage(f"element type {code:#x} in a signature")

    def _copy_byte(self) -> int:
        value = BinaryView(self._data).unsigned(self._position, 1)
        self.out.append(value)
        self._position += 1
        return value

    def _copy_number(self) -> int:
        value, end = read_compressed(self._data, self._position)
        self.out += self._data[self._position : end]
        self._position = end
        return value

    def _rename(self) -> None:
        value, self._position = read_compressed(self._data, self._position)
        TYPE_DEF_OR_REF.split(value)
        self.out += compressed(self._token(value))
