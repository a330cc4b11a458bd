"""How large the built-in images are, and what makes them so.

What counts is everything that must be shipped to run: the native module's halves and the
assemblies of the image. ``compressed`` is the sum of the files, each with brotli at quality 11.
"""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.base_library.configurations import (
    CODE,
    CONTRACT,
    CORE,
    DATA,
    FULL,
    HOST_JSON,
    read_configurations,
)
from dotnet_wasm_host.ecma335.binary import align
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import MethodDefRow, NestedClassRow, TypeDefRow
from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.errors import DotnetHostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from dotnet_wasm_host.base_library.configurations import Configuration

__all__ = ["Component", "ImageSize", "measure", "namespaces"]

#: Namespaces are shown by their first two names: ``System.Collections``.
_SHOWN_NAMES = 2
#: II.22.37: the first row of TypeDef is ``<Module>``; a facade has no other.
_FACADE_TYPES = 2
_OWNED = (Table.TYPE_DEF, Table.FIELD, Table.METHOD_DEF, Table.PARAM)


@dataclass(frozen=True, slots=True)
class Component:
    """A part of an image; its bytes are the sum of its parts' where it has some."""

    name: str
    raw_bytes: int
    parts: tuple[Component, ...] = ()

    def to_json(self) -> dict[str, object]:
        """``{"raw_bytes": ..., "components": {...}}``."""
        if not self.parts:
            return {"raw_bytes": self.raw_bytes}
        return {
            "raw_bytes": self.raw_bytes,
            "components": {part.name: part.to_json() for part in self.parts},
        }

    @classmethod
    def of(cls, name: str, parts: list[Component]) -> Component:
        """A component with these parts, the largest first."""
        parts.sort(key=lambda part: (-part.raw_bytes, part.name))
        return cls(name, sum(part.raw_bytes for part in parts), tuple(parts))


@dataclass(frozen=True, slots=True)
class ImageSize:
    """The size of one built-in image.

    Attributes:
        content: the image as a component.
        compressed_bytes: with brotli at quality 11.
        raw_budget, compressed_budget: upper bounds; None for the image with everything.
    """

    content: Component
    compressed_bytes: int
    raw_budget: int | None = None
    compressed_budget: int | None = None
    files: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def raw_bytes(self) -> int:
        """Bytes of all files."""
        return self.content.raw_bytes

    @property
    def over_budget(self) -> bool:
        """Whether it grew over one of its bounds."""
        return any(
            budget is not None and size > budget
            for size, budget in (
                (self.raw_bytes, self.raw_budget),
                (self.compressed_bytes, self.compressed_budget),
            )
        )

    def to_json(self) -> dict[str, object]:
        """``{"raw_bytes": ..., "compressed_bytes": ..., "components": ...}``."""
        return {
            "raw_bytes": self.raw_bytes,
            "compressed_bytes": self.compressed_bytes,
            "components": {part.name: part.to_json() for part in self.content.parts},
        }


def measure(
    store: ArtifactStore, name: str, progress: Callable[[str], object] | None = None
) -> ImageSize:
    """The size of a built-in image. Takes seconds: its base library is trimmed for it.

    Raises:
        DotnetHostError: the package ``brotli`` is not installed.
    """
    configuration = None if name == FULL else read_configurations(store)[name]
    native = {file: store.read(file) for file in (CODE, _data(configuration))}
    if progress:
        progress(f"measuring image {name!r} ...")
    assemblies = _assemblies(store, configuration)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # brotli works without the GIL
        compressed = sum(threads.map(_compressed, [*native.values(), *assemblies.values()]))
    return ImageSize(
        content=_content(name, native, assemblies),
        compressed_bytes=compressed,
        raw_budget=configuration.raw_budget if configuration else None,
        compressed_budget=configuration.compressed_budget if configuration else None,
        files={file: len(data) for file, data in {**native, **assemblies}.items()},
    )


def _data(configuration: Configuration | None) -> str:
    return configuration.data if configuration else DATA


def _assemblies(store: ArtifactStore, configuration: Configuration | None) -> dict[str, bytes]:
    if configuration is not None:
        return configuration.assemblies(store)
    files = {f"{Path(path).stem}.wasm": store.read(path) for path in store.names("framework/")}
    guest = {f"{name}.dll": store.read(f"guest/{name}.dll") for name in (CONTRACT, HOST_JSON)}
    return {**files, **guest}


