"""What another version of the runtime package would bring, and what somebody has to look at.

``python -m runtime_artifacts.pipeline update [VERSION]`` compares it with the pinned one and
changes nothing; with ``--apply`` the pins and the contract in ``native_builds``.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import Module
from runtime_artifacts.pipeline import (
    block_copy,
    code_module,
    fetch,
    native_cut,
    native_data,
    native_module,
    replacements,
    time_zones,
    upstream,
)
from runtime_artifacts.pipeline.node import npm_command
from runtime_artifacts.pipeline.provenance import base_library_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runtime_artifacts.pipeline.build import Sources

__all__ = ["Comparison", "apply", "compare", "find_package", "opcode_names"]

#: The start of the table of names of the interpreter's instructions, which are in its order.
_FIRST_OPCODES = b"\0niy\0break\0breakpoint\0ret\0"
_MAX_OPCODE = 60
#: So many assemblies are listed by how much their size changed.
_SHOWN = 8
_NPM_TIMEOUT = 120


@dataclass(slots=True)
class Comparison:
    """What another package changes.

    Attributes:
        changes: what is different, in the order of the build.
        work: what somebody has to do before the package can be used.
        contract: of the new native module.
    """

    contract: native_module.NativeBuild
    changes: list[str] = field(default_factory=list)
    work: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        changes = self.changes or ["nothing"]
        work = self.work or ["nothing but the checks and the benchmarks"]
        return "\n".join(
            ["what changed", *(f"  {line}" for line in changes)]
            + ["", "what must be looked at (docs/artifacts.md, Moving to a new build of .NET)"]
            + [f"  {number}. {line}" for number, line in enumerate(work, 1)]
            + [""]
        )


def find_package(version: str | None) -> tuple[fetch.PinnedPackage, str]:
    """A version of the runtime package, the newest by default, and when it was published."""
    name = upstream.RUNTIME_PACKAGE
    wanted = f"{name}@{version or 'latest'}"
    command = [*npm_command(), "view", wanted, "version", "dist.integrity", "time", "--json"]
    try:
        done = subprocess.run(  # noqa: S603 - npm, with a version that the user wrote
            command, capture_output=True, timeout=_NPM_TIMEOUT, check=False
        )
        said = json.loads(done.stdout)
        package = fetch.PinnedPackage(name, str(said["version"]), str(said["dist.integrity"]))
        return package, str(said["time"][package.version])[:10]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"npm should say what {wanted} is, and did not ({error!r}); check the version and "
            "that npm reaches its registry"
        ) from error


def compare(old: upstream.RuntimeFiles, new: upstream.RuntimeFiles) -> Comparison:
    """What changes with another package."""
    before = native_module.describe(old.native, old.script)
    found = Comparison(native_module.describe(new.native, new.script))
    _compare_versions(found, before, old, new)
    _compare_contract(found, before)
    _compare_bodies(found, old.native, new.native)
    _compare_methods(found, new)
    _compare_opcodes(found, old.native, new.native)
    _compare_sizes(found, old, new)
    return found


def apply(
    sources: Sources, package: fetch.PinnedPackage, contract: native_module.NativeBuild
) -> None:
    """Pin the package, and let its contract take the place of the old one."""
    old = sources.package(package.name)
    for path in (sources.root / "package.json", sources.lock_file):
        text = path.read_text(encoding="utf-8")
        text = text.replace(f'"{old.name}": "{old.version}"', f'"{old.name}": "{package.version}"')
        if path == sources.lock_file:
            lock = json.loads(text)
            entry = lock["packages"][f"node_modules/{package.name}"]
            entry |= {"version": package.version, "integrity": package.integrity}
            text = json.dumps(lock, indent=2) + "\n"
        path.write_text(text, encoding="utf-8")
    for path in sources.known_builds.glob("*.txt"):
        path.unlink()
    path = sources.known_builds / f"{contract.dotnet_version}.txt"
    path.write_text(contract.text, encoding="utf-8")


def opcode_names(native: bytes) -> list[str]:
    """Names of the interpreter's instructions, in their order; none if they are not found."""
    memory = native_cut.initial_memory(Module.parse(native))
    start = memory.find(_FIRST_OPCODES)
    names = []
    while start >= 0:
        end = memory.find(b"\0", start + 1, start + _MAX_OPCODE)
        name = memory[start + 1 : end].decode("ascii", "replace")
        if end < 0 or not name or not name.replace(".", "").replace("_", "").isalnum():
            break
        names.append(name)
        start = end
    return names


def _compare_versions(
    found: Comparison,
    before: native_module.NativeBuild,
    old: upstream.RuntimeFiles,
    new: upstream.RuntimeFiles,
) -> None:
    version = found.contract.dotnet_version
    if version != before.dotnet_version:
        found.changes.append(f".NET {before.dotnet_version} -> {version}")
        found.work.append(f"read the release notes of .NET {version} and those before it")
        if version.split(".")[:2] != before.dotnet_version.split(".")[:2]:
            found.work.append("this is another release of .NET: look at every fact in docs/ again")
    commits = []
    for files in (old, new):
        try:
            commits.append(base_library_commit(_unwrapped(files)))
        except (ArtifactError, MalformedImage) as error:
            commits.append("?")
            found.work.append(str(error))
    if commits[0] != commits[1]:
        found.changes.append(f"commit of dotnet/dotnet {commits[0]} -> {commits[1]}")


