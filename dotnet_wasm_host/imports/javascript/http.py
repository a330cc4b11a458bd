"""``System.Net.Http.HttpClient``: the functions that its handler expects of a browser.

``BrowserHttpHandler`` of .NET 10 makes a controller for each request, fetches with it, and reads
the response from it (``src/mono/browser/runtime/http.ts`` of dotnet/runtime has the browser's
side of the contract). Here the work is done by :mod:`dotnet_wasm_host.fetch`, on the thread of
an :class:`~dotnet_wasm_host.fetch.access.HttpAccess`; the guest sees promises.

Unlike a browser: redirects that are not to be followed are ordinary responses, and bodies are
streamed both ways over HTTP/1.1.
"""

from __future__ import annotations

import weakref
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, final

from dotnet_wasm_host.errors import HttpPolicyError, LimitExceeded
from dotnet_wasm_host.imports.javascript.js_objects import InGuest, JsError, JsObject

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from typing_extensions import Unpack

    from dotnet_wasm_host.fetch.access import HttpAccess
    from dotnet_wasm_host.fetch.exchange import Exchange
    from dotnet_wasm_host.fetch.tenant import HttpTenant
    from dotnet_wasm_host.imports.base import Caller, JsFunction, JsModule
    from dotnet_wasm_host.imports.javascript.js_objects import MemoryView
    from dotnet_wasm_host.options import HttpPolicy

    #: URL, names and values of the headers, names and values of the options.
    Request = tuple[str, list[str], list[str], list[str], list[object]]

__all__ = ["http_access", "http_module", "http_tenant"]

T = TypeVar("T")

#: What .NET takes for "the request failed; ask the fetch why".
_WRITE_FAILED = "Error: BrowserHttpWriteStream.Rejected"
_NO_POLICY = (
    "HTTP is refused: this runtime has no HTTP; give it Runtime(http=HttpPolicy(allowed_hosts=...))"
)


def http_access(policy: HttpPolicy) -> HttpAccess:
    """What carries out requests. ExtraNotInstalled without httpx."""
    # asyncio is a third of what importing the whole package costs.
    from dotnet_wasm_host.fetch.access import HttpAccess

    return HttpAccess(policy)


def http_tenant(access: HttpAccess) -> HttpTenant:
    """The only tenant of an access."""
    from dotnet_wasm_host.fetch.tenant import HttpTenant

    return HttpTenant(access)


def http_module(access: HttpTenant | None) -> JsModule:
    """The functions of ``HttpClient`` for a tenant; without one every request is refused."""
    return lambda caller: _Functions(caller, access).functions()


_NOTHING = memoryview(b"")


class Controller(JsObject):
    """One request of managed code: a ``JSObject`` there. Its end is the request's."""

    __slots__ = ("_started", "buffer", "exchange", "rest")

    def __init__(self) -> None:
        super().__init__()
        self.exchange: Exchange | None = None
        #: A whole response body, and the part of a streamed one that was not taken yet.
        self.buffer: memoryview = _NOTHING
        self.rest: memoryview = _NOTHING
        # Made late: a guest makes thousands of controllers and starts nothing.
        self._started: weakref.WeakSet[Future[Any]] | None = None

    @property
    def started(self) -> weakref.WeakSet[Future[Any]]:
        """What runs for it; to be cancelled with it."""
        if self._started is None:
            self._started = weakref.WeakSet()
        return self._started


