"""Compile the guest's C# with the compiler that runs on the guest itself.

The assemblies in ``runtime_artifacts/guest/bin`` are checked in because each build needs the
last one: Roslyn runs in a runtime that ``MinimalRuntime.dll`` makes callable. Roslyn is
deterministic, so the same sources give the same bytes and a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.roslyn.compiler import CSharpCompiler
from dotnet_wasm_host.roslyn.protocol import CompileFlags, CompileRequest
from runtime_artifacts.pipeline import upstream, weaving
from runtime_artifacts.pipeline.build import Sources
from runtime_artifacts.pipeline.replacements import INSIDE_CORE

__all__ = ["BIN", "build_guest", "stale_files"]

ROOT = Path(__file__).resolve().parents[1] / "guest"
BIN = ROOT / "bin"
_STRICT = (
    CompileFlags.OPTIMIZE
    | CompileFlags.NULLABLE
    | CompileFlags.WARNINGS_AS_ERRORS
    | CompileFlags.UNSAFE
)
#: ECMA-335 II.6.2.1.3: the key that System.Runtime is signed with, and so referred to by.
_SYSTEM_RUNTIME_KEY = bytes.fromhex(
    "002400000480000094000000060200000024000052534131000400000100010007d1fa57c4aed9f0"
    "a32e84aa0faefd0de9e8fd6aec8f87fb03766c834c99921eb23be79ad9d5dcc1dd9ad236132102900b"
    "723cf980957fc4e177108fc607774f29e8320e92ea05ece4e821c0a5efe8f1645c4c0c93c1ab99285d"
    "622caa652c1dfad63d745d6f2de5f17e5eaf0fc4963d261c8a12436518206dc093344d5ad293"
)


@dataclass(frozen=True, slots=True)
class _Project:
    """One assembly: its folder of sources and what it refers to."""

    name: str
    folder: str
    references: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"{self.name}.dll"


_CONTRACT = _Project("MinimalRuntime", "MinimalRuntime")
_PROJECTS = (
    _CONTRACT,
    _Project("MinimalRuntime.Platform", "Platform"),
    _Project("MinimalRuntime.Platform.Console", "PlatformConsole"),
    _Project("MinimalRuntime.Json", "Json"),
    _Project("MinimalRuntime.Compiler", "Compiler", ("roslyn/",)),
    _Project("MinimalRuntime.JsonCapability", "JsonCapability"),
    _Project("MinimalRuntime.Http", "Http"),
    _Project("MinimalRuntime.Cryptography", "Cryptography"),
    _Project("MinimalRuntime.Compression", "Compression"),
    _Project("MinimalRuntime.Programs", "Programs"),
    _Project("MinimalRuntime.Packages", "Packages", ("nuget/",)),
    _Project("MinimalRuntime.Typed", "Typed"),
    _Project("MinimalRuntime.Columns", "Columns"),
    _Project("MinimalRuntime.Session", "Session", ("roslyn/",)),
    _Project("MinimalRuntime.WarmUp", "WarmUp"),
    _Project("MinimalRuntime.WarmUp.Async", "WarmUpAsync"),
    _Project("MinimalRuntime.WarmUp.Json", "WarmUpJson"),
)


#: Sources of what users write against.
_CONTRACT_FILES = frozenset(
    {
        "AssemblyInfo.cs",
        "Host.cs",
        "HostFunctionException.cs",
        "IAsyncFunctionHandler.cs",
        "IFunctionHandler.cs",
        "Log.cs",
        "LogLevel.cs",
    }
)


def build_guest(compiler: CSharpCompiler | None = None) -> dict[str, bytes]:
    """Compile everything. Relative path under ``bin`` to content."""
    compiler = compiler or CSharpCompiler.load()
    store = ArtifactStore.locate()
    built: dict[str, bytes] = {}
    for project in _PROJECTS:
        references = [
            (n, store.read(n)) for prefix in project.references for n in store.names(prefix)
        ]
        if project is not _CONTRACT:
            references.append((_CONTRACT.name, built[_CONTRACT.file]))
        request = CompileRequest(
            project.name,
            _sources(project.folder),
            references,
            _STRICT,
            framework=compiler.framework_of(references),
        )
        built[project.file] = compiler.run(request).data
    built["contract/MinimalRuntime.dll"] = _build_contract(compiler)
    built[INSIDE_CORE.code] = _build_core(compiler)
    return built


def _build_core(compiler: CSharpCompiler) -> bytes:
    """What is woven into the core library, compiled against that library as it is published."""
    sources = Sources.of_checkout()
    published = upstream.read_runtime(sources.fetch(upstream.RUNTIME_PACKAGE)).assemblies
    reference = weaving.for_compiler(webcil.unwrap(published[INSIDE_CORE.assembly]))
    flags = CompileFlags.OPTIMIZE | CompileFlags.UNSAFE | CompileFlags.NO_FRAMEWORK
    request = CompileRequest(
        "MinimalRuntime.CoreLibrary",
        _sources("CoreLibrary"),
        ((INSIDE_CORE.assembly, reference),),
        flags | CompileFlags.WARNINGS_AS_ERRORS,
    )
    return compiler.run(request).data


def _build_contract(compiler: CSharpCompiler) -> bytes:
    """The reference assembly for users of the .NET SDK, which knows System.Runtime only."""
    bare = _STRICT | CompileFlags.NO_FRAMEWORK
    core = CompileRequest(
        "System.Runtime", _sources("Contract"), (), bare, public_key=_SYSTEM_RUNTIME_KEY
    )
    reference = compiler.run(core).data
    sources = {
        file: text
        for file, text in _sources(_CONTRACT.folder).items()
        if file.rpartition("/")[2] in _CONTRACT_FILES
    }
    request = CompileRequest(
        _CONTRACT.name, sources, (("System.Runtime", reference),), bare | CompileFlags.METADATA_ONLY
    )
    return compiler.run(request).data


def _sources(folder: str) -> dict[str, str]:
    return {
        f"{folder}/{path.name}": path.read_text(encoding="utf-8")
        for path in sorted((ROOT / folder).glob("*.cs"))
    }


def stale_files(built: dict[str, bytes]) -> list[str]:
    """Files under ``bin`` that differ from what was built, or are missing."""
    return [
        name
        for name, content in built.items()
        if not (BIN / name).is_file() or (BIN / name).read_bytes() != content
    ]
