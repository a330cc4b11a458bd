"""Run C# functions in real .NET 10 inside the Python process.

The .NET runtime is sandboxed in WebAssembly; no .NET installation is needed::

    import dotnet_wasm_host as dwh

    greeter = dwh.compile_csharp('''
        using System; using System.Text;
        public sealed class Greeter : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) =>
                Encoding.UTF8.GetBytes($"Hello, {Encoding.UTF8.GetString(input)}");
        }''')

    with dwh.Runtime() as runtime:
        runtime.load_assembly("greet", greeter)
        runtime.invoke("greet", b"Ada")             # b'Hello, Ada'
        runtime.unload_assembly("greet")
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from dotnet_wasm_host.base_library.capabilities import capability_assembly
from dotnet_wasm_host.errors import (
    ArtifactError,
    AssemblyLoadError,
    CompilationError,
    DescriptorError,
    DotnetHostError,
    EngineUnavailable,
    ExtraNotInstalled,
    FunctionNotLoaded,
    FunctionSuspended,
    GuestOutOfMemory,
    GuestTerminated,
    GuestTrap,
    HandlerNotFound,
    HostFunctionMissing,
    HttpPolicyError,
    InstanceLost,
    InvocationCancelled,
    InvocationError,
    InvocationTimeout,
    LimitExceeded,
    MarshallingError,
    MarshallingOverflowError,
    MarshallingTypeError,
    MemoryAccessError,
    MissingApi,
    RuntimeClosed,
    StackTooSmall,
    StaleObject,
    StandaloneBuildError,
    ThreadOccupied,
    TooManyCalls,
    VersionMismatch,
)
from dotnet_wasm_host.images.image import FrozenFunction, ImageManifest, RuntimeImage
from dotnet_wasm_host.memory import Block, Memory
from dotnet_wasm_host.options import (
    Clock,
    CompileOptions,
    HttpPolicy,
    Limits,
    SystemClock,
    WasiOptions,
)
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.runtime.cancellation import Cancellation
from dotnet_wasm_host.runtime.registry import FunctionRegistry, FunctionState, LoadedFunction
from dotnet_wasm_host.runtime.source_compiler import reach as _reach

if TYPE_CHECKING:
    from dotnet_wasm_host.assembly import Assembly, Diagnostic
    from dotnet_wasm_host.columns.functions import ColumnFunction
    from dotnet_wasm_host.imports.json_functions import json_function
    from dotnet_wasm_host.jit.reports import JitMethod, JitReport, JitStats
    from dotnet_wasm_host.linking.module import StandaloneModule
    from dotnet_wasm_host.notebook.magic import load_ipython_extension
    from dotnet_wasm_host.nuget.resolving import ResolvedPackages, resolve_packages
    from dotnet_wasm_host.nuget.source import PackageSource
    from dotnet_wasm_host.packages.errors import PackageError
    from dotnet_wasm_host.pool.isolation import Isolation
    from dotnet_wasm_host.pool.pool import RuntimePool
    from dotnet_wasm_host.pool.portable import DotnetFunction
    from dotnet_wasm_host.pool.staging import StagedFunction
    from dotnet_wasm_host.pool.stats import PoolStats
    from dotnet_wasm_host.programs.compiling import compile_csharp
    from dotnet_wasm_host.programs.completed import CompletedProgram, ProgramFailed
    from dotnet_wasm_host.programs.running import run_csharp
    from dotnet_wasm_host.runtime.stats import RuntimeStats
    from dotnet_wasm_host.standalone.building import build_wasm
    from dotnet_wasm_host.telemetry.instrumentation import instrument, uninstrument
    from dotnet_wasm_host.typed.module import CSharpModule
    from dotnet_wasm_host.typed.objects import CSharpObject
    from dotnet_wasm_host.typed.sources import csharp, load

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "Assembly",
    "AssemblyLoadError",
    "Block",
    "CSharpModule",
    "CSharpObject",
    "Cancellation",
    "Clock",
    "ColumnFunction",
    "CompilationError",
    "CompileOptions",
    "CompletedProgram",
    "DescriptorError",
    "Diagnostic",
    "DotnetFunction",
    "DotnetHostError",
    "EngineUnavailable",
    "ExtraNotInstalled",
    "FrozenFunction",
    "FunctionNotLoaded",
    "FunctionRegistry",
    "FunctionState",
    "FunctionSuspended",
    "GuestOutOfMemory",
    "GuestTerminated",
    "GuestTrap",
    "HandlerNotFound",
    "HostFunctionMissing",
    "HttpPolicy",
    "HttpPolicyError",
    "ImageManifest",
    "InstanceLost",
    "InvocationCancelled",
    "InvocationError",
    "InvocationTimeout",
    "Isolation",
    "JitMethod",
    "JitReport",
    "JitStats",
    "LimitExceeded",
    "Limits",
    "LoadedFunction",
    "MarshallingError",
    "MarshallingOverflowError",
    "MarshallingTypeError",
    "Memory",
    "MemoryAccessError",
    "MissingApi",
    "PackageError",
    "PackageSource",
    "PoolStats",
    "ProgramFailed",
    "ResolvedPackages",
    "Runtime",
    "RuntimeClosed",
    "RuntimeImage",
    "RuntimePool",
    "RuntimeStats",
    "StackTooSmall",
    "StagedFunction",
    "StaleObject",
    "StandaloneBuildError",
    "StandaloneModule",
    "SystemClock",
    "ThreadOccupied",
    "TooManyCalls",
    "VersionMismatch",
    "WasiOptions",
    "build_wasm",
    "capability_assembly",
    "compile_csharp",
    "csharp",
    "instrument",
    "json_function",
    "load",
    "load_ipython_extension",
    "resolve_packages",
    "run_csharp",
    "uninstrument",
]

#: Imported at first use: a process that only calls functions starts faster without them.
_LAZY = {
    "Assembly": "dotnet_wasm_host.assembly",
    "Diagnostic": "dotnet_wasm_host.diagnostic",
    "JitReport": "dotnet_wasm_host.jit.reports",
    "JitStats": "dotnet_wasm_host.jit.reports",
    "JitMethod": "dotnet_wasm_host.jit.reports",
    "ColumnFunction": "dotnet_wasm_host.columns.functions",
    "DotnetFunction": "dotnet_wasm_host.pool.portable",
    "Isolation": "dotnet_wasm_host.pool.isolation",
    "PackageError": "dotnet_wasm_host.packages.errors",
    "PackageSource": "dotnet_wasm_host.nuget.source",
    "PoolStats": "dotnet_wasm_host.pool.stats",
    "ResolvedPackages": "dotnet_wasm_host.nuget.resolving",
    "RuntimePool": "dotnet_wasm_host.pool.pool",
    "StagedFunction": "dotnet_wasm_host.pool.staging",
    "CompletedProgram": "dotnet_wasm_host.programs.completed",
    "ProgramFailed": "dotnet_wasm_host.programs.completed",
    "compile_csharp": "dotnet_wasm_host.programs.compiling",
    "run_csharp": "dotnet_wasm_host.programs.running",
    "resolve_packages": "dotnet_wasm_host.nuget.resolving",
    "json_function": "dotnet_wasm_host.imports.json_functions",
    "StandaloneModule": "dotnet_wasm_host.linking.module",
    "build_wasm": "dotnet_wasm_host.standalone.building",
    "RuntimeStats": "dotnet_wasm_host.runtime.stats",
    "instrument": "dotnet_wasm_host.telemetry.instrumentation",
    "uninstrument": "dotnet_wasm_host.telemetry.instrumentation",
    "CSharpModule": "dotnet_wasm_host.typed.module",
    "CSharpObject": "dotnet_wasm_host.typed.objects",
    "csharp": "dotnet_wasm_host.typed.sources",
    "load": "dotnet_wasm_host.typed.sources",
    "load_ipython_extension": "dotnet_wasm_host.notebook.magic",
}


# Runtime.load_csharp compiles with what stands above it.
_reach(lambda: _import_module("dotnet_wasm_host.programs.compiling").compile_function)


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
