"""Descriptor and substitution files, in the format of .NET's own trimmer (ILLink)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final
from xml.etree import ElementTree as ET

from dotnet_wasm_host.errors import DescriptorError
from dotnet_wasm_host.trimming.formatting import method_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Kept", "Stub", "kept_by", "parse_xml", "stubs_of"]

PRESERVE = frozenset({"all", "fields", "methods", "nothing", "public"})


def parse_xml(text: str | bytes, what: str) -> ET.Element:
    """The ``<linker>`` element of a file. DescriptorError if it is none."""
    try:
        # Entities are expanded by expat within its own limits; nothing external is loaded.
        root = ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise DescriptorError(
            f"{what} is not readable XML: {error}; give a descriptor or substitutions of ILLink"
        ) from error
    if root.tag != "linker":
        raise DescriptorError(
            f"{what} starts with <{root.tag}>, not with <linker>; make that the outermost element"
        )
    return root


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """What one ``<type>`` element keeps.

    Attributes:
        type: identity of the type.
        preserve: ``all``, ``fields``, ``methods``, ``public`` or ``nothing``.
    """

    type: int
    preserve: str
    methods: tuple[int, ...] = ()
    fields: tuple[int, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Stub:
    """What a substitution file says of a method: a constant result, or that it is gone."""

    value: str | None
    removed: bool = False


@final
@dataclass(slots=True)
class _Missing:
    """Members that a file names and no assembly has."""

    what: str
    strict: bool
    found: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if self.strict:
            raise DescriptorError(
                f"{self.what} names {text}, which does not exist; correct the name, or remove it"
            )
        self.found.append(text)


def applies(element: ET.Element, features: Mapping[str, bool], *, defaults: bool) -> bool:
    """Whether an element's ``feature`` condition holds.

    Without a value for the feature, only an element with ``featuredefault="true"`` counts, and
    only where ``defaults`` says so (descriptors, not substitutions).
    """
    feature = element.get("feature")
    if feature is None:
        return True
    if feature in features:
        return element.get("featurevalue", "").lower() == str(features[feature]).lower()
    return defaults and element.get("featuredefault") == "true"


def kept_by(
    world: World, root: ET.Element, features: Mapping[str, bool], what: str, *, strict: bool
) -> Iterator[Kept]:
    """What a descriptor keeps, type by type.

    Beside ILLink's format, ``preserve="public"`` keeps what code of other assemblies can use,
    and a type's name may end in ``*``.

    Raises:
        DescriptorError: ``strict``, and something named does not exist.
    """
    missing = _Missing(what, strict)
    for assembly in _elements(root, "assembly", features, defaults=True):
        name = assembly.get("fullname", "").partition(",")[0]
        module = world.load(name)
        if module is None:
            missing.note(f"assembly {name}")
            continue
        if assembly.get("preserve") == "all" or (not len(assembly) and not assembly.get("feature")):
            for row in module.types:
                yield Kept(world.identity(module, row), "all")
        for space in _elements(assembly, "namespace", features, defaults=True):
            prefix = space.get("fullname", "") + "."
            for type_ in _matching(module, f"{prefix}*"):
                if "." not in module.full_name(type_)[len(prefix) :].partition("/")[0]:
                    yield Kept(world.identity(module, type_), _preserve(space, what))
        for element in _elements(assembly, "type", features, defaults=True):
            yield from _types(world, module, element, features, missing)


def _elements(
    parent: ET.Element, tag: str, features: Mapping[str, bool], *, defaults: bool
) -> Iterator[ET.Element]:
    return (e for e in parent.findall(tag) if applies(e, features, defaults=defaults))


def _preserve(element: ET.Element, what: str) -> str:
    preserve = element.get("preserve", "nothing" if len(element) else "all")
    if preserve not in PRESERVE:
        raise DescriptorError(
            f'{what} has preserve="{preserve}"; choose from {", ".join(sorted(PRESERVE))}'
        )
    return preserve


def _matching(module: Module, pattern: str) -> Iterable[int]:
    if pattern.endswith("*"):
        return [row for name, row in module.by_name.items() if name.startswith(pattern[:-1])]
    row = module.by_name.get(pattern.replace("+", "/"))
    return [row] if row is not None else []


def _types(
    world: World,
    module: Module,
    element: ET.Element,
    features: Mapping[str, bool],
    missing: _Missing,
) -> Iterator[Kept]:
    name = element.get("fullname", "")
    rows = list(_matching(module, name))
    forwarded = None if rows else world.type_named(module, name.replace("+", "/"))
    if not rows and forwarded is None:
        missing.note(f"type {name}")
    identities = [world.identity(module, row) for row in rows]
    for type_ in identities or ([forwarded] if forwarded is not None else []):
        methods: list[int] = []
        fields: list[int] = []
        for member in element:
            if applies(member, features, defaults=True):
                found = _members(world, type_, member, methods, fields)
                if not found:
                    missing.note(f"{member.tag} {_label(member)} of {name}")
        yield Kept(type_, _preserve(element, missing.what), tuple(methods), tuple(fields))


def _label(member: ET.Element) -> str:
    return member.get("signature") or member.get("name") or "without a name"


def _members(
    world: World, type_: int, member: ET.Element, methods: list[int], fields: list[int]
) -> bool:
    name, signature = member.get("name"), member.get("signature")
    if member.tag == "method":
        hits = [
            m
            for m in world.methods(type_)
            if (name is not None and world.method_name(m) == name)
            or (signature is not None and method_text(world, m) == signature)
        ]
        methods += hits
        return bool(hits)
    if member.tag == "field":
        name = name or (signature or "").rpartition(" ")[2]
        hits = [f for f in world.fields(type_) if world.field_name(f) == name]
        fields += hits
        return bool(hits)
    if member.tag in {"property", "event"}:
        name = name or (signature or "").rpartition(" ")[2]
        accessors = {f"{prefix}_{name}" for prefix in ("get", "set", "add", "remove")}
        hits = [m for m in world.methods(type_) if world.method_name(m) in accessors]
        methods += hits
        return bool(hits)
    return member.tag == "type"


def stubs_of(
    world: World, root: ET.Element, features: Mapping[str, bool], what: str, *, strict: bool
) -> Iterator[tuple[str, int, Stub]]:
    """What a substitution file replaces: ``"method"`` or ``"field"``, identity, and by what."""
    missing = _Missing(what, strict)
    for assembly in _elements(root, "assembly", features, defaults=False):
        module = world.load(assembly.get("fullname", "").partition(",")[0])
        if module is None:
            continue
        for element in _elements(assembly, "type", features, defaults=False):
            row = module.by_name.get(element.get("fullname", "").replace("+", "/"))
            if row is None:
                missing.note(f"type {element.get('fullname')}")
                continue
            type_ = world.identity(module, row)
            for member in element:
                if applies(member, features, defaults=False):
                    methods: list[int] = []
                    fields: list[int] = []
                    if not _members(world, type_, member, methods, fields):
                        missing.note(f"{member.tag} {_label(member)} of {element.get('fullname')}")
                    stub = Stub(member.get("value"), member.get("body") == "remove")
                    yield from (("method", m, stub) for m in methods)
                    yield from (("field", f, stub) for f in fields)
