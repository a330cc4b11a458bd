"""A runtime, functions included, as an image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.images.image import RuntimeImage

if TYPE_CHECKING:
    from dotnet_wasm_host.images.frozen import FrozenRuntime
    from dotnet_wasm_host.runtime.capabilities import Capabilities
    from dotnet_wasm_host.runtime.compilation import Compilation
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.functions import Functions
    from dotnet_wasm_host.runtime.waiting import WaitingCalls

__all__ = ["freeze"]


def freeze(
    image: FrozenRuntime,
    current: CurrentGuest,
    functions: Functions,
    capabilities: Capabilities,
    waiting: WaitingCalls,
    compilation: Compilation | None,
    name: str | None,
    *,
    compile_now: bool,
) -> RuntimeImage:
    """An image of the guest as it is.

    Args:
        image: what the guest started from.
        current: the guest.
        functions: what is loaded.
        capabilities: what they share.
        waiting: calls that wait, of which there must be none.
        compilation: of methods that run often; ``None`` if they are not compiled.
        name: of the new image.
        compile_now: whether to compile what has run often before any instance starts.

    Raises:
        DotnetHostError: calls wait in the guest.
    """
    functions.load_all()
    if waiting.count:
        raise DotnetHostError(
            f"{waiting.count} calls wait in the runtime; take a snapshot when none does"
        )
    current.run(lambda guest: guest.rest())
    make = partial(image.freeze, current.guest, functions.frozen(), capabilities.names, name)
    if compilation is None:
        return RuntimeImage(make())
    with compilation.unlinked() as hot:
        frozen = make(hot)
    if compile_now:
        compilation.prepare(frozen)
    return RuntimeImage(frozen)
