"""What a worker is sent of a file or folder."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.programs.directives import read_files
from dotnet_wasm_host.programs.folders import BUILD_MARKS, is_build_output
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import find_packages, read_references
from dotnet_wasm_host.programs.projects import read_project
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dotnet_wasm_host.nuget.resolving import PackageSources

__all__ = ["Upload", "read_upload"]

_OPTIONS = CompilerOptions(members=True, documentation=True)
#: Where 'dotnet-wasm-host publish' puts the function.
_PUBLISHED = "function"
_KEPT = (".dll", ".xml", *BUILD_MARKS)


class Upload(NamedTuple):
    """A body and its media type."""

    content: bytes
    media_type: str


def read_upload(
    path: Path,
    dependencies: Sequence[Path] = (),
    *,
    package_sources: PackageSources = (),
    allow_packages: Iterable[str] | None = None,
    progress: Callable[[str], object] | None = None,
) -> Upload:
    """Read a file or folder for ``PUT /functions/{id}``.

    C# of one file is compiled by the worker, a project here.

    Args:
        path: a ``.cs``, ``.dll``, ``.zip`` or ``.csproj`` file; a folder of DLLs, or of sources.
        dependencies: what a DLL or a project uses besides.
        package_sources: where packages of a project come from.
        allow_packages: ids of packages that it may use; ``None`` for all.
        progress: told what is built when the compiler is used for the first time.

    Raises:
        CompilationError: a project has errors.
        MarshallingError: it is nothing that can be deployed.
        PackageError: a package cannot be had.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        published = path / _PUBLISHED
        folder = published if published.is_dir() and (path / "guest").is_dir() else path
        if any(folder.glob("*.dll")):
            return _archive({**dict(_files(folder)), **_given(dependencies)})
        suffix = ".csproj"
    if suffix == ".csproj":
        return _project(path, dependencies, package_sources, allow_packages, progress)
    content = _read(path)
    if suffix == ".cs" and not dependencies:
        return Upload(content, "text/x-csharp; charset=utf-8")
    if suffix == ".cs":
        raise MarshallingError(
            f"{path}: a source that uses DLLs cannot be sent with them; compile it with "
            "'dotnet-wasm-host compile', and give the .dll with --dependency"
        )
    if suffix == ".zip":
        return Upload(content, "application/zip")
    if suffix != ".dll":
        raise MarshallingError(
            f"{path}: expected a .cs, .dll, .zip or .csproj file, or a folder, found another file; "
            "give one of these"
        )
    if not dependencies and not is_build_output(path):
        return Upload(content, "application/octet-stream")
    beside = dict(_files(path.parent)) if is_build_output(path) else {}
    mark = {f"{path.stem}{BUILD_MARKS[0]}": b"{}"}
    others = {name: data for name, data in beside.items() if not name.endswith(BUILD_MARKS)}
    return _archive({**others, **_given(dependencies), path.name: content, **mark})


def _project(
    path: Path,
    dependencies: Sequence[Path],
    package_sources: PackageSources,
    allow_packages: Iterable[str] | None,
    progress: Callable[[str], object] | None,
) -> Upload:
    project = read_project(path)
    files = read_files(project.texts, _OPTIONS)
    resolver = package_resolver(package_sources, allow_packages=allow_packages, progress=progress)
    found = find_packages([*project.packages, *files.packages], resolver)
    given = read_references(list(dependencies))
    name = files.assembly_name or (path.resolve().stem if path.stem else "app")
    made = CSharpCompiler.load(progress=progress).compile(
        files.texts,
        assembly_name=name,
        references=[*found.references.values(), *given.values()],
        options=files.options,
    )
    entries = {f"{each}.dll": data for each, data in {**found.libraries, **given}.items()}
    if made.documentation:
        entries[f"{name}.xml"] = made.documentation.encode()
    if not entries:
        return Upload(made.data, "application/octet-stream")
    return _archive({f"{name}.dll": made.data, f"{name}{BUILD_MARKS[0]}": b"{}", **entries})


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """DLLs, satellites in their folders, and what the SDK says of them."""
    for file in sorted((*folder.glob("*"), *folder.glob("*/*.resources.dll"))):
        if file.is_file() and file.name.lower().endswith(_KEPT):
            yield file.relative_to(folder).as_posix(), _read(file)


def _given(dependencies: Sequence[Path]) -> Mapping[str, bytes]:
    found = read_references(list(dependencies))
    return {f"{name}.dll": content for name, content in found.items()}


def _archive(entries: Mapping[str, bytes]) -> Upload:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return Upload(written.getvalue(), "application/zip")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MarshallingError(f"{path} cannot be read: {error.strerror}; give another") from error
