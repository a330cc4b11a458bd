"""Make ``runtime_artifacts/dist`` out of the upstream packages."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts import manifest as manifest_module
from dotnet_wasm_host.artifacts.manifest import ArtifactFile, Manifest, NativeContract
from dotnet_wasm_host.artifacts.store import MANIFEST_NAME, ArtifactStore
from dotnet_wasm_host.ecma335 import il, metadata, rows, signatures, tables, webcil
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.images import boot
from dotnet_wasm_host.jit import facts, helpers
from dotnet_wasm_host.jit.facts import CODE, FACTS
from dotnet_wasm_host.trimming import module as assemblies
from dotnet_wasm_host.trimming import retargeting
from dotnet_wasm_host.wasm import module as wasm
from dotnet_wasm_host.wasm.binary import MalformedModule
from runtime_artifacts.pipeline import (
    binaryen,
    block_copy,
    code_module,
    editor,
    fetch,
    images,
    native_cut,
    native_data,
    native_module,
    replacements,
    standalone_template,
    time_zones,
    upstream,
)
from runtime_artifacts.pipeline.progress import step
from runtime_artifacts.pipeline.provenance import base_library_commit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Sources", "build", "inputs_fingerprint", "up_to_date"]

#: Names the inputs a dist folder was made from; no part of the artifacts themselves.
STAMP_NAME = ".inputs"
#: Builds that run at the same time swap their results in one after the other.
SWAP_ATTEMPTS = 10
ASSEMBLY_SUFFIXES = (".webcil", ".dll")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a build takes things from and puts them."""

    root: Path

    @classmethod
    def of_checkout(cls) -> Sources:
        """The ``runtime_artifacts`` folder this package lives in."""
        return cls(Path(__file__).resolve().parents[1])

    @property
    def lock_file(self) -> Path:
        """The npm lock file that pins the upstream packages."""
        return self.root / "package-lock.json"

    @property
    def cache(self) -> Path:
        """Verified tarballs, and what is under construction."""
        return self.root / ".cache"

    @property
    def dist(self) -> Path:
        """The finished artifacts."""
        return self.root / "dist"

    @property
    def guest(self) -> Path:
        """The built C# side."""
        return self.root / "guest" / "bin"

    @property
    def platform(self) -> Path:
        """C# that goes into the base library."""
        return self.root / "guest" / "Platform"

    @property
    def adapter(self) -> Path:
        """The compiled adapter of standalone modules."""
        return self.root / "adapter" / "adapter.wasm"

    @property
    def editor(self) -> Path:
        """What the editor of the worker's page is bundled from, besides its packages."""
        return self.root / "editor" / "editor.js"

    @property
    def images_file(self) -> Path:
        """The built-in images."""
        return self.root / "images.toml"

    @property
    def images(self) -> Path:
        """Descriptors of the built-in images."""
        return self.root / "images"

    @property
    def trust(self) -> Path:
        """Root certificates that signatures of published files end in."""
        return self.root / "trust"

    @property
    def licenses(self) -> Path:
        """Licences of what is shipped."""
        return self.root / "licenses"

    @property
    def known_builds(self) -> Path:
        """Contracts of the native builds the host implements."""
        return self.root / "native_builds"

    def package(self, name: str) -> fetch.PinnedPackage:
        """The package as the lock file pins it."""
        for package in fetch.read_lock(self.lock_file):
            if package.name == name:
                return package
        raise ArtifactError(f"{self.lock_file} does not pin {name}")

    def fetch(self, name: str) -> Path:
        """Path of the package's verified tarball."""
        return fetch.fetch(self.package(name), self.cache)


def build(sources: Sources, *, force: bool = False) -> Manifest:
    """Bring ``sources.dist`` up to date. Nothing is written where it is already."""
    stamp = inputs_fingerprint(sources)
    if not force and up_to_date(sources, stamp):
        return ArtifactStore.open(sources.dist).manifest
    with step("building runtime_artifacts/dist"):
        contents = _collect(sources)
        # Without the editor it is good for use, and the next build tries again.
        contents[STAMP_NAME] = stamp.encode() if editor.EDITOR in contents else b"no editor"
        _publish(contents, sources)
    return ArtifactStore.open(sources.dist).manifest


def up_to_date(sources: Sources, stamp: str) -> bool:
    """Whether dist was made from these inputs and every file is there in its size."""
    try:
        if (sources.dist / STAMP_NAME).read_text(encoding="utf-8") != stamp:
            return False
        store = ArtifactStore.open(sources.dist)
        for name in store.names():
            store.path(name)
    except (OSError, ValueError, ArtifactError):
        return False
    return True


