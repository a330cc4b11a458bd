"""Methods and fields whose value is known: feature switches, substitutions, what follows."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.il import Body, Op, tokens
from dotnet_wasm_host.ecma335.rows import CustomAttributeRow, MethodSemanticsRow
from dotnet_wasm_host.ecma335.signatures import OBJECT, STRING, VOID, Type
from dotnet_wasm_host.ecma335.tables import HAS_CUSTOM_ATTRIBUTE, HAS_SEMANTICS, Table
from dotnet_wasm_host.errors import DescriptorError
from dotnet_wasm_host.trimming.attributes import attribute_name, read_attribute
from dotnet_wasm_host.trimming.descriptors import Stub, parse_xml, stubs_of
from dotnet_wasm_host.trimming.folding import Known, constant_result, fold, load_constant
from dotnet_wasm_host.trimming.world import METHOD_STATIC, METHOD_VIRTUAL, TYPE_BEFORE_FIELD_INIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree import ElementTree as ET

    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Constants"]

SUBSTITUTIONS = "ILLink.Substitutions.xml"
FEATURE_SWITCH = "System.Diagnostics.CodeAnalysis.FeatureSwitchDefinitionAttribute"
#: II.23.1.11: a method that may not be inlined keeps its calls too.
NO_INLINING = 0x8
#: II.23.1.12: MethodSemantics of a property's getter.
GETTER = 0x2
#: Longer code does more than return a constant, whatever is folded in it.
MAX_CONSTANT_CODE = 64
BOOLEAN, CHAR, INT32, UINT32 = 0x02, 0x03, 0x08, 0x09
SMALL_NUMBERS = frozenset(range(BOOLEAN, UINT32 + 1))
LDC_I8, LDC_R4, LDC_R8 = 0x21, 0x22, 0x23
_WIDE = {0x0A: (LDC_I8, "<q"), 0x0B: (LDC_I8, "<Q"), 0x0C: (LDC_R4, "<f"), 0x0D: (LDC_R8, "<d")}
_UNKNOWN, _IN_PROGRESS = object(), object()


@final
class Constants:
    """What is constant under a set of feature switches, and method bodies with that put in."""

    def __init__(
        self, world: World, features: Mapping[str, bool], files: Sequence[tuple[str, ET.Element]]
    ) -> None:
        self._world = world
        self._features = features
        self._files = files
        self._read: set[int] = set()
        self._stubs: dict[tuple[str, int], Stub] = {}
        self._values: dict[int, object] = {}
        self._bodies: dict[int, Body] = {}
        #: Feature switches that some assembly defines.
        self.switches: set[str] = set()
        for what, root in files:
            self._substitute(root, what, strict=True)

    def body(self, method: int) -> Body | None:
        """The method's body as it is under the switches; None if it has none."""
        found = self._bodies.get(method)
        if found is None:
            module, row = self._world.locate(method)
            self._prepare(module)
            stub = self._stubs.get(("method", method))
            found = self._stub_body(method, stub) if stub is not None else module.body(row)
            if found is None or module.is_root:
                return found
            if stub is None and self._has_constants(module, found):
                found = fold(
                    found,
                    lambda op, token: self._known(module, op, token),
                    lambda token: self._is_pure(module, token),
                )
            self._bodies[method] = found
        return found

    def value(self, method: int) -> int | None:
        """The number that a static method without parameters always returns."""
        found = self._values.get(method, _UNKNOWN)
        if found is _UNKNOWN:
            self._values[method] = _IN_PROGRESS
            found = self._values[method] = self._compute(method)
        return found if isinstance(found, int) else None

    def _compute(self, method: int) -> int | None:
        _, implementation, flags, *_ = self._world.method_row(method)
        signature = self._world.signature(method)
        if not flags & METHOD_STATIC or implementation & NO_INLINING or signature.parameters:
            return None
        if signature.generic_count or signature.result not in {BOOLEAN, INT32}:
            return None
        module, row = self._world.locate(method)
        self._prepare(module)
        if ("method", method) not in self._stubs:
            original = module.body(row)
            if original is None or len(original.code) > MAX_CONSTANT_CODE or original.clauses:
                return None
        body = self.body(method)
        return constant_result(body.code) if body is not None else None

    def _known(self, module: Module, op: int, token: int) -> Known | None:
        """What an instruction always gives."""
        if op not in {Op.CALL, Op.CALLVIRT, Op.LDSFLD}:
            return None
        target = self._world.reference(module, token).target
        if not target:
            return None
        if op == Op.LDSFLD:
            self._prepare(self._world.locate(target)[0])
            stub = self._stubs.get(("field", target))
            return Known(_number(stub.value)) if stub is not None else None
        value = self.value(target) if op == Op.CALL else None
        return Known(value) if value is not None else self._known_stub(target)

    def _known_stub(self, method: int) -> Known | None:
        """A call of a method that a substitution replaced by a number, whatever is given to it."""
        self._prepare(self._world.locate(method)[0])
        stub = self._stubs.get(("method", method))
        flags = self._world.method_row(method).flags
        if stub is None or stub.removed or flags & METHOD_VIRTUAL:
            return None
        signature = self._world.signature(method)
        if signature.result not in {BOOLEAN, INT32}:
            return None
        return Known(_number(stub.value), len(signature.parameters) + (not flags & METHOD_STATIC))

    def _is_pure(self, module: Module, token: int) -> bool:
        """Whether loading a field may be left out: when its class is initialised is open."""
        target = self._world.reference(module, token).target
        if not target:
            return False
        owner = self._world.owner_of_field(target)
        return bool(self._world.type_flags(owner) & TYPE_BEFORE_FIELD_INIT)

    def _has_constants(self, module: Module, body: Body) -> bool:
        return any(self._known(module, op, token) is not None for _, op, token in tokens(body.code))

    def _prepare(self, module: Module) -> None:
        """Read what an assembly says of its own switches, once."""
        if module.index in self._read or module.is_root:
            return
        self._read.add(module.index)
        content = module.resources().get(SUBSTITUTIONS)
        if content is not None:
            what = f"{SUBSTITUTIONS} of {module.name}"
            self._substitute(parse_xml(content, what), what, strict=False)
        self._define_switches(module)

    def _substitute(self, root: ET.Element, what: str, *, strict: bool) -> None:
        for kind, target, stub in stubs_of(self._world, root, self._features, what, strict=strict):
            self._stubs.setdefault((kind, target), stub)

    def _define_switches(self, module: Module) -> None:
        """``[FeatureSwitchDefinition("Name")]`` on a property makes its getter constant."""
        rows = module.metadata.rows(CustomAttributeRow)
        getters = {
            row.association: row.method
            for row in module.metadata.rows(MethodSemanticsRow)
            if row.semantics == GETTER
        }
        for row, attribute in enumerate(rows, 1):
            table, property_ = HAS_CUSTOM_ATTRIBUTE.split(attribute.parent)
            if table is not Table.PROPERTY:
                continue
            if attribute_name(self._world, module, row) != FEATURE_SWITCH:
                continue
            name = str(read_attribute(self._world, module, row).fixed[0])
            self.switches.add(name)
            getter = getters.get(HAS_SEMANTICS.join(Table.PROPERTY, property_))
            if name in self._features and getter is not None:
                stub = Stub(str(self._features[name]).lower())
                self._stubs.setdefault(("method", self._world.identity(module, getter)), stub)

    def _stub_body(self, method: int, stub: Stub) -> Body:
        if stub.removed:
            return Body(8, False, 0, bytes([Op.LDNULL, Op.THROW]))  # noqa: FBT003 - a field
        result = self._world.signature(method).result
        code = _load(result, stub.value)
        if code is None:
            raise DescriptorError(
                f"{self._world.method_name(method)} cannot be made to return {stub.value!r}: "
                "only numbers, booleans and null are constants; give one of these"
            )
        return Body(8, False, 0, code + bytes([Op.RET]))  # noqa: FBT003 - a field


def _load(result: Type, value: str | None) -> bytes | None:
    """Code that leaves a result of a type, its default if there is no value."""
    if result == VOID:
        return b""
    if isinstance(result, int) and result in SMALL_NUMBERS:
        op, operand = load_constant(_number(value))
        return bytes([op]) + (operand or b"")
    if isinstance(result, int) and result in _WIDE:
        op, layout = _WIDE[result]
        number = float(value or 0) if layout in {"<f", "<d"} else int(value or 0)
        return bytes([op]) + struct.pack(layout, number)
    if result in {STRING, OBJECT} or not isinstance(result, int):
        return bytes([Op.LDNULL]) if value is None else None
    return None


def _number(value: str | None) -> int:
    words = {None: 0, "": 0, "true": 1, "false": 0}
    lowered = value.lower() if value is not None else None
    if lowered in words:
        return words[lowered]
    try:
        return int(value or "0")
    except ValueError as error:
        raise DescriptorError(f"{value!r} is not a number or a boolean; give one") from error
