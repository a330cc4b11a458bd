"""Tell which build of .NET a native module is, and refuse builds this project does not know.

The host implements the imports of known builds only, by name and signature; a changed list
means that the guest would meet a function that is missing or means something else. The
contract of every known build is a text file in ``runtime_artifacts/native_builds``, named
by the .NET version.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.binary import ExternKind, MalformedModule
from dotnet_wasm_host.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dotnet_wasm_host.wasm.binary import FunctionType

__all__ = ["NativeBuild", "describe", "identify", "read_version"]

#: How ``dotnet.runtime.<hash>.js`` names its version: the first constant of the bundle.
VERSION_PATTERN = re.compile(rb'\bvar e="(\d{1,3}\.\d{1,3}\.\d{1,5})"')
#: ``global.get 0`` and ``end``: the body of stackSave when global 0 is __stack_pointer.
STACK_SAVE_BODY = b"\x00\x23\x00\x0b"
#: An error names this many differences before it says how many more there are.
SHOWN_DIFFERENCES = 12


@dataclass(frozen=True, slots=True)
class NativeBuild:
    """A native module's contract with its host.

    Attributes:
        dotnet_version: the version of .NET, ``10.0.10``.
        imports: ``module.name(params) -> (results)``, in module order.
        exports: the same for exported functions, other exports by kind; sorted.
    """

    dotnet_version: str
    imports: tuple[str, ...]
    exports: tuple[str, ...]

    @property
    def text(self) -> str:
        """The canonical text that ``runtime_artifacts/native_builds`` keeps."""
        lines = [f"import {item}" for item in self.imports]
        lines += [f"export {item}" for item in self.exports]
        return "\n".join(lines) + "\n"

    @property
    def imports_sha256(self) -> str:
        """Hash of the imports' canonical text."""
        return _sha256(self.imports)

    @property
    def exports_sha256(self) -> str:
        """Hash of the exports' canonical text."""
        return _sha256(self.exports)


def describe(native: bytes, runtime_js: bytes) -> NativeBuild:
    """The contract of a native module and the version its JavaScript half declares."""
    try:
        module = Module.parse(native)
        _check_stack_pointer(module)
        return NativeBuild(
            dotnet_version=read_version(runtime_js),
            imports=tuple(_describe_imports(module)),
            exports=tuple(sorted(_describe_exports(module))),
        )
    except (MalformedModule, IndexError) as error:
        raise ArtifactError(f"dotnet.native.wasm is damaged: {error}") from error


def identify(native: bytes, runtime_js: bytes, known_builds: Path) -> NativeBuild:
    """The build, if its contract is in ``known_builds``; ArtifactError saying what differs."""
    build = describe(native, runtime_js)
    known = {path.stem: path for path in sorted(known_builds.glob("*.txt"))}
    path = known.get(build.dotnet_version)
    if path is None:
        raise ArtifactError(
            f"the native module is .NET {build.dotnet_version}, which this version does not "
            f"know (it knows {', '.join(known) or 'none'}); docs/artifacts.md says how to add one"
        )
    expected = path.read_text(encoding="utf-8").splitlines()
    found = build.text.splitlines()
    if expected != found:
        raise ArtifactError(
            f"the native module calls itself .NET {build.dotnet_version} but its contract is "
            f"another: {_differences(expected, found)}. docs/artifacts.md says how to add a build"
        )
    return build


def read_version(runtime_js: bytes) -> str:
    """The version in ``dotnet.runtime.*.js``."""
    match = VERSION_PATTERN.search(runtime_js[:4096])
    if match is None:
        raise ArtifactError("dotnet.runtime.*.js does not say its version where it used to")
    return match.group(1).decode()


def _describe_imports(module: Module) -> Iterable[str]:
    signatures = _signatures(module)
    for item, signature in zip(module.imports(), signatures, strict=False):
        yield f"{item.module}.{item.name}{signature}"


def _describe_exports(module: Module) -> Iterable[str]:
    signatures = _signatures(module)
    for export in module.exports():
        if export.kind is ExternKind.FUNCTION:
            yield f"{export.name}{signatures[export.index]}"
        else:
            yield f"{export.name} {export.kind.name.lower()}"


def _signatures(module: Module) -> list[FunctionType]:
    """The type of every function, imported ones first (WebAssembly core 2.0, 5.5.5)."""
    types = module.types()
    indices = []
    for item in module.imports():
        if not isinstance(item.type, int):
            raise MalformedModule(f"import {item.module}.{item.name} is not a function")
        indices.append(item.type)
    return [types[index] for index in [*indices, *module.function_type_indices()]]


def _check_stack_pointer(module: Module) -> None:
    stack_save = next((e for e in module.exports() if e.name == "stackSave"), None)
    if stack_save is None:
        raise MalformedModule("no export stackSave")
    body = module.bodies()[stack_save.index - len(module.imports())]
    if body != STACK_SAVE_BODY:
        raise MalformedModule("global 0 is not the stack pointer")


def _differences(expected: list[str], found: list[str]) -> str:
    changes = [f"added {line}" for line in found if line not in set(expected)]
    changes += [f"removed {line}" for line in expected if line not in set(found)]
    if not changes:
        return "the same functions in another order"
    more = len(changes) - SHOWN_DIFFERENCES
    shown = ", ".join(changes[:SHOWN_DIFFERENCES])
    return f"{shown} and {more} more" if more > 0 else shown


def _sha256(items: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(items).encode()).hexdigest()
