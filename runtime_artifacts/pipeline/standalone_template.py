"""Link the template of standalone modules: code, adapter and guard in one module.

It is the same for every image and option. ``dotnet_wasm_host.linking`` turns it into a file at
run time: a booted memory or assemblies as data, the imports that are wanted, the exports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.jit.helpers import HELPERS
from dotnet_wasm_host.linking.template import NAME
from dotnet_wasm_host.wasm.assembly import call, local_get
from dotnet_wasm_host.wasm.binary import ExternKind, MalformedModule, Reader, uleb128, vector
from dotnet_wasm_host.wasm.instructions import CALL, Scanner
from dotnet_wasm_host.wasm.module import Import, Module, SectionId
from runtime_artifacts.pipeline import binaryen
from runtime_artifacts.pipeline.checked_calls import (
    FLAG,
    GUARD,
    INVOKE,
    RAISE,
    check_calls,
    guard_module,
)
from runtime_artifacts.pipeline.code_module import GLOBAL_PREFIX

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HOST_FUNCTIONS", "NAME", "link", "trampolines"]

#: What hosts may call, in the order of the exports; the last two are beside the original's.
HOST_FUNCTIONS = (
    "_start",
    "invoke",
    "load_assembly",
    "unload_assembly",
    "free_result",
    "malloc",
    "free",
    "last_error",
    "extism_call",
)
#: What the compiled methods of a file call (``linking.compiled_code``) stays, used or not: 16 kB.
_KEPT = ("memory", *HOST_FUNCTIONS, *HELPERS, "layout", FLAG, RAISE, INVOKE)
_HOST_MODULES = frozenset({"wasi_snapshot_preview1", "env", "extism:host/env"})
_CALLS = Scanner(frozenset({CALL}))


def link(code: bytes, adapter: bytes, tarball: Path, cache: Path) -> bytes:
    """The template.

    Args:
        code: the code module.
        adapter: the adapter's module.
        tarball: binaryen's package, verified.
        cache: where results of binaryen are kept.

    Raises:
        ArtifactError: the three do not fit together.
    """
    try:
        modules = {"mono": _for_linking(code), "adapter": adapter, GUARD: guard_module()}
        linked = Module.parse(binaryen.merge(modules, tarball, cache))
        _keep_exports(linked)
        pruned = binaryen.optimise(linked.emit(), tarball, cache, binaryen.PRUNE_FLAGS)
        module = Module.parse(pruned)
        _check_imports(module)
        check_calls(module, HOST_FUNCTIONS)
        trampolines(module)
    except MalformedModule as error:
        raise ArtifactError(f"the standalone template cannot be linked: {error}") from error
    module.remove_sections(SectionId.CUSTOM)
    return module.emit()


def _for_linking(code: bytes) -> bytes:
    """The code module, importing from the adapter and the guard."""
    module = Module.parse(code)
    imports = [
        Import(GUARD if i.name == INVOKE else "adapter", i.name, i.kind, i.type)
        for i in module.imports()
    ]
    module.set_section(SectionId.IMPORT, [item.encode() for item in imports])
    return module.emit()


def _keep_exports(module: Module) -> None:
    by_name = {export.name: export for export in module.exports()}
    missing = [name for name in _KEPT if name not in by_name]
    if missing:
        raise MalformedModule(f"nothing exports {', '.join(missing)}")
    kept = [by_name[name] for name in _KEPT]
    kept += [export for name, export in by_name.items() if name.startswith(GLOBAL_PREFIX)]
    module.set_section(SectionId.EXPORT, [export.encode() for export in kept])


def _check_imports(module: Module) -> None:
    strange = [
        f"{item.module}.{item.name}"
        for item in module.imports()
        if item.module not in _HOST_MODULES or item.kind is not ExternKind.FUNCTION
    ]
    if strange:
        raise MalformedModule(f"{', '.join(strange)} stayed open")


def trampolines(module: Module) -> None:
    """Let every call of an import go through a function of its own, behind all others.

    An export can then leave imports out, and give others other numbers, by writing these
    functions anew; nothing else in the module knows an import's number.
    """
    imports, types = module.imports(), module.types()
    bodies, kinds = module.bodies(), module.function_type_indices()
    first = len(imports) + len(bodies)
    if any(f < len(imports) for s in module.element_segments() for f in s.functions):
        raise MalformedModule("an import is in the function table")
    for number, body in enumerate(bodies):
        bodies[number] = _redirected(body, len(imports), first)
    for index, item in enumerate(imports):
        assert isinstance(item.type, int)  # all are functions, which was checked
        parameters = range(len(types[item.type].params))
        kinds.append(item.type)
        bodies.append(b"\0" + b"".join(map(local_get, parameters)) + call(index) + b"\x0b")
    module.set_section(SectionId.FUNCTION, [uleb128(kind) for kind in kinds])
    module.set_section(SectionId.CODE, [vector(body) for body in bodies])


def _redirected(body: bytes, imported: int, first: int) -> bytes:
    pieces, done = list[bytes](), 0
    for start, end, _ in _CALLS.find(body):
        target = Reader(body, start + 1).uleb128()
        if target < imported:
            pieces += [body[done:start], call(first + target)]
            done = end
    return b"".join([*pieces, body[done:]])
