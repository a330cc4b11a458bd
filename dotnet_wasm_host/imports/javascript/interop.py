"""JavaScript interop, carried out by Python: what ``[JSImport]`` of managed code reaches.

Managed code binds a function by name (``INTERNAL.http_wasm_fetch``), then calls it by the
number it chose, with arguments and result in slots
(:mod:`dotnet_wasm_host.imports.javascript.js_slots`).

**How a module offers functions.** Write a :data:`JsModule`: a callable that is given the
instance (``.memory``, ``.call``) when managed code first binds anything, and returns name to
Python function::

    class Response(JsObject): ...                # managed code holds it as JSObject

    def http_functions(caller: Caller) -> Mapping[str, JsFunction]:
        def fetch(url: str, names: list[str], abort: Abort) -> Future[Response]: ...
        return {"INTERNAL.http_wasm_fetch": fetch}

and put it into ``HostServices.javascript`` of the runtime. What a function must know:

- It runs on the guest's thread, in the middle of a guest call: it must not wait. One that has
  to returns a ``concurrent.futures.Future`` (any thread may end it), which managed code sees
  as a ``Task``. Cancelling that task cancels the future.
- Arguments are plain values, see :meth:`Slots.read`; results are checked against the signature
  that managed code bound. Memory that was passed as pointer and length may be touched during
  the call, or by an :class:`InGuest` result of the future.
- ``JsError("Name: text")`` becomes ``JSException`` with that message; any other ``Exception``
  one with its type and text. ``KeyboardInterrupt`` and the like unwind the guest.

A name nobody offers is refused when it is bound, with a text that managed code throws.

**Snapshots.** Numbers of bound functions are in linear memory, so an image has the table that
belongs to them (:class:`InteropState`); functions are looked up by name in the new instance
when they are first called there. Objects and tasks do not survive.
"""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import (
    DotnetHostError,
    GuestTerminated,
    GuestTrap,
    InvocationCancelled,
    InvocationTimeout,
    RuntimeClosed,
)
from dotnet_wasm_host.imports.base import ImportGroup
from dotnet_wasm_host.imports.host_work import ITEM
from dotnet_wasm_host.imports.javascript.js_objects import (
    PROPERTY_FUNCTIONS,
    InGuest,
    JsError,
    JsHandles,
    MemoryView,
    keep_property,
    set_property,
)
from dotnet_wasm_host.imports.javascript.js_slots import (
    SLOT_SIZE,
    TYPE_OFFSET,
    MarshalerType,
    Signature,
    Slots,
    message_of,
)
from dotnet_wasm_host.imports.services import InteropState
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.wasm import to_i32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.arrivals import Arrivals
    from dotnet_wasm_host.imports.base import Caller, JsFunction, JsModule

__all__ = ["Interop"]

_log = logging.getLogger(__name__)

_INTEROP_ASSEMBLY = b"System.Runtime.InteropServices.JavaScript\0"
_ANY_PARAMETER_COUNT = 0xFFFFFFFF
#: Slots of a call: exception, result, then the arguments.
_EXCEPTION, _RESULT, _ARGUMENTS = 0, 1, 2
#: Errors that are remembered, for who calls a function that does not catch them.
_MOST_RAISED = 64
#: CompleteTask(holder, error, value).
_COMPLETE_SLOTS = 5
#: What a bound function and a task take on the host.
_BINDING_BYTES = 4096
_PROMISE_BYTES = 2048
#: How code of the guest ends for good that was entered for a value: no exception for managed code.
_ENDS = (GuestTerminated, GuestTrap, InvocationCancelled, InvocationTimeout, RuntimeClosed)


