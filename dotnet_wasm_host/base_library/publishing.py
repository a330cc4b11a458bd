"""Publishing: a function, and the .NET that it needs, in a folder of its own.

The folder is an artifact store like the one of an installation, only smaller: the native module, a
base library trimmed to what the function reaches, the dispatcher, and the function.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.artifacts.manifest import ArtifactFile
from dotnet_wasm_host.artifacts.store import MANIFEST_NAME, ArtifactStore
from dotnet_wasm_host.assembly import MalformedImage, identify, read_dependencies
from dotnet_wasm_host.base_library.configurations import CODE, DATA, NO_TIME_ZONES, SMALL_DATA
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import MemberRefRow, TypeRefRow
from dotnet_wasm_host.ecma335.tables import MEMBER_REF_PARENT, Table
from dotnet_wasm_host.errors import ArtifactError, AssemblyLoadError
from dotnet_wasm_host.trimming import TrimmedSet, TrimOptions, trim
from dotnet_wasm_host.trimming.api_surface import ApiSurface

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from dotnet_wasm_host.assembly import DependencySource
    from dotnet_wasm_host.trimming import TrimReport

__all__ = [
    "Publication",
    "PublishedFunction",
    "TrimmedForFunctions",
    "is_publication",
    "open_published",
    "publish",
    "published_api",
    "trim_for_functions",
]

#: Describes the function in a published folder.
DESCRIPTION_NAME = "function.json"
#: Of :data:`DESCRIPTION_NAME`.
FORMAT = 1
REMEDY = "dotnet-wasm-host publish"
DISPATCHER, WARM_UP = "MinimalRuntime", "MinimalRuntime.WarmUp"
#: What functions may use beside the base library, and is trimmed like it.
LIBRARIES = ("MinimalRuntime.Http", "MinimalRuntime.Json")
LICENSES = "licenses/"
DYNAMIC_CODE = "System.Runtime.CompilerServices.RuntimeFeature.IsDynamicCodeSupported"
#: The dispatcher gives the console its input, by name: .NET's build for browsers has none.
CONSOLE = "System.Console"
CONSOLE_INPUT = """<linker><assembly fullname="System.Console"><type fullname="System.Console">
<method name="SetIn" /><property name="In" accessors="get" />
</type></assembly></linker>"""
READS_CONSOLE = frozenset({"get_In", "Read", "ReadLine", "ReadKey"})
#: Namespaces of code that makes code: only with it does dynamic code have to be supported.
MAKES_CODE = ("System.Reflection.Emit", "System.Linq.Expressions", "Microsoft.CSharp")


@final
@dataclass(frozen=True, slots=True)
class PublishedFunction:
    """The function in a published folder.

    Attributes:
        function_id: the id it is loaded under.
        handler_type: full name of its handler, ``""`` for the first one of the assembly.
        assembly: content of its assembly.
        dependencies: contents of the assemblies it brought.
    """

    function_id: str
    handler_type: str
    assembly: bytes
    dependencies: tuple[bytes, ...]


@final
@dataclass(frozen=True, slots=True)
class Publication:
    """What was published.

    Attributes:
        folder: where.
        files: name to size in bytes of every file that is needed to run.
        report: what the trimmer did.
        unresolved: what dependencies refer to and nobody has; code that uses it throws.
    """

    folder: Path
    files: Mapping[str, int]
    report: TrimReport
    unresolved: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Size of everything that is needed to run."""
        return sum(self.files.values())


@final
@dataclass(frozen=True, slots=True)
class TrimmedForFunctions:
    """.NET as much of it as functions reach, and these.

    Attributes:
        trimmed: what is left, the functions, their dependencies and the sample of the warm-up
            among it.
        own: simple name to content of the functions' assemblies, which are the first, and of
            their dependencies.
        unresolved: what dependencies refer to and nobody has; code that uses it throws.
    """

    trimmed: TrimmedSet = field(repr=False)
    own: Mapping[str, bytes] = field(repr=False)
    unresolved: tuple[str, ...]

    def library(self) -> dict[str, bytes]:
        """File name to content of what the functions need beside their own assemblies."""
        return self.trimmed.files(without=(WARM_UP, *self.own))


def trim_for_functions(
    functions: Mapping[str, bytes],
    *,
    dependencies: tuple[bytes, ...] = (),
    features: Mapping[str, bool] | None = None,
    descriptors: tuple[tuple[str, str | bytes], ...] = (),
    strict: bool = False,
    progress: Callable[[str], object] | None = None,
) -> TrimmedForFunctions:
    """Trim .NET for functions, by id; arguments and errors are those of :func:`publish`.

    Assemblies of several functions that have a name in common are one.
    """
    names = {function_id: _name(function_id, content) for function_id, content in functions.items()}
    first = next(iter(names))
    own = {names[function_id]: content for function_id, content in functions.items()}
    own.update({_name(first, content): content for content in dependencies})
    trimmed = _trim(ArtifactStore.locate(), own, features or {}, descriptors, progress)
    for function_id, name in names.items():
        _refuse_unresolved(function_id, _unresolved(trimmed, own if strict else (name,)))
    others = own.keys() - names.values()
    return TrimmedForFunctions(trimmed, own, _unresolved(trimmed, others))


