"""Calls of methods with JSON: arguments by name in, the result out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dotnet_wasm_host.errors import FunctionNotLoaded, InvocationError
from dotnet_wasm_host.typed.codecs import AnswerDamaged
from dotnet_wasm_host.typed.methods import MethodNotFound, read_arguments
from dotnet_wasm_host.typed.streams import next_number
from dotnet_wasm_host.worker.bodies import header
from dotnet_wasm_host.worker.number_arrays import LARGE
from dotnet_wasm_host.worker.problems import UnsupportedType
from dotnet_wasm_host.worker.result_streams import Begins, dump, form_of, send_results

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from dotnet_wasm_host.typed.methods import CallableMethod
    from dotnet_wasm_host.worker.context import WorkerContext
    from dotnet_wasm_host.worker.served_functions import ServedFunction

__all__ = ["JsonAnswer", "call_method"]

JSON = "application/json"
#: What .NET says of a method's number that the version which is called does not have.
_NO_SUCH_NUMBER = "System.MissingMethodException"
_MOST_RETRIES = 5
T = TypeVar("T")


class JsonAnswer(NamedTuple):
    """A result on its way to the client."""

    content: bytes
    media_type: bytes


async def call_method(
    context: WorkerContext,
    scope: Scope,
    receive: Receive,
    send: Send,
    served: ServedFunction,
    body: bytes,
) -> JsonAnswer | None:
    """Call a method of a deployed function for a request; ``None`` if it was answered already.

    Raises:
        ArgumentNotValid, BodyTooLarge, MethodNotFound, UnsupportedType: the request will not do.
        TooManyBodies: there is no memory for its values just now.
        InvocationError: the method threw; of the class that the exception means.
    """
    _check_type(scope, body)
    function_id, name = scope["path_params"]["function_id"], scope["path_params"].get("method")
    for _ in range(_MOST_RETRIES):
        methods = served.methods
        if methods is None:
            raise MethodNotFound(
                f"{function_id!r} takes bytes and has no methods that can be called; call it with "
                "POST /functions/{id}/invoke",
                (),
            )
        named = methods.find(name)
        form = form_of(scope)
        number = None if form is None else next_number()
        read = partial(read_arguments, named, body, stream_number=number)
        with context.bodies.values(body):
            method, payload = await _here_or_in_thread(len(body), read)
        stream = method.stream if form is not None else None
        try:
            if form is not None and number is not None and stream is not None:
                await send_results(
                    context, scope, receive, send,
                    begins=Begins(stream, number, payload), form=form, seconds=served.timeout,
                )  # fmt: skip
                return None
            answer = await context.invoke(scope, receive, function_id, payload)
        except InvocationError as error:
            changed = context.service.find(function_id)
            if error.dotnet_type == _NO_SUCH_NUMBER and changed not in {None, served}:
                served = changed  # It was deployed again meanwhile, and nothing was called.
                continue
            raise methods.failure(error, method) from error
        write = partial(_answer, method, answer)
        return await _here_or_in_thread(len(answer), write)
    raise FunctionNotLoaded(function_id, "is deployed again and again; try later")


def _answer(method: CallableMethod, answer: bytes) -> JsonAnswer:
    result = method.result(answer)
    try:
        return JsonAnswer(dump(result), JSON.encode())
    except (ValueError, RecursionError) as error:
        raise AnswerDamaged(f"{method.name}() gave what JSON cannot hold: {error}") from error


async def _here_or_in_thread(size: int, work: Callable[[], T]) -> T:
    """Large texts would hold up everybody else's requests."""
    return work() if size <= LARGE else await asyncio.to_thread(work)


def _check_type(scope: Scope, body: bytes) -> None:
    given = header(scope, b"content-type")
    if given is None or not body:
        return
    media_type = given.partition(b";")[0].strip().lower()
    if media_type != JSON.encode() and not media_type.endswith(b"+json"):
        raise UnsupportedType(
            f"{media_type.decode('latin-1')!r} is not supported here; send the arguments as an "
            f"object with their names, and Content-Type: {JSON}"
        )
