"""What a failed call leaves behind while nobody collects garbage: nothing."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.imports.host import Host
from tests.garbage import no_garbage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

# wasmer keeps the traceback of what a callback raised in a cycle of its own.
pytestmark = pytest.mark.needs("calls that leave the collector nothing")
SOURCE = """
using System; using System.Text; using System.Threading; using System.Threading.Tasks;
public sealed class Dying : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        if (input.Length == 0) while (true) { }
        Environment.Exit(3);
        return [];
    }
}
public sealed class Waiting : MinimalRuntime.IAsyncFunctionHandler {
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token) {
        await Task.Delay(1);
        if (input.Length == 0) while (true) { }
        if (input.Length == 1) Environment.Exit(3);
        if (input.Length == 2) throw new InvalidOperationException("x");
        if (input.Length == 4) return [];
        await Task.Delay(-1, CancellationToken.None);
        return [];
    }
}
"""  # noqa: E501 - C#


@pytest.fixture(scope="module")
def assembly(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(SOURCE)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Host]]]:
    """Instances that were made, while garbage is not collected."""
    made: list[weakref.ref[Host]] = []
    initialise = Host.__init__

    def register(self: Host, *arguments: object, **options: object) -> None:
        made.append(weakref.ref(self))
        initialise(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Host, "__init__", register)
    gc.collect()
    gc.disable()
    try:
        yield made
    finally:
        gc.enable()


@pytest.mark.parametrize("isolation", dwh.Isolation)
@pytest.mark.parametrize("payload", [b"", b"1"])
def test_failed_calls_leave_no_garbage(
    image: dwh.RuntimeImage, assembly: dwh.Assembly, isolation: dwh.Isolation, payload: bytes
) -> None:
    limits = dwh.Limits(crash_limit=None)
    with dwh.RuntimePool(size=1, image=image, limits=limits, isolation=isolation) as pool:
        pool.load_assembly("f", assembly, handler_type="Dying")

        def fail() -> None:
            for _ in range(2):
                with pytest.raises(dwh.DotnetHostError):
                    pool.invoke("f", payload, timeout=0.05)

        fail()
        with no_garbage():
            fail()


@pytest.mark.parametrize(
    ("handler", "payload"),
    [("Dying", b""), ("Dying", b"1"), ("Waiting", b""), ("Waiting", b"1"), ("Waiting", b"22"),
     ("Waiting", b"333"), ("Waiting", b"4444")],
)  # fmt: skip
def test_awaited_calls_leave_no_garbage(
    image: dwh.RuntimeImage, assembly: dwh.Assembly, handler: str, payload: bytes
) -> None:
    """Neither those that fail nor one that does not."""
    limits = dwh.Limits(cancellation_grace=0.05, crash_limit=None)
    with dwh.RuntimePool(size=1, image=image, limits=limits) as pool:
        pool.load_assembly("f", assembly, handler_type=handler)

        async def fail() -> None:
            for _ in range(2):
                with suppress(dwh.DotnetHostError):
                    await pool.invoke_async("f", payload, timeout=0.05)
            await asyncio.sleep(0.05)  # a thread of the pool may be about to let go

        async def main() -> None:
            await fail()
            with no_garbage():
                await fail()

        asyncio.run(main())


@pytest.mark.parametrize("awaited", [True, False])
@pytest.mark.parametrize(
    ("handler", "payload"),
    [("Dying", b""), ("Dying", b"1"), ("Waiting", b""), ("Waiting", b"1"), ("Waiting", b"22"),
     ("Waiting", b"333")],
)  # fmt: skip
def test_failed_calls_let_their_instances_go(
    image: dwh.RuntimeImage,
    assembly: dwh.Assembly,
    hosts: list[weakref.ref[Host]],
    handler: str,
    payload: bytes,
    *,
    awaited: bool,
) -> None:
    limits = dwh.Limits(cancellation_grace=0.05, crash_limit=None)
    with dwh.RuntimePool(size=1, image=image, limits=limits) as pool:
        pool.load_assembly("f", assembly, handler_type=handler)

        async def fail() -> None:
            for _ in range(5):
                with pytest.raises(dwh.DotnetHostError):
                    await pool.invoke_async("f", payload, timeout=0.05)

        if awaited:
            asyncio.run(fail())
        else:
            for _ in range(5):
                with pytest.raises(dwh.DotnetHostError):
                    pool.invoke("f", payload, timeout=0.05)
    # A thread of the pool may be about to let the last one go.
    until = time.monotonic() + 5
    while any(host() is not None for host in hosts) and time.monotonic() < until:
        time.sleep(0.01)
    assert hosts
    assert [host() for host in hosts if host() is not None] == []
