"""The command line of the pipeline."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import (
    adapter,
    fetch,
    native_module,
    unicode_data,
    update,
    upstream,
)
from runtime_artifacts.pipeline.build import Sources, build
from runtime_artifacts.pipeline.progress import note

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 1 after an :class:`ArtifactError`."""
    options = _parser().parse_args(arguments)
    sources = Sources.of_checkout()
    try:
        _run(options, sources)
    except ArtifactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime_artifacts.pipeline",
        description="Make the .NET artifacts from the pinned upstream packages.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = False
    parser.set_defaults(command="build", force=False)
    build_parser = commands.add_parser("build", help="bring runtime_artifacts/dist up to date")
    build_parser.add_argument("--force", action="store_true", help="build even if up to date")
    commands.add_parser("fetch", help="fetch and verify the upstream packages")
    commands.add_parser("verify", help="check every file of runtime_artifacts/dist")
    commands.add_parser("signatures", help="check who signed the files of dist, and when")
    guest_parser = commands.add_parser("guest", help="compile the guest's C# into guest/bin")
    guest_parser.add_argument("--check", action="store_true", help="only say what is stale")
    commands.add_parser("adapter", help="compile the adapter's C into adapter/adapter.wasm")
    commands.add_parser("unicode", help="write what the guest's C# has of Unicode")
    update_parser = commands.add_parser("update", help="say what another version of .NET changes")
    update_parser.add_argument(
        "version", nargs="?", help="of the npm package; the newest if left out"
    )
    update_parser.add_argument("--apply", action="store_true", help="pin it, too")
    commands.add_parser("describe", help="print the contract of the fetched native module")
    return parser


def _run(options: argparse.Namespace, sources: Sources) -> None:
    if options.command == "fetch":
        for package in fetch.read_lock(sources.lock_file):
            note(f"{package}: {fetch.fetch(package, sources.cache)}")
    elif options.command == "verify":
        store = ArtifactStore.open(sources.dist)
        files = list(store.verify())
        note(f"{len(files)} files, {sum(file.size for file in files):,} bytes, all intact")
    elif options.command == "signatures":
        _verify_signatures(sources)
    elif options.command == "guest":
        _build_guest(sources, check=options.check)
    elif options.command == "adapter":
        sources.adapter.write_bytes(adapter.compile_adapter())
        build(sources)
    elif options.command == "unicode":
        changed = unicode_data.write_sources(sources.platform, sources.cache)
        note(f"{', '.join(changed) or 'nothing'} changed in {sources.platform}")
    elif options.command == "update":
        _update(sources, options.version, pin=options.apply)
    elif options.command == "describe":
        runtime = upstream.read_runtime(sources.fetch(upstream.RUNTIME_PACKAGE))
        sys.stdout.write(native_module.describe(runtime.native, runtime.script).text)
    else:
        manifest = build(sources, force=options.force)
        note(
            f".NET {manifest.dotnet_version}, Roslyn {manifest.roslyn_version}: "
            f"{len(manifest.files)} files in {sources.dist}"
        )


def _verify_signatures(sources: Sources) -> None:
    # Its libraries are in the extra "test"; the other commands do without.
    from runtime_artifacts.pipeline import authenticode

    store = ArtifactStore.open(sources.dist)
    signatures = authenticode.verify_store(store, authenticode.read_roots(sources.trust))
    for name, signature in signatures.items():
        note(f"{name}: {signature.signer}, {signature.time:%Y-%m-%d %H:%M} UTC, {signature.root}")


def _update(sources: Sources, version: str | None, *, pin: bool) -> None:
    pinned = sources.package(upstream.RUNTIME_PACKAGE)
    package, published = update.find_package(version)
    print(f"pinned: {pinned}; asked for: {package}, published on {published}\n")
    if package == pinned:
        print("nothing to do")
        return
    old, new = (
        upstream.read_runtime(fetch.fetch(each, sources.cache)) for each in (pinned, package)
    )
    comparison = update.compare(old, new)
    sys.stdout.write(comparison.text())
    if pin:
        update.apply(sources, package, comparison.contract)
        print(f"\n{package} is pinned; build with 'python -m runtime_artifacts.pipeline'")


def _build_guest(sources: Sources, *, check: bool) -> None:
    # The compiler runs on an engine, which the other commands do without.
    from runtime_artifacts.pipeline.guest import BIN, build_guest, stale_files

    try:
        build(sources)
    except ArtifactError as error:
        # What is woven into the base library may be older than the list of what it replaces.
        if not sources.dist.is_dir():
            raise
        note(f"compiling with what is in dist: {error}")
    built = build_guest()
    stale = stale_files(built)
    if check and stale:
        raise ArtifactError(
            f"{', '.join(stale)} in {BIN} are not what their sources compile to; "
            "run 'python -m runtime_artifacts.pipeline guest'"
        )
    for name in stale:
        target = BIN / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(built[name])
        note(f"guest/bin/{name}: {len(built[name])} bytes, changed")
    note(f"{len(built)} guest assemblies, {len(stale)} changed")
    build(sources)