def _name(function_id: str, content: bytes) -> str:
    try:
        return identify(content).name
    except MalformedImage as error:
        raise AssemblyLoadError(
            function_id,
            "System.BadImageFormatException",
            f"not a .NET assembly: {error}; give a .dll of .NET",
        ) from error


def _libraries(function_id: str, dependencies: DependencySource) -> tuple[bytes, ...]:
    """Contents of dependencies, without satellites, which have a culture before their name."""
    try:
        found = read_dependencies(dependencies)
    except (MalformedImage, OSError) as error:
        raise AssemblyLoadError(
            function_id,
            "System.BadImageFormatException",
            f"a dependency cannot be used: {error}; give a .dll of .NET",
        ) from error
    return tuple(content for name, content in found.items() if "/" not in name)


def publish(
    function: bytes,
    folder: Path,
    *,
    function_id: str,
    handler_type: str = "",
    dependencies: DependencySource = (),
    features: Mapping[str, bool] | None = None,
    descriptors: tuple[tuple[str, str | bytes], ...] = (),
    strict: bool = False,
    progress: Callable[[str], object] | None = None,
) -> Publication:
    """Trim .NET for a function and write both into a folder.

    Args:
        function: the assembly with the handler.
        folder: made if it is not there; what an earlier publication left in it is replaced.
        function_id: id that the function has in the image.
        handler_type: full name of the handler, if there are several.
        dependencies: assemblies that the function brings, kept whole as it is: a file, a folder, a
            ``.nupkg``, or a list of these and of assemblies as values, as ``load_assembly`` takes
            them. Satellites stay behind.
        features: feature switches, as :class:`~dotnet_wasm_host.trimming.TrimOptions` has them.
        descriptors: descriptor files that keep what the function reaches by reflection alone.
        strict: refuse what dependencies refer to and nobody has, too. Otherwise that is in
            :attr:`Publication.unresolved`: libraries refer to much that a function never reaches.
        progress: told what takes longer than a moment.

    Raises:
        AssemblyLoadError: the function or a dependency is no .NET assembly; or the function, with
            ``strict`` a dependency, uses what is neither in .NET nor a dependency.
        DescriptorError: a descriptor cannot be read or names what does not exist.
        ArtifactError: the folder has something else in it, or cannot be written.
    """
    store = ArtifactStore.locate()
    _refuse_other_files(folder)
    result = trim_for_functions(
        {function_id: function},
        dependencies=_libraries(function_id, dependencies),
        features=features,
        descriptors=descriptors,
        strict=strict,
        progress=progress,
    )
    trimmed, own = result.trimmed, result.own
    data = SMALL_DATA if (features or {}).get(NO_TIME_ZONES, True) else DATA
    files = {name: store.read(name) for name in (CODE, data, *store.names(LICENSES))}
    for name, content in trimmed.assemblies.items():
        if name in {DISPATCHER, WARM_UP}:
            files[f"guest/{name}.dll"] = content
        elif name in own:
            files[f"function/{name}.dll"] = content
        else:
            files[f"framework/{name}.webcil"] = content
    files[DESCRIPTION_NAME] = _describe(function_id, handler_type, own)
    _write(store, folder, files)
    sizes = {name: len(content) for name, content in files.items() if not _is_aside(name)}
    return Publication(folder, MappingProxyType(sizes), trimmed.report, result.unresolved)


def _is_aside(name: str) -> bool:
    """Files that nothing needs when the function runs."""
    return name.startswith(LICENSES) or name == f"guest/{WARM_UP}.dll"


def _trim(
    store: ArtifactStore,
    own: Mapping[str, bytes],
    features: Mapping[str, bool],
    descriptors: tuple[tuple[str, str | bytes], ...],
    progress: Callable[[str], object] | None,
) -> TrimmedSet:
    assemblies = {Path(name).stem: store.read(name) for name in store.names("framework/")}
    for name in (DISPATCHER, WARM_UP, *LIBRARIES):
        assemblies[name] = store.read(f"guest/{name}.dll")
    assemblies.update(own)
    makes_code = any(_makes_code(content) for content in own.values())
    if any(_reads_console(content) for content in own.values()):
        descriptors = (*descriptors, ("console input", CONSOLE_INPUT))
    options = TrimOptions(
        roots=(DISPATCHER, WARM_UP, *own),
        features={DYNAMIC_CODE: makes_code, **features},
        descriptors=descriptors,
    )
    return trim(assemblies, options, progress=progress)


