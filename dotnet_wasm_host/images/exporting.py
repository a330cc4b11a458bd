"""An image as one WebAssembly file, for hosts that know nothing of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.errors import StandaloneBuildError
from dotnet_wasm_host.images.compiling import check_compiles
from dotnet_wasm_host.images.progress import announce
from dotnet_wasm_host.images.standalone import LoadedEntry, booted_memory
from dotnet_wasm_host.linking.description import Description
from dotnet_wasm_host.linking.memory import Function
from dotnet_wasm_host.linking.template import NAME
from dotnet_wasm_host.linking.writing import check_functions, write_module
from dotnet_wasm_host.options import MAX_MEMORY_BYTES, Limits, WasiOptions

if TYPE_CHECKING:
    from dotnet_wasm_host.images.frozen import FrozenRuntime
    from dotnet_wasm_host.linking.module import StandaloneModule
    from dotnet_wasm_host.linking.options import ModuleOptions

__all__ = ["export_frozen"]


def export_frozen(frozen: FrozenRuntime, options: ModuleOptions) -> StandaloneModule:
    """A frozen runtime as a standalone module, its functions and their statics as they are.

    Raises:
        StandaloneBuildError: the functions do not fit the target, or methods have entries for
            compiled code, which the file has not.
        LimitExceeded: memory or file are larger than the options allow.
    """
    if frozen.method_entries:
        raise StandaloneBuildError(
            "expected an image whose methods are interpreted, found one of a runtime with "
            "jit='auto'; make it with Runtime(jit='off')"
        )
    state = frozen.parts.state
    check_functions([function.function_id for function in state.functions], options)
    guest = frozen.start(Limits(memory_bytes=MAX_MEMORY_BYTES), WasiOptions())
    try:
        loaded = [
            LoadedEntry(Function(f.function_id, f.assembly_name, f.assembly_sha256), f.handle)
            for f in state.functions
        ]
        booted = booted_memory(guest, loaded)
    finally:
        guest.close()
    description = Description(
        dotnet_version=frozen.manifest.dotnet_version,
        package_version=Description.own_version(),
        target=options.target,
        wasi=options.wasi,
        boot="inside",
        image=frozen.manifest.configuration,
        assemblies=frozen.manifest.assemblies,
        functions=booted.functions,
    )
    module = write_module(ArtifactStore.locate().read(NAME), booted, options, description)
    check_compiles(module.data, announce)
    return module
