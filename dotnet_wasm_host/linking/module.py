"""A standalone module as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from dotnet_wasm_host.linking.description import read_description
from dotnet_wasm_host.wasm.binary import PREAMBLE, MalformedModule
from dotnet_wasm_host.wasm.module import Module, SectionId

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from dotnet_wasm_host.linking.description import Description

__all__ = ["StandaloneModule"]


@dataclass(frozen=True, slots=True)
class StandaloneModule:
    """One WebAssembly file with .NET inside.

    Attributes:
        data: the file's content.
        imports: what its host must give, as ``"module.name"``.
        exports: names of what it offers.
        sizes: bytes by section (``"code"``, ``"data"``, ...), and ``"total"``.
        description: what is inside; ``None`` if this library did not write the file.
    """

    data: bytes = field(repr=False)
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    sizes: Mapping[str, int]
    description: Description | None = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> StandaloneModule:
        """Read a file. ValueError if it is no WebAssembly module."""
        try:
            module = Module.parse(data)
            sizes = dict[str, int]()
            for section, body in module.sections:
                name = SectionId(section).name.lower()
                sizes[name] = sizes.get(name, 0) + len(body)
            return cls(
                data,
                tuple(f"{item.module}.{item.name}" for item in module.imports()),
                tuple(export.name for export in module.exports()),
                MappingProxyType({**sizes, "total": len(data)}),
                read_description(module),
            )
        except MalformedModule as error:
            found = "a module" if data.startswith(PREAMBLE) else "no WebAssembly"
            raise ValueError(
                f"expected a WebAssembly module, found {found} ({error}); name another file"
            ) from error

    @property
    def components(self) -> Mapping[str, int]:
        """Bytes by what they are for; they add up to the file's size.

        ``"machine code"`` of .NET's runtime; ``"compiled methods"``; ``"assemblies"`` of .NET;
        ``"memory"``, what a booted .NET has beside them, or else what it boots with; ``"tables"``:
        types, exports, and what the file says of itself. Long runs of zeros, which are not in the
        file, count for assemblies.
        """
        code, data = self.sizes.get("code", 0), self.sizes.get("data", 0)
        assemblies = sum(self.description.assemblies.values()) if self.description else 0
        assemblies = min(assemblies, data)
        compiled = min(self.description.compiled_bytes, code) if self.description else 0
        return MappingProxyType(
            {
                "machine code": code - compiled,
                "compiled methods": compiled,
                "assemblies": assemblies,
                "memory": data - assemblies,
                "tables": len(self.data) - code - data,
            }
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file."""
        Path(path).write_bytes(self.data)