@cache
def _compressed(data: bytes) -> int:
    try:
        import brotli
    except ImportError:
        raise DotnetHostError(
            "measuring compressed sizes needs brotli: pip install 'dotnet-wasm-host[sizes]'"
        ) from None
    return len(brotli.compress(data, quality=11))


def _content(name: str, native: Mapping[str, bytes], assemblies: Mapping[str, bytes]) -> Component:
    library: list[Component] = []
    facades: list[Component] = []
    guest: list[Component] = []
    for file, data in assemblies.items():
        assembly = Path(file).stem
        if assembly == CORE:
            library.append(namespaces(assembly, data))
        elif assembly.startswith(CONTRACT):
            guest.append(Component(assembly, len(data)))
        elif Metadata(data).count(Table.TYPE_DEF) < _FACADE_TYPES:
            facades.append(Component(assembly, len(data)))
        else:
            library.append(Component(assembly, len(data)))
    groups = {
        "runtime native": [Component(file, len(data)) for file, data in native.items()],
        "base library": library,
        "facades": facades,
        "guest": guest,
    }
    return Component.of(name, [Component.of(k, parts) for k, parts in groups.items() if parts])


def namespaces(name: str, data: bytes) -> Component:
    """An assembly by namespace: code and definitions of its types, and what they share.

    Counted for a type are its method bodies and its rows of TypeDef, Field, MethodDef and Param;
    names, signatures and references are shared by all (ECMA-335 II.24).
    """
    metadata = Metadata(data)
    owned: defaultdict[str, int] = defaultdict(int)
    for namespace, size in _types(metadata):
        owned[".".join(namespace.split(".")[:_SHOWN_NAMES]) or "(none)"] += size
    parts = [Component(namespace, size) for namespace, size in owned.items()]
    parts.append(Component("names, signatures, references", len(data) - sum(owned.values())))
    return Component.of(name, parts)


def _types(metadata: Metadata) -> list[tuple[str, int]]:
    """Namespace and bytes of every type."""
    types, methods = metadata.rows(TypeDefRow), metadata.rows(MethodDefRow)
    sizes = {table: metadata.row_size(table) for table in _OWNED}
    enclosing = {row.nested: row.enclosing for row in metadata.rows(NestedClassRow)}
    ends = {
        Table.FIELD: metadata.count(Table.FIELD) + 1,
        Table.METHOD_DEF: len(methods) + 1,
        Table.PARAM: metadata.count(Table.PARAM) + 1,
    }
    found = []
    for number, row in enumerate(types, 1):
        following = types[number] if number < len(types) else None
        fields = (following.field_list if following else ends[Table.FIELD]) - row.field_list
        last = following.method_list if following else ends[Table.METHOD_DEF]
        own = methods[row.method_list - 1 : last - 1]
        after = methods[last - 1].param_list if last <= len(methods) else ends[Table.PARAM]
        parameters = after - own[0].param_list if own else 0
        size = sizes[Table.TYPE_DEF] + fields * sizes[Table.FIELD]
        size += len(own) * sizes[Table.METHOD_DEF] + parameters * sizes[Table.PARAM]
        size += sum(_body_size(metadata, method.rva) for method in own if method.rva)
        found.append((_namespace(metadata, number, enclosing), size))
    return found


def _namespace(metadata: Metadata, type_: int, enclosing: Mapping[int, int]) -> str:
    while type_ in enclosing:
        type_ = enclosing[type_]
    return metadata.string(metadata.row(TypeDefRow, type_).namespace)


def _body_size(metadata: Metadata, rva: int) -> int:
    """Bytes of a method body (II.25.4): header, code and exception clauses."""
    head = metadata.image.at(rva, 1)[0]
    if head & 3 == 2:
        return 1 + (head >> 2)
    fat = metadata.image.at(rva, 12)
    size = 12 + int.from_bytes(fat[4:8], "little")
    more = bool(fat[0] & 8)
    while more:
        size = align(size, 4)
        section = metadata.image.at(rva + size, 4)
        # II.25.4.5: bit 6 for lengths of three bytes, bit 7 for another section behind it.
        wide = section[0] & 0x40
        size += int.from_bytes(section[1:4], "little") if wide else section[1]
        more = bool(section[0] & 0x80)
    return size
