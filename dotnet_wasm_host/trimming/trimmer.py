"""``trim``: a base library reduced to what a set of roots can reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.trimming.constants import Constants
from dotnet_wasm_host.trimming.descriptors import kept_by, parse_xml
from dotnet_wasm_host.trimming.formatting import method_text
from dotnet_wasm_host.trimming.keeping import keep
from dotnet_wasm_host.trimming.marking import Marker
from dotnet_wasm_host.trimming.module import damage_is_malformed
from dotnet_wasm_host.trimming.roots import mark_guest_attributes, mark_root, mark_runtime_needs
from dotnet_wasm_host.trimming.sweeping import Sweeper
from dotnet_wasm_host.trimming.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from xml.etree import ElementTree as ET

    from dotnet_wasm_host.trimming.module import Module

__all__ = ["BASE_FEATURES", "TrimOptions", "TrimReport", "TrimmedAssembly", "TrimmedSet", "trim"]

#: Feature switches of every trimmed set, as ``runtimeconfig`` names them: what this host never
#: offers, and what nobody asks of a function. Others are for :class:`TrimOptions`.
BASE_FEATURES: Mapping[str, bool] = {
    "Microsoft.Extensions.DependencyInjection.VerifyOpenGenericServiceTrimmability": False,
    "System.ComponentModel.DefaultValueAttribute.IsSupported": False,
    "System.Diagnostics.Debugger.IsSupported": False,
    "System.Diagnostics.Metrics.Meter.IsSupported": False,
    "System.Diagnostics.Tracing.EventSource.IsSupported": False,
    "System.Globalization.Invariant": True,
    "System.Linq.Enumerable.IsSizeOptimized": True,
    "System.Reflection.Metadata.MetadataUpdater.IsSupported": False,
    "System.Resources.ResourceManager.AllowCustomResourceTypes": False,
    "System.Resources.UseSystemResourceKeys": False,
    "System.Runtime.InteropServices.BuiltInComInterop.IsSupported": False,
    "System.Runtime.InteropServices.Marshalling.EnableGeneratedComInterfaceComImportInterop": False,
    "System.Runtime.Serialization.EnableUnsafeBinaryFormatterSerialization": False,
    "System.StartupHookProvider.IsSupported": False,
    "System.Text.Encoding.EnableUnsafeUTF7Encoding": False,
    "System.TimeZoneInfo.Invariant": True,
}
MESSAGES_ARE_KEYS = "System.Resources.UseSystemResourceKeys"


@final
@dataclass(frozen=True, slots=True)
class TrimOptions:
    """How to trim.

    Attributes:
        roots: simple names of the assemblies that are kept byte for byte, with everything that
            they reach.
        features: feature switches beside :data:`BASE_FEATURES`, and instead of them.
        descriptors: ILLink descriptor files to keep more by: a name for messages, and the XML.
        substitutions: ILLink substitution files: likewise.
        facades: assemblies (``System.Runtime``) whose forwarders to kept public types all stay,
            for functions that are not among the roots. Those the roots use stay anyway.
        open_to_guests: functions that are not among the roots will be loaded: interfaces and
            abstract members that they may implement are kept whole.
        reflected: types that descriptors name keep the properties, events and names of parameters
            of what is kept of them. Without it, reflection of functions that are not
            among the roots, serializers for example, sees no properties on them.
        optional_names: roots whose look-ups of types by name ask what is there; they do not keep
            what they ask for.
        explain: remember what reached each type and method first.
    """

    roots: tuple[str, ...] = ("MinimalRuntime",)
    features: Mapping[str, bool] = field(default_factory=dict)
    descriptors: tuple[tuple[str, str | bytes], ...] = ()
    substitutions: tuple[tuple[str, str | bytes], ...] = ()
    facades: tuple[str, ...] = ()
    open_to_guests: bool = False
    reflected: bool = False
    optional_names: tuple[str, ...] = ("MinimalRuntime",)
    explain: bool = False


@final
@dataclass(frozen=True, slots=True)
class TrimmedAssembly:
    """What became of an assembly.

    Attributes:
        original_bytes, bytes: size before and after; the same for a root.
        types, methods, fields: how many are left.
    """

    original_bytes: int
    bytes: int
    types: int
    methods: int
    fields: int


@final
@dataclass(frozen=True, slots=True)
class TrimReport:
    """What a trim did.

    Attributes:
        assemblies: by simple name, those that are left.
        hidden: full names of interfaces that are left in signatures only: types no longer say
            that they implement them, so a function that is not a root must not use them.
        unresolved: references of the input that nothing in it answers.
        reasons: a type's or method's full name to what reached it first (``explain``).
    """

    assemblies: Mapping[str, TrimmedAssembly]
    hidden: tuple[str, ...]
    unresolved: tuple[str, ...]
    reasons: Mapping[str, str] = field(repr=False)

    @property
    def total_bytes(self) -> int:
        """Size of all assemblies that are left."""
        return sum(assembly.bytes for assembly in self.assemblies.values())

    def why(self, name: str, limit: int = 50) -> list[str]:
        """The way from a root to a type or method, by their full names, nearest first."""
        chain = [name]
        while chain[-1] in self.reasons and len(chain) < limit:
            following = self.reasons[chain[-1]]
            if following in chain:
                break
            chain.append(following)
        return chain


@final
@dataclass(frozen=True, slots=True)
class TrimmedSet:
    """The assemblies that are left, and the report.

    Attributes:
        assemblies: simple name to content: raw webcil, or a root as it was given.
    """

    assemblies: Mapping[str, bytes] = field(repr=False)
    report: TrimReport

    def files(self, *, without: Collection[str] = ()) -> dict[str, bytes]:
        """File name to content, as an image is made from; ``without`` roots that only helped."""
        return {
            f"{name}.dll" if content[:2] == b"MZ" else f"{name}.wasm": content
            for name, content in self.assemblies.items()
            if name not in without
        }


def trim(
    assemblies: Mapping[str, bytes],
    options: TrimOptions | None = None,
    *,
    progress: Callable[[str], object] | None = None,
) -> TrimmedSet:
    """Reduce assemblies to what the roots reach. The same input gives the same bytes.

    Args:
        assemblies: simple name to content (PE or raw webcil) of everything there is; what is
            not reached costs nothing.
        options: what to keep.
        progress: told what takes longer than a moment.

    Raises:
        ArtifactError: a root is not among the assemblies, or one of them is damaged.
        DescriptorError: a descriptor or substitution cannot be read or names what there is not.
    """
    options = options or TrimOptions()
    tell = progress or (lambda _: None)
    features = {**BASE_FEATURES, **options.features}
    with damage_is_malformed():
        return _trim(assemblies, options, features, tell)


def _trim(
    assemblies: Mapping[str, bytes],
    options: TrimOptions,
    features: Mapping[str, bool],
    tell: Callable[[str], object],
) -> TrimmedSet:
    world = World(assemblies, frozenset(options.roots))
    substitutions = [(what, parse_xml(text, what)) for what, text in options.substitutions]
    constants = Constants(world, features, substitutions)
    marker = Marker(
        world,
        constants,
        features,
        open_to_guests=options.open_to_guests,
        optional_names=frozenset(options.optional_names),
    )
    tell("marking what is used ...")
    _mark(world, marker, features, options)
    tell(f"marked {len(marker.types)} types and {len(marker.methods)} methods; writing them ...")
    return _write(world, marker, constants, options, features)


def _mark(world: World, marker: Marker, features: Mapping[str, bool], options: TrimOptions) -> None:
    mark_runtime_needs(world, marker)
    for name in options.roots:
        root = world.load(name)
        if root is None:
            raise ArtifactError(
                f"the root assembly {name!r} is not among the assemblies; give it, too"
            )
        mark_root(world, marker, root)
    if options.open_to_guests:
        mark_guest_attributes(world, marker)
    for what, text in options.descriptors:
        descriptor: ET.Element = parse_xml(text, what)
        for kept in list(kept_by(world, descriptor, features, what, strict=True)):
            keep(world, marker, kept, reflected=options.reflected)
    marker.run()


def _write(
    world: World,
    marker: Marker,
    constants: Constants,
    options: TrimOptions,
    features: Mapping[str, bool],
) -> TrimmedSet:
    # Facades forward for guests; which of them that are, nobody but the options says.
    for name in options.facades:
        world.load(name)
    referenced = _references_of_roots(world)
    written: dict[str, bytes] = {}
    for module in sorted(world.modules, key=lambda module: module.name):
        if module.is_root:
            written[module.name] = module.data
            continue
        is_facade = module.name in options.facades or (
            # Functions that are not roots refer to a type by any assembly that forwards it.
            options.open_to_guests and _has_marked_types(world, marker, module)
        )
        content = Sweeper(
            world,
            marker,
            constants,
            module,
            forwards=lambda full_name, type_, module=module, is_facade=is_facade: (  # type: ignore[misc]
                (module.name, full_name) in referenced or (is_facade and world.is_visible(type_))
            ),
            keep_messages=not features[MESSAGES_ARE_KEYS],
        ).write()
        if content is not None:
            written[module.name] = content
    return TrimmedSet(written, _report(world, marker, written, explain=options.explain))


def _has_marked_types(world: World, marker: Marker, module: Module) -> bool:
    return any(world.identity(module, row) in marker.types for row in module.types)


def _references_of_roots(world: World) -> set[tuple[str, str]]:
    """Assembly and full name of every type that a root refers to, where it says that it is."""
    return {
        (module.type_ref_scope(row), world.type_ref_name(module, row))
        for module in world.modules
        if module.is_root
        for row in range(1, module.metadata.count(Table.TYPE_REF) + 1)
    }


def _report(
    world: World, marker: Marker, written: Mapping[str, bytes], *, explain: bool
) -> TrimReport:
    by_name = {module.name: module for module in world.modules}
    hidden = (
        world.full_name(type_)
        for type_ in marker.types - marker.used_interfaces
        if world.is_interface(type_) and world.is_visible(type_)
    )
    return TrimReport(
        assemblies={
            name: _count(world, marker, by_name[name], data) for name, data in written.items()
        },
        hidden=tuple(sorted(hidden)),
        unresolved=tuple(sorted(world.unresolved)),
        reasons=_reasons(world, marker) if explain else {},
    )


def _count(world: World, marker: Marker, module: Module, data: bytes) -> TrimmedAssembly:
    def count(rows: range, marked: set[int]) -> int:
        return sum(world.identity(module, row) in marked for row in rows)

    def all_of(table: Table) -> range:
        return range(1, len(module.metadata.rows(table)) + 1)

    return TrimmedAssembly(
        original_bytes=len(module.data),
        bytes=len(data),
        types=count(module.types, marker.types),
        methods=count(all_of(Table.METHOD_DEF), marker.methods),
        fields=count(all_of(Table.FIELD), marker.fields),
    )


def _reasons(world: World, marker: Marker) -> dict[str, str]:
    reasons = {}
    for (kind, identity), cause in marker.reasons.items():
        if kind == "type":
            reasons[world.full_name(identity)] = cause
        else:
            owner = world.full_name(world.owner_of_method(identity))
            reasons[f"{owner}::{method_text(world, identity).partition(' ')[2]}"] = cause
            reasons.setdefault(f"{owner}::{world.method_name(identity)}", cause)
    return reasons
