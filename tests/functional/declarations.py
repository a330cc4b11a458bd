"""Tests on a trimmed image: a function that needs what the image does not declare skips its test.

Nothing but that skips one. What a function misses has to be outside of what the image's descriptors
declare, and has to stand in the references of the function's own assemblies, or of assemblies that
were added for it. If code of the image itself misses something, the trimmer took too much and the
test fails; so it does if the image declares what is missing, and if anything crashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn, final

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import abi
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import TRIMMED_IMAGES, read_configurations
from dotnet_wasm_host.base_library.missing_api import (
    ApiReference,
    MissingApiAdvice,
    MissingPart,
    declares,
    missing_reference,
)
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import AssemblyRefRow, MemberRefRow, TypeRefRow
from dotnet_wasm_host.guest.error_translator import ErrorTranslator
from dotnet_wasm_host.guest.guest import Guest
from dotnet_wasm_host.guest.loading import load_capability as guest_load_capability
from dotnet_wasm_host.guest.loading import load_function
from dotnet_wasm_host.images.frozen import FrozenRuntime
from dotnet_wasm_host.runtime import loading

#: How reasons of skips begin.
NOT_DECLARED = "not declared: "
#: ECMA-335 II.22.38: the resolution scope of a nested type is a TypeRef, tag 3.
_NESTED, _TAG_BITS = 3, 2


@final
class References:
    """Names of what assemblies refer to outside of themselves."""

    def __init__(self, images: Iterable[bytes]) -> None:
        self.assemblies: set[str] = set()
        self.types: set[str] = set()
        self.members: set[str] = set()
        for image in images:
            self._add(Metadata(image))

    def __contains__(self, reference: ApiReference) -> bool:
        if not reference.type:
            return reference.assembly in self.assemblies
        name = reference.type.replace("+", "/")
        return name in self.types and (not reference.member or reference.member in self.members)

    def _add(self, metadata: Metadata) -> None:
        self.assemblies |= {metadata.string(row.name) for row in metadata.rows(AssemblyRefRow)}
        self.members |= {metadata.string(row.name) for row in metadata.rows(MemberRefRow)}
        rows = metadata.rows(TypeRefRow)
        for row in rows:
            self.types.add(self._type_name(metadata, row))

    def _type_name(self, metadata: Metadata, row: tuple[int, ...]) -> str:
        scope, name, namespace = row
        text = metadata.string(name)
        if scope & ((1 << _TAG_BITS) - 1) == _NESTED:
            enclosing = metadata.row(TypeRefRow, scope >> _TAG_BITS)
            return f"{self._type_name(metadata, enclosing)}/{text}"
        return f"{metadata.string(namespace)}.{text}" if namespace else text


@final
class Declarations:
    """Decides which errors mean that a test needs more than the image declares."""

    def __init__(self, image: str) -> None:
        self._store = ArtifactStore.locate()
        self._configuration = read_configurations(self._store)[image]
        #: By id: what was loaded under it last.
        self.functions: dict[str, References] = {}
        #: False for tests that are about errors of their functions.
        self.may_skip = True
        self.capabilities: dict[str, References] = {}

    def judge(self, function_id: str, reference: ApiReference, added: Iterable[str]) -> None:
        """Skip the test, or say nothing: then the error is what the test gets to see."""
        if not self.may_skip or self.is_declared(reference):
            return
        of_added = References(self._store.read(f"framework/{name}.webcil") for name in added)
        known = [of_added, *self.capabilities.values()]
        if function_id in self.functions:
            known.append(self.functions[function_id])
        if any(reference in references for references in known):
            skip(str(reference))

    def is_declared(self, reference: ApiReference) -> bool:
        return declares(self._configuration, reference)


def skip(what: str) -> NoReturn:
    pytest.skip(NOT_DECLARED + what)


@contextmanager
def skipping_what_is_not_declared(image: str) -> Iterator[Declarations | None]:
    """Where a guest says what it misses, skip the test if that is all there is to it."""
    if image not in TRIMMED_IMAGES:
        yield None
        return
    declarations = Declarations(image)
    with pytest.MonkeyPatch.context() as patch:
        _remember_loads(declarations, patch)
        _judge_calls(declarations, patch)
        _judge_capabilities(declarations, patch)
        yield declarations


def _remember_loads(declarations: Declarations, patch: pytest.MonkeyPatch) -> None:
    load, load_capability = load_function, guest_load_capability

    def load_and_remember(
        guest: Guest,
        function_id: str,
        image: bytes,
        dependencies: Iterable[tuple[str, bytes]],
        handler_type: str,
        symbols: Iterable[tuple[str, bytes]] = (),
    ) -> abi.LoadReport:
        dependencies = tuple(dependencies)
        images = [image, *(content for _, content in dependencies)]
        declarations.functions[function_id] = References(images)
        return load(guest, function_id, image, dependencies, handler_type, symbols)

    def load_capability_and_remember(
        guest: Guest,
        name: str,
        image: bytes,
        dependencies: Iterable[tuple[str, bytes]],
        symbols: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        dependencies = tuple(dependencies)
        images = [image, *(content for _, content in dependencies)]
        declarations.capabilities[name] = References(images)
        load_capability(guest, name, image, dependencies, symbols)

    patch.setattr(loading, "load_function", load_and_remember)
    patch.setattr(loading, "load_capability", load_capability_and_remember)


def _judge_calls(declarations: Declarations, patch: pytest.MonkeyPatch) -> None:
    missing, unresolved = ErrorTranslator._missing, MissingApiAdvice.unresolved

    def missing_and_judged(
        self: ErrorTranslator, function_id: str, error: abi.RemoteException
    ) -> MissingPart | None:
        part = missing(self, function_id, error)
        reference = missing_reference(error)
        if part is not None and reference is not None:
            declarations.judge(function_id, reference, self._needs.added)
        return part

    def unresolved_and_judged(
        self: MissingApiAdvice, own: Iterable[bytes], added: Iterable[str]
    ) -> list[ApiReference]:
        references = unresolved(self, own, added)
        declared = any(declarations.is_declared(r) for r in references)
        if references and not declared and declarations.may_skip:
            skip(str(references[0]))
        return references

    patch.setattr(ErrorTranslator, "_missing", missing_and_judged)
    patch.setattr(MissingApiAdvice, "unresolved", unresolved_and_judged)


def _judge_capabilities(declarations: Declarations, patch: pytest.MonkeyPatch) -> None:
    require = FrozenRuntime.require

    def require_or_skip(self: FrozenRuntime, assembly: str, wanted_by: str) -> None:
        try:
            require(self, assembly, wanted_by)
        except dwh.AssemblyLoadError:
            if declarations.is_declared(ApiReference(assembly)):
                raise
            skip(assembly)

    patch.setattr(FrozenRuntime, "require", require_or_skip)
