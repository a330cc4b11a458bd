"""What a file says of itself, in two custom sections.

``producers`` is the convention of WebAssembly tools (tool-conventions, ProducersSection.md).
``dotnet_wasm_host`` has more, as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.wasm.binary import MalformedModule, Reader, name, uleb128
from dotnet_wasm_host.wasm.module import Module, SectionId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.linking.memory import Function

__all__ = ["Description", "own_section", "producers_section", "read_description"]

PACKAGE = "dotnet_wasm_host"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Description:
    """What is in a file.

    Attributes:
        dotnet_version: for example ``"10.0.10"``.
        package_version: of dotnet_wasm_host.
        target, wasi, boot: as it was built.
        image: the image it was made of, ``"auto"`` for one trimmed for its function.
        assemblies: file name to size in bytes of the assemblies inside.
        functions: id, assembly and SHA-256 of each function inside.
        compiled_methods: .NET methods that are functions of the module.
        compiled_bytes: bytes of the code section that they take.
    """

    dotnet_version: str
    package_version: str
    target: str
    wasi: str
    boot: str
    image: str
    assemblies: Mapping[str, int]
    functions: Sequence[Function]
    compiled_methods: int = 0
    compiled_bytes: int = 0

    @staticmethod
    def own_version() -> str:
        """Version of this package."""
        # The package gathers what its rooms offer; it is not there yet while they are imported.
        return str(sys.modules[PACKAGE].__version__)

    @classmethod
    def from_json(cls, data: Any) -> Description:  # noqa: ANN401 - whatever JSON holds
        """Read what :func:`own_section` wrote. ValueError if it is something else."""
        from dotnet_wasm_host.linking.memory import Function

        try:
            if data["format"] != _FORMAT:
                raise ValueError(f"expected format {_FORMAT}, found {data['format']!r}")
            return cls(
                dotnet_version=str(data["dotnet_version"]),
                package_version=str(data["package_version"]),
                target=str(data["target"]),
                wasi=str(data["wasi"]),
                boot=str(data["boot"]),
                image=str(data["image"]),
                assemblies={str(key): int(size) for key, size in data["assemblies"].items()},
                functions=[Function(*map(str, item)) for item in data["functions"]],
                # Files of older versions have none.
                compiled_methods=int(data.get("compiled_methods", 0)),
                compiled_bytes=int(data.get("compiled_bytes", 0)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"section {PACKAGE!r} is damaged: {error!r}") from error


def producers_section(description: Description) -> bytes:
    """The ``producers`` section: language, tools, and what they put together."""
    kit = [(".NET", description.dotnet_version)]
    kit += [(f"function {f.function_id}", f.assembly_sha256[:16]) for f in description.functions]
    fields = {
        "language": [("C#", "")],
        "processed-by": [(PACKAGE, description.package_version)],
        "sdk": kit,
    }
    body = uleb128(len(fields))
    for field, values in fields.items():
        body += name(field) + uleb128(len(values))
        body += b"".join(name(value) + name(version) for value, version in values)
    return name("producers") + body


def own_section(description: Description) -> bytes:
    """The section ``dotnet_wasm_host``."""
    document = {"format": _FORMAT, **asdict(description)}
    document["functions"] = [list(function) for function in description.functions]
    return name(PACKAGE) + json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def read_description(module: Module) -> Description | None:
    """What a module says of itself; ``None`` if this library did not write it."""
    for section, body in module.sections:
        if section != SectionId.CUSTOM:
            continue
        reader = Reader(body)
        try:
            if reader.name() == PACKAGE:
                return Description.from_json(json.loads(body[reader.pos :]))
        except MalformedModule:
            continue
    return None