@final
class _Functions:
    def __init__(self, caller: Caller, access: HttpTenant | None) -> None:
        self._caller = caller
        self._access = access

    def functions(self) -> Mapping[str, JsFunction]:
        """Name to function, as managed code binds them."""
        offered: dict[str, JsFunction] = {
            "supports_streaming_request": lambda: True,
            "supports_streaming_response": lambda: True,
            "create_controller": Controller,
            "abort": self.abort,
            "fetch": self.fetch,
            "fetch_bytes": self.fetch_bytes,
            "fetch_stream": self.fetch_stream,
            "transform_stream_write": self.write,
            "transform_stream_close": self.end_of_body,
            "get_response_type": self.response_type,
            "get_response_status": self.response_status,
            "get_response_header_names": self.header_names,
            "get_response_header_values": self.header_values,
            "get_response_length": self.response_length,
            "get_response_bytes": self.response_bytes,
            "get_streamed_response_bytes": self.streamed_bytes,
        }
        return {f"INTERNAL.http_wasm_{name}": f for name, f in offered.items()}

    # ---------------------------------------------------------------- the request

    def fetch(self, controller: Controller, *request: Unpack[Request]) -> Future[None]:
        """Send a request without a body; done when there is a response."""
        return self._send(controller, request)

    def fetch_bytes(
        self, controller: Controller, *request_and_body: Unpack[tuple[Unpack[Request], int, int]]
    ) -> Future[None]:
        """The same, with a body that is complete: its address and size come last."""
        pointer, length = request_and_body[5:]
        request = request_and_body[:5]
        return self._with(pointer, length, lambda body: self._send(controller, request, body))

    def fetch_stream(self, controller: Controller, *request: Unpack[Request]) -> Future[None]:
        """The same, with a body that is written while it is sent."""
        return self._send(controller, request, streamed=True)

    def _send(
        self,
        controller: Controller,
        request: Request,
        body: bytes | None = None,
        *,
        streamed: bool = False,
    ) -> Future[None]:
        access = self._access
        if access is None:
            raise JsError(_NO_POLICY)
        # httpx is imported with the first request.
        from dotnet_wasm_host.fetch.exchange import Exchange, Outgoing

        url, header_names, header_values, option_names, option_values = request
        options = dict(zip(option_names, option_values, strict=True))
        outgoing = Outgoing(
            method=str(options.get("method", "GET")),
            url=url,
            header_names=header_names,
            header_values=header_values,
            redirect=str(options.get("redirect", "follow")),
            body=body,
        )
        exchange = controller.exchange = Exchange(access)
        if streamed:
            exchange.stream_body()
        # The guest drops the controller, or the instance goes with all that it holds.
        weakref.finalize(controller, _let_go, access, exchange, controller.started).atexit = False
        return self._start(controller, exchange.send(outgoing))

    def write(self, controller: Controller, pointer: int, length: int) -> Future[None]:
        """A piece of the body; done when there is room for the next."""
        return self._with(pointer, length, lambda data: self._write(controller, data))

    def end_of_body(self, controller: Controller) -> Future[None]:
        """The body is complete."""
        return self._write(controller, None)

    def _with(
        self, pointer: int, length: int, start: Callable[[bytes], Future[None]]
    ) -> Future[None]:
        """Begin something with a copy of what the guest has there, counted until it has ended."""
        access = self._access
        if access is None:
            raise JsError(_NO_POLICY)
        # What is no memory of the guest's ends here, before it is counted.
        self._caller.memory.require(pointer, length)
        try:
            access.hold(length)
        except HttpPolicyError as error:
            raise JsError(str(error)) from error
        try:
            work = start(self._caller.memory.read(pointer, length))
        except BaseException:
            access.free(length)
            raise
        work.add_done_callback(lambda _: access.free(length))
        return work

    def _write(self, controller: Controller, data: bytes | None) -> Future[None]:
        exchange = _exchange(controller)
        return self._start(controller, _written(exchange, data))

    # ---------------------------------------------------------------- the response

    def response_type(self, controller: Controller) -> str | None:
        """What kind of response a browser would call it."""
        return "basic" if _exchange(controller).status else None

    def response_status(self, controller: Controller) -> int:
        """Its status code, 0 without a response."""
        return _exchange(controller).status

    def header_names(self, controller: Controller) -> list[str]:
        """Names of its headers, one for each value."""
        return [name for name, _ in _exchange(controller).headers]

    def header_values(self, controller: Controller) -> list[str]:
        """Values of its headers."""
        return [value for _, value in _exchange(controller).headers]

    def response_length(self, controller: Controller) -> Future[int]:
        """Read all of the body; its length."""
        exchange = _exchange(controller)

        async def read_all() -> InGuest:
            data = await exchange.read_all()

            def keep() -> int:
                controller.buffer = memoryview(data)
                return len(data)

            return InGuest(keep)

        return self._start(controller, read_all())  # type: ignore[arg-type]

    def response_bytes(self, controller: Controller, view: MemoryView) -> int:
        """Copy what was read; 0 when all of it was taken."""
        taken = controller.buffer[: view.length]
        view.write(taken)
        controller.buffer = controller.buffer[len(taken) :]
        if not controller.buffer:
            _exchange(controller).free()
        return len(taken)

    def streamed_bytes(self, controller: Controller, pointer: int, length: int) -> Future[int]:
        """Read some of the body; 0 at its end."""
        if controller.rest:
            ready: Future[int] = Future()
            ready.set_result(self._take(controller, pointer, length))
            return ready
        exchange = _exchange(controller)

        async def read() -> InGuest:
            data = await exchange.read()

            def take() -> int:
                controller.rest = memoryview(data)
                return self._take(controller, pointer, length)

            return InGuest(take)

        return self._start(controller, read())  # type: ignore[arg-type]

    def _take(self, controller: Controller, pointer: int, length: int) -> int:
        taken = controller.rest[:length]
        self._caller.memory.write(pointer, taken)
        controller.rest = controller.rest[len(taken) :]
        return len(taken)

    # ---------------------------------------------------------------- the end

    def abort(self, controller: Controller) -> None:
        """The guest wants no more of it."""
        if controller.exchange is not None and self._access is not None:
            _let_go(self._access, controller.exchange, controller.started)

    def _start(self, controller: Controller, work: Coroutine[Any, Any, T]) -> Future[T]:
        assert self._access is not None
        try:
            started = self._access.submit(_said(work))
        except BaseException:
            work.close()
            raise
        controller.started.add(started)
        return started


def _exchange(controller: Controller) -> Exchange:
    if controller.exchange is None:
        raise JsError("InvalidOperationException: the request was not sent")
    return controller.exchange


def _let_go(access: HttpTenant, exchange: Exchange, started: weakref.WeakSet[Future[Any]]) -> None:
    for each in list(started):
        each.cancel()
    exchange.free()
    # If the access is closed, so is all that it carried out; without a thread it did nothing.
    with suppress(HttpPolicyError, LimitExceeded):
        access.submit(exchange.close())


async def _said(work: Coroutine[Any, Any, T]) -> T:
    """What managed code is to read when it fails."""
    from dotnet_wasm_host.fetch.exchange import HttpFailure

    try:
        return await work
    except (HttpPolicyError, HttpFailure) as error:
        raise JsError(str(error)) from error


async def _written(exchange: Exchange, data: bytes | None) -> None:
    from dotnet_wasm_host.fetch.exchange import HttpFailure

    try:
        await exchange.write(data)
    except HttpFailure as error:
        raise JsError(_WRITE_FAILED) from error