def inputs_fingerprint(sources: Sources) -> str:
    """Hash of all that decides what dist holds: pins, contracts, guest, licences and code."""
    inputs = {
        "lock": sources.lock_file,
        "images": sources.images_file,
        "adapter": sources.adapter,
        "editor": sources.editor,
    }
    formats = (assemblies, il, metadata, retargeting, rows, signatures, tables, webcil)
    modules = (wasm, manifest_module, *formats, facts, helpers, boot)
    package = (str(module.__file__) for module in modules)
    code = [*map(Path, package), *Path(__file__).parent.glob("*.py")]
    inputs |= {f"code/{path.name}": path for path in code}
    for folder in (sources.guest, sources.images, sources.licenses, sources.known_builds):
        files = (path for path in folder.rglob("*") if path.is_file())
        inputs |= {path.relative_to(sources.root).as_posix(): path for path in files}
    digest = hashlib.sha256()
    for label, path in sorted(inputs.items()):
        digest.update(f"{label}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _collect(sources: Sources) -> dict[str, bytes]:
    """Every file of dist by name, the manifest among them."""
    runtime = upstream.read_runtime(sources.fetch(upstream.RUNTIME_PACKAGE))
    native = native_module.identify(runtime.native, runtime.script, sources.known_builds)
    compiler = sources.fetch(upstream.COMPILER_PACKAGE)
    roslyn = upstream.read_compiler(compiler)
    rules = upstream.read_package_rules(compiler)
    contents = _native_halves(runtime.native, sources)
    for name, content in runtime.assemblies.items():
        contents[f"framework/{name}.webcil"] = webcil.unwrap(content)
    base_library_commit({n: c for n, c in contents.items() if n.startswith("framework/")})
    contents |= _patched_library(contents, sources)
    contents |= {f"roslyn/{name}": content for name, content in roslyn.items()}
    contents |= {f"nuget/{name}": content for name, content in rules.items()}
    contents |= _tree(sources.guest, "guest/", "*.dll")
    for code in replacements.CODE_FILES:
        del contents[f"guest/{code}"]  # it is in the base library now
    contents |= _tree(sources.licenses, "licenses/", "*.txt")
    contents |= images.collect(sources.images_file, sources.images)
    contents |= editor.collect(sources)
    contents[FACTS] = _interpreter_facts(contents)
    files = {name: _describe(name, content) for name, content in contents.items()}
    manifest = Manifest(
        dotnet_version=native.dotnet_version,
        roslyn_version=str(files["roslyn/Microsoft.CodeAnalysis.dll"].version),
        native=NativeContract(native.imports, native.imports_sha256, native.exports_sha256),
        files=files,
    )
    contents[MANIFEST_NAME] = manifest.to_bytes()
    return contents


def _patched_library(contents: Mapping[str, bytes], sources: Sources) -> dict[str, bytes]:
    framework = {
        Path(name).stem: content
        for name, content in contents.items()
        if name.startswith("framework/")
    }
    code = {name: (sources.guest / name).read_bytes() for name in replacements.CODE_FILES}
    try:
        changed = replacements.patched(framework, code)
    except MalformedImage as error:
        raise ArtifactError(f"the base library cannot be adapted: {error}") from error
    return {f"framework/{name}.webcil": content for name, content in changed.items()}


def _native_halves(native: bytes, sources: Sources) -> dict[str, bytes]:
    try:
        copied = block_copy.use_memory_copy(native)
        halves = code_module.split(native_cut.cut(copied))
        data = native_data.without(halves.data, native_data.own_data(native))
        small_data = time_zones.without_time_zones(data)
    except MalformedModule as error:
        raise ArtifactError(f"dotnet.native.wasm cannot be adapted: {error}") from error
    code = binaryen.optimise(halves.code, sources.fetch(binaryen.PACKAGE), sources.cache)
    return {
        CODE: code,
        standalone_template.NAME: standalone_template.link(
            code, sources.adapter.read_bytes(), sources.fetch(binaryen.PACKAGE), sources.cache
        ),
        "dotnet.data.wasm": data,
        "dotnet.data.utc.wasm": small_data,
    }


def _interpreter_facts(contents: Mapping[str, bytes]) -> bytes:
    # Of the build, only this step needs an engine.
    from runtime_artifacts.pipeline import interpreter_facts

    code, data = contents[CODE], contents["dotnet.data.wasm"]
    assemblies = [
        (f"{Path(name).stem}.wasm", content)
        for name, content in contents.items()
        if name.startswith("framework/")
    ]
    assemblies.append(("MinimalRuntime.dll", contents["guest/MinimalRuntime.dll"]))
    found = interpreter_facts.gather(
        code, data, assemblies, contents["guest/MinimalRuntime.WarmUp.dll"]
    )
    return facts.encode_facts(found, hashlib.sha256(code).hexdigest())


def _tree(folder: Path, prefix: str, pattern: str) -> dict[str, bytes]:
    return {
        prefix + path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


def _describe(name: str, content: bytes) -> ArtifactFile:
    file = ArtifactFile(name, hashlib.sha256(content).hexdigest(), len(content))
    if not name.endswith(ASSEMBLY_SUFFIXES):
        return file
    identity = metadata.identify(content)
    if identity.name != Path(name).stem:
        raise ArtifactError(f"{name} holds the assembly {identity}")
    return replace(file, assembly=identity.name, version=identity.version, mvid=identity.mvid)


def _publish(contents: Mapping[str, bytes], sources: Sources) -> None:
    """Write a whole new dist beside the old one, then swap them: none is ever half-written."""
    sources.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=sources.cache, prefix="dist-") as staging:
        fresh = Path(staging) / "fresh"
        _write(contents, fresh)
        for attempt in range(SWAP_ATTEMPTS):
            _move_away(sources.dist, Path(staging) / f"retired-{attempt}")
            try:
                fresh.rename(sources.dist)
            except OSError:
                # Another build put its own there in between; replace that one too.
                if attempt == SWAP_ATTEMPTS - 1:
                    raise
            else:
                return


def _move_away(dist: Path, retired: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        dist.rename(retired)


def _write(contents: Mapping[str, bytes], folder: Path) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
