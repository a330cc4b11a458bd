"""Every import of the module is there, under its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host import Limits, Runtime, RuntimeImage, WasiOptions
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.images.image import frozen_of
from dotnet_wasm_host.wasm.binary import ExternKind
from dotnet_wasm_host.wasm.module import Module

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.host import Host


def imported_functions() -> list[str]:
    module = Module.parse(ArtifactStore.locate().read("dotnet.code.wasm"))
    return [i.name for i in module.imports() if i.kind is ExternKind.FUNCTION]


@pytest.fixture(scope="module")
def host() -> Host:
    return frozen_of(RuntimeImage.load()).start(Limits(), WasiOptions()).host


def test_the_published_module_has_85_imports_and_all_are_provided(host: Host) -> None:
    contract = ArtifactStore.locate().manifest.native.imports
    published = [item.partition("(")[0].partition(".")[2] for item in contract]
    assert len(published) == len(set(published)) == 85
    assert {*host.functions(), *host.deferred_functions} == set(published)
    # Only the debugger's protocol calls it, which no export starts any more.
    assert set(published) - set(imported_functions()) == {"mono_wasm_add_dbg_command_received"}


def test_a_call_that_asks_for_no_file_makes_no_file_system() -> None:
    echo = ArtifactStore.locate().read("guest/MinimalRuntime.WarmUp.dll")
    with Runtime() as runtime:
        runtime.load_assembly("echo", echo)
        assert runtime.invoke("echo", b"echo") == b"echo 4"
        assert runtime._current.guest.host._files is None


@pytest.mark.parametrize(
    "name",
    [
        "mono_wasm_invoke_js_function",
        "mono_wasm_resolve_or_reject_promise",
        "mono_wasm_get_locale_info",
        "mono_interp_invoke_wasm_jit_call_trampoline",
    ],
)
def test_imports_that_need_javascript_fail_with_their_own_name(host: Host, name: str) -> None:
    with pytest.raises(DotnetHostError, match=name):
        host.functions()[name](1, 2, 3, 4, 5)