@final
class Interop(ImportGroup):
    """The six interop imports of one instance.

    Args:
        caller: the instance.
        modules: who offers functions.
        arrivals: where futures that ended wait for the guest's thread.
        state: what the instance's image had bound.
    """

    def __init__(
        self,
        caller: Caller,
        modules: Sequence[JsModule],
        arrivals: Arrivals,
        state: InteropState,
    ) -> None:
        self._caller = caller
        self._work = caller.work
        self._modules = modules
        self._arrivals = arrivals
        self._handles = JsHandles(caller.work, state.next_handle)
        self._slots = Slots(caller, self._handles)
        self._offered: dict[str, JsFunction] | None = None
        self._signatures = {
            int(handle): Signature(*binding) for handle, binding in state.bindings.items()
        }
        self._bound: dict[int, tuple[JsFunction, Signature]] = {}
        self._next_promise = state.next_promise
        self._promises: dict[int, Future[Any]] = {}
        self._unwanted: set[int] = set()
        self._complete_task = 0
        self._raised: dict[str, DotnetHostError] = {}

    @override
    def functions(self) -> Mapping[str, HostFunction]:
        return {
            "mono_wasm_bind_js_import_ST": self.bind_import,
            "mono_wasm_invoke_js_function": _unsupported("mono_wasm_invoke_js_function"),
            "mono_wasm_resolve_or_reject_promise": _unsupported(
                "mono_wasm_resolve_or_reject_promise"
            ),
            "mono_wasm_cancel_promise": self.cancel_promise,
            "mono_wasm_release_cs_owned_object": self.release_object,
        }

    @property
    def state(self) -> InteropState:
        """For an image of this instance."""
        return InteropState(
            bindings={
                str(handle): (s.name, s.argument_count, s.result, s.inner)
                for handle, s in self._signatures.items()
            },
            next_handle=self._handles.next_handle,
            next_promise=self._next_promise,
        )

    @property
    def pending(self) -> int:
        """Tasks that managed code waits for."""
        return len(self._promises)

    def close(self) -> None:
        """The instance is gone: nobody waits for what its functions still do."""
        promises, self._promises = self._promises, {}
        for future in promises.values():
            future.cancel()
        self._handles.close()

    # ---------------------------------------------------------------- called by the guest

    def bind_import(self, signature: int) -> int:
        """0, or a pointer to UTF-16 text that managed code frees and throws."""
        try:
            handle, bound = Signature.read(self._caller, signature)
            self._find(bound.name)
        except JsError as error:
            return self._text(str(error))
        if handle not in self._signatures:
            self._work.keep(_BINDING_BYTES)
        self._signatures[handle] = bound
        self._bound.pop(handle, None)
        return 0

    def invoke_import(self, handle: int, frame: int) -> None:
        """Call a bound function; what it raises is thrown where managed code called it."""
        views: list[MemoryView] = []
        try:
            function, signature = self._bound.get(handle) or self._bind(handle)
            self._work.charge(2 * ITEM)
            arguments = [
                self._slots.read(frame + (_ARGUMENTS + index) * SLOT_SIZE)
                for index in range(signature.argument_count)
            ]
            views = [a for a in arguments if isinstance(a, MemoryView)]
            result = function(*arguments)
            if function is set_property:
                keep_property(self._work, *arguments[:2], size=self._slots.let_go())
            self._write_result(frame + _RESULT * SLOT_SIZE, signature, result)
        except _ENDS:
            raise
        except Exception as error:
            if self._work.stopped:
                raise
            self._write_error(frame + _EXCEPTION * SLOT_SIZE, error)
        finally:
            self._slots.let_go()
            for view in views:
                view.close()

    def cancel_promise(self, handle: int) -> None:
        """Managed code no longer wants a task: it ends as cancelled, whatever the future does."""
        handle = to_i32(handle)
        future = self._promises.get(handle)
        if future is None or handle in self._unwanted:
            return
        self._unwanted.add(handle)
        future.cancel()
        self._arrivals.post(
            lambda _: self._settle(handle, JsError("Error: OperationCanceledException"))
        )

    def release_object(self, handle: int) -> None:
        """A ``JSObject`` was disposed of or collected."""
        self._handles.release(handle)

    # ---------------------------------------------------------------- functions

    def _find(self, name: str) -> JsFunction:
        if self._offered is None:
            self._offered = dict(PROPERTY_FUNCTIONS)
            for module in self._modules:
                self._offered.update(module(self._caller))
        try:
            return self._offered[name]
        except KeyError:
            raise JsError(
                f"'{name}' is a JavaScript function, and this host has no JavaScript."
            ) from None

    def _bind(self, handle: int) -> tuple[JsFunction, Signature]:
        signature = self._signatures.get(handle)
        if signature is None:
            raise JsError(f"function {handle} was called although it was never bound")
        bound = self._bound[handle] = self._find(signature.name), signature
        return bound

    def _text(self, message: str) -> int:
        data = message.encode("utf-16-le", errors="surrogatepass") + b"\0\0"
        pointer = self._caller.call("malloc", len(data))
        self._caller.memory.write(pointer, data)
        return pointer

    # ---------------------------------------------------------------- tasks

    def _write_result(self, slot: int, signature: Signature, result: object) -> None:
        if signature.result != MarshalerType.TASK:
            self._slots.write(slot, signature.result, result, signature.inner)
            return
        if not isinstance(result, Future):
            raise JsError(f"'{signature.name}' returned no future, but its result is a Task")
        self._work.keep(_PROMISE_BYTES)
        handle, self._next_promise = self._next_promise, self._next_promise - 1
        self._promises[handle] = result
        self._slots.write_promise(slot, handle)
        arrivals, inner = self._arrivals, signature.inner
        result.add_done_callback(
            lambda future: arrivals.post(lambda _: self._end(handle, future, inner))
        )

    def _end(self, handle: int, future: Future[Any], inner: int) -> None:
        """On the guest's thread: a future has ended."""
        if handle not in self._promises:
            return
        try:
            # Not result(): raising it here would tie this instance to the future's error.
            failure = future.exception()
            if isinstance(failure, Exception):
                self._settle(handle, failure)
                return
            value = future.result()
            if isinstance(value, InGuest):
                value = value.make()
        except CancelledError:
            self._settle(handle, JsError("Error: OperationCanceledException"))
        except _ENDS:
            raise
        except Exception as error:
            if self._work.stopped:
                raise
            self._settle(handle, error)
        else:
            self._settle(handle, None, value, inner)

    def _settle(
        self, handle: int, error: Exception | None, value: object = None, inner: int = 0
    ) -> None:
        """Complete a managed task, whose continuations are then queued in the guest."""
        if self._promises.pop(handle, None) is None:
            return
        self._unwanted.discard(handle)
        self._work.drop(_PROMISE_BYTES)
        method = self._complete_task or self._find_complete_task()
        stack = self._caller.call("stackSave")
        try:
            frame = self._caller.call("stackAlloc", _COMPLETE_SLOTS * SLOT_SIZE)
            self._caller.memory.write(frame, bytes(_COMPLETE_SLOTS * SLOT_SIZE))
            if error is None:
                try:
                    self._slots.write(frame + 4 * SLOT_SIZE, inner, value)
                except _ENDS:
                    raise
                except DotnetHostError as unfit:
                    if self._work.stopped:
                        raise
                    error = unfit
            if error is not None:
                self._write_error(frame + 3 * SLOT_SIZE, error)
            self._slots.write_holder(frame + _ARGUMENTS * SLOT_SIZE, handle)
            self._caller.call("mono_wasm_invoke_jsexport", method, frame)
            if self._caller.memory.read_u8(frame + TYPE_OFFSET):
                _log.error("a task could not be completed: %s", self._slots.read(frame))
        finally:
            self._caller.call("stackRestore", stack)

    def _write_error(self, slot: int, error: Exception) -> None:
        self._slots.write_error(slot, error)
        if isinstance(error, JsError) and isinstance(error.__cause__, DotnetHostError):
            # Not with its frames, which hold whatever they worked on.
            self._raised[message_of(error)] = error.__cause__.with_traceback(None)
            if len(self._raised) > _MOST_RAISED:
                del self._raised[next(iter(self._raised))]

    def raised(self, message: str) -> DotnetHostError | None:
        """The error of this library behind the ``JSException`` of that message."""
        return self._raised.get(message)

    def _find_complete_task(self) -> int:
        call, memory = self._caller.call, self._caller.memory
        with (
            memory.allocate_bytes(_INTEROP_ASSEMBLY) as namespace,
            memory.allocate_bytes(b"JavaScriptExports\0") as class_name,
            memory.allocate_bytes(b"CompleteTask\0") as method_name,
        ):
            # The namespace has the assembly's name.
            assembly = call("mono_wasm_assembly_load", namespace.ptr)
            class_ = call("mono_wasm_assembly_find_class", assembly, namespace.ptr, class_name.ptr)
            self._complete_task = call(
                "mono_wasm_assembly_find_method", class_, method_name.ptr, _ANY_PARAMETER_COUNT
            )
        return self._complete_task


def _unsupported(name: str) -> HostFunction:
    def refuse(*_arguments: object) -> None:
        raise DotnetHostError(
            f"the guest called '{name}', which only a JavaScript host has; use Host.Call instead"
        )

    return refuse
