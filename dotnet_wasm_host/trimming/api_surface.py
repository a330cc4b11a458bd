"""What a trimmed image has, asked before a function that was none of its roots is loaded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import Allowance, BinaryView, MalformedImage
from dotnet_wasm_host.ecma335.rows import MemberRefRow
from dotnet_wasm_host.ecma335.signatures import FIELD, KIND_MASK
from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.errors import AssemblyLoadError
from dotnet_wasm_host.trimming.formatting import type_text
from dotnet_wasm_host.trimming.module import CORE, damage_is_malformed
from dotnet_wasm_host.trimming.world import ROW_BITS, World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from dotnet_wasm_host.trimming.module import Module

__all__ = ["ApiSurface", "MissingReference"]

#: What looking up all references of an assembly may cost; real ones spend less than 1 a byte.
LOOK_UPS, LOOK_UPS_PER_BYTE = 500_000, 10


class MissingReference(NamedTuple):
    """Something that an assembly refers to and the image does not have.

    Attributes:
        dotnet_type: the exception that .NET would throw when it gets there.
        name: ``System.Half`` or ``System.Guid.NewGuid()``.
        assembly: simple name of the assembly of the base library that should have it.
        type: full name of the type, or of the type that should have the member; nested types
            behind a slash.
    """

    dotnet_type: str
    name: str
    assembly: str
    type: str


@final
class ApiSurface:
    """The assemblies of an image, to compare references with. Thread-safe.

    Args:
        image: the image's name, for messages.
        read: gives the image's assemblies by simple name; called once, when first needed.
        base_library: simple names of all assemblies of the base library. What refers to others is
            left to .NET: a dependency or capability may have them.
        hidden: interfaces that are in signatures only (``TrimReport.hidden``).
    """

    def __init__(
        self,
        image: str,
        read: Callable[[], Mapping[str, bytes]],
        base_library: Collection[str],
        hidden: Collection[str] = (),
    ) -> None:
        self._image = image
        self._read = read
        self._base_library = base_library
        self._hidden = frozenset(hidden)
        self._lock = threading.Lock()
        self._world: World | None = None

    def missing(
        self, assemblies: Mapping[str, bytes], beside: Mapping[str, bytes] | None = None
    ) -> list[MissingReference]:
        """What assemblies, by simple name, refer to in the base library and the image lacks.

        Args:
            assemblies: those in question.
            beside: more that are there, whatever they refer to.

        Raises:
            MalformedImage: one of them is damaged, or made to keep a reader busy.
        """
        given = {**(beside or {}), **assemblies}
        work = Allowance("look-ups", LOOK_UPS + LOOK_UPS_PER_BYTE * sum(map(len, given.values())))
        found: dict[MissingReference, None] = {}
        with damage_is_malformed():
            world = self._load().with_assemblies(given, work)
            for name in assemblies:
                module = world.load(name)
                if module is not None:
                    missing = (
                        *self._missing_types(world, module),
                        *self._missing_members(world, module),
                    )
                    found.update(dict.fromkeys(missing))
        return list(found)

    def require(self, function_id: str, assemblies: Mapping[str, bytes]) -> None:
        """AssemblyLoadError that names what is missing, if anything is."""
        try:
            missing = self.missing(assemblies)
        except MalformedImage as error:
            raise AssemblyLoadError(
                function_id, "System.BadImageFormatException", str(error)
            ) from error
        if missing:
            names = ", ".join(reference.name for reference in missing[:3])
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise AssemblyLoadError(
                function_id,
                missing[0].dotnet_type,
                f"it needs {names}{more}, which image {self._image!r} does not have; "
                "image 'full' has the whole base library",
            )

    def _load(self) -> World:
        with self._lock:
            if self._world is None:
                assemblies = self._read()
                world = World(assemblies, frozenset())
                for name in assemblies:
                    world.load(name)
                self._world = world
            return self._world

    def _missing_types(self, world: World, module: Module) -> Iterator[MissingReference]:
        for row in range(1, module.metadata.count(Table.TYPE_REF) + 1):
            scope = module.type_ref_scope(row)
            if scope not in self._base_library and scope != CORE:
                continue
            name = world.type_ref_name(module, row)
            place = world.load(scope)
            found = world.type_named(place, name) if place is not None else None
            if found is None or name in self._hidden:
                kind = "TypeLoadException" if place is not None else "IO.FileNotFoundException"
                shown = name.replace("/", ".")
                yield MissingReference(f"System.{kind}", shown, scope, name)

    @staticmethod
    def _missing_members(world: World, module: Module) -> Iterator[MissingReference]:
        for row, (_, name, blob) in enumerate(module.metadata.rows(MemberRefRow), 1):
            reference = world.reference(module, int(Table.MEMBER_REF) << ROW_BITS | row)
            definition = world.definition(reference.owner)
            if reference.target or definition is None:
                continue
            owner = world.full_name(definition)
            home = world.locate(definition)[0].name
            member = f"{owner}.{module.metadata.string(name)}"
            if BinaryView(module.metadata.blob(blob)).unsigned(0, 1) & KIND_MASK == FIELD:
                yield MissingReference("System.MissingFieldException", member, home, owner)
            else:
                signature = world.read_signature(module, blob)
                parameters = ", ".join(type_text(world, p) for p in signature.parameters)
                text = f"{member}({parameters})"
                world.spend(len(text))
                yield MissingReference("System.MissingMethodException", text, home, owner)