def _unwrapped(files: upstream.RuntimeFiles) -> dict[str, bytes]:
    return {name: webcil.unwrap(content) for name, content in files.assemblies.items()}


def _compare_contract(found: Comparison, before: native_module.NativeBuild) -> None:
    for what, old, new in (
        ("import", before.imports, found.contract.imports),
        ("export", before.exports, found.contract.exports),
    ):
        gone, added = _difference(old, new)
        found.changes += [f"{what} gone: {item}" for item in gone]
        found.changes += [f"{what} new: {item}" for item in added]
        if what == "import" and added:
            found.work.append(f"implement {len(added)} new or changed imports in imports/")
        if what == "import" and gone:
            found.work.append(f"take out what implements {len(gone)} imports that are gone")
        if what == "import" and not gone and not added and old != new:
            found.changes.append("imports are in another order")
    needed = {*code_module.EXPORTS, *code_module.COMPILER_EXPORTS}
    missing, _ = _difference(before.exports, found.contract.exports)
    lost = sorted({item.partition("(")[0] for item in missing} & needed)
    if lost:
        found.work.append(f"the host calls exports that went or changed: {', '.join(lost)}")


def _difference(old: Sequence[str], new: Sequence[str]) -> tuple[list[str], list[str]]:
    return sorted(set(old) - set(new)), sorted(set(new) - set(old))


def _compare_bodies(found: Comparison, old: bytes, new: bytes) -> None:
    steps: Mapping[str, Callable[[bytes], object]] = {
        "block_copy.py: mono_gc_memmove_aligned is known by its hash": (
            lambda native: block_copy.find(Module.parse(native)) >= 0
        ),
        "native_cut.py: functions of ICU": lambda native: len(native_cut.dead_functions(native)),
        "native_data.py: bytes of ICU's tables": _bytes_of_icu,
        "code_module.py: the module splits": lambda native: bool(code_module.split(native).code),
        "time_zones.py: bytes without time zones": (
            lambda native: len(time_zones.without_time_zones(code_module.split(native).data))
        ),
    }
    for what, step in steps.items():
        before, after = (_tried(step, native) for native in (old, new))
        if before != after:
            found.changes.append(f"{what}: {before} -> {after}")
        if isinstance(after, str):
            found.work.append(f"{what.partition(':')[0]}: {after}")


def _compare_methods(found: Comparison, new: upstream.RuntimeFiles) -> None:
    names = replacements.ASSEMBLIES & new.assemblies.keys()
    framework = {n: webcil.unwrap(new.assemblies[n]) for n in names}
    for sentence in replacements.unknown(framework):
        found.changes.append(f"replacements.py: {sentence}")
        found.work.append(f"replacements.py: {sentence}")


def _bytes_of_icu(native: bytes) -> int:
    stretch = native_data.own_data(native)
    return stretch.end - stretch.start


def _tried(step: Callable[[bytes], object], native: bytes) -> object:
    try:
        return step(native)
    except MalformedModule as error:
        return str(error)


def _compare_opcodes(found: Comparison, old: bytes, new: bytes) -> None:
    before, after = opcode_names(old), opcode_names(new)
    if not after:
        found.work.append("update.py does not find the names of the interpreter's instructions")
    gone, added = _difference(before, after)
    found.changes += [f"instruction gone: {name}" for name in gone]
    found.changes += [f"instruction new: {name}" for name in added]
    if gone or added:
        found.work.append("jit/: instructions of the interpreter changed; mint.json and selection")
    elif before != after:
        found.changes.append("instructions have other numbers")


def _compare_sizes(
    found: Comparison, old: upstream.RuntimeFiles, new: upstream.RuntimeFiles
) -> None:
    if len(old.native) != len(new.native):
        found.changes.append(f"native module {len(old.native):,} -> {len(new.native):,} bytes")
    totals = [sum(map(len, files.assemblies.values())) for files in (old, new)]
    if totals[0] != totals[1]:
        found.changes.append(f"base library {totals[0]:,} -> {totals[1]:,} bytes")
    gone, added = _difference(list(old.assemblies), list(new.assemblies))
    found.changes += [f"assembly gone: {name}" for name in gone]
    found.changes += [f"assembly new: {name}" for name in added]
    if gone or added:
        found.work.append("upstream.py and the counts in tests/artifacts: assemblies came or went")
    grown = {
        name: len(new.assemblies[name]) - len(old.assemblies[name])
        for name in old.assemblies.keys() & new.assemblies.keys()
    }
    largest = sorted(grown.items(), key=lambda entry: (-abs(entry[1]), entry[0]))[:_SHOWN]
    found.changes += [f"{name} {change:+,} bytes" for name, change in largest if change]
    if any(grown.values()):
        found.work.append("sizes: python -m dotnet_wasm_host sizes --diff, budgets in images.toml")
        found.work.append("licences and NOTICE: compare with the new version's own notices")