def _makes_code(assembly: bytes) -> bool:
    metadata = Metadata(assembly)
    spaces = {metadata.string(space) for _, _, space in metadata.rows(Table.TYPE_REF)}
    return any(space.startswith(MAKES_CODE) for space in spaces)


def _reads_console(assembly: bytes) -> bool:
    metadata = Metadata(assembly)
    for member in metadata.rows(MemberRefRow):
        table, row = MEMBER_REF_PARENT.split(member.parent)
        if table is Table.TYPE_REF and metadata.string(member.name) in READS_CONSOLE:
            owner = metadata.row(TypeRefRow, row)
            name = f"{metadata.string(owner.namespace)}.{metadata.string(owner.name)}"
            if name == CONSOLE:
                return True
    return False


def _unresolved(trimmed: TrimmedSet, names: Collection[str]) -> tuple[str, ...]:
    """References of assemblies of these names that no assembly satisfies."""
    references = (text.rpartition(" of ") for text in trimmed.report.unresolved)
    return tuple(reference for reference, _, name in references if name in names)


def _refuse_unresolved(function_id: str, missing: tuple[str, ...]) -> None:
    """Refuse what would fail at run time, maybe late."""
    if missing:
        raise AssemblyLoadError(
            function_id,
            "System.MissingMemberException",
            f"it uses {_some(missing)}, which neither .NET nor its dependencies have; give the "
            "assembly that has it as a dependency, or leave strict out",
        )


def _some(names: tuple[str, ...], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _describe(function_id: str, handler_type: str, own: Mapping[str, bytes]) -> bytes:
    assembly, *dependencies = own
    description = {
        "format": FORMAT,
        "function_id": function_id,
        "handler_type": handler_type,
        "assembly": assembly,
        "dependencies": dependencies,
    }
    return (json.dumps(description, indent=1) + "\n").encode()


def _write(store: ArtifactStore, folder: Path, files: Mapping[str, bytes]) -> None:
    entries = {
        name: ArtifactFile(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in files.items()
    }
    manifest = replace(store.manifest, files=MappingProxyType(entries))
    try:
        _clear(folder)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        # Last: a folder without its manifest is not taken for a publication.
        (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be written: {error}; choose another folder"
        ) from error


def _refuse_other_files(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file; choose a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / DESCRIPTION_NAME).is_file():
        raise ArtifactError(f"{folder} is not empty and no publication; choose another folder")


def _clear(folder: Path) -> None:
    """Take out an earlier publication."""
    if not (folder / MANIFEST_NAME).is_file():
        return
    old = ArtifactStore.open(folder, REMEDY)
    (folder / MANIFEST_NAME).unlink()
    for name in old.names():
        (folder / name).unlink(missing_ok=True)


def is_publication(path: Path) -> bool:
    """Whether a path is a folder that :func:`publish` wrote."""
    return (path / DESCRIPTION_NAME).is_file() and (path / MANIFEST_NAME).is_file()


def open_published(folder: Path) -> tuple[ArtifactStore, PublishedFunction]:
    """The artifacts in a published folder, and the function.

    Raises:
        ArtifactError: not a publication, damaged, or of a host that its native module does not
            fit.
    """
    store = ArtifactStore.open(folder, REMEDY)
    installed = ArtifactStore.locate()
    if store.manifest.native.imports_sha256 != installed.manifest.native.imports_sha256:
        raise ArtifactError(
            f"{folder} was published with .NET {store.manifest.dotnet_version} for another version "
            "of dotnet_wasm_host; publish it again with this one"
        )
    content = store.read(DESCRIPTION_NAME)
    try:
        description: dict[str, Any] = json.loads(content)
        if description["format"] != FORMAT:
            raise ValueError(f"format {description['format']} is not {FORMAT}")
        names = [description["assembly"], *description["dependencies"]]
        assembly, *dependencies = (store.read(f"function/{name}.dll") for name in names)
        function = PublishedFunction(
            str(description["function_id"]),
            str(description["handler_type"]),
            assembly,
            tuple(dependencies),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{folder / DESCRIPTION_NAME} is damaged: {error}; publish it again"
        ) from error
    return store, function


def published_api(name: str, read: Callable[[], Mapping[str, bytes]]) -> ApiSurface:
    """What a published image has for other functions; ``read`` gives its assemblies."""
    base_library = {Path(path).stem for path in ArtifactStore.locate().names("framework/")}
    return ApiSurface(name, read, base_library)
