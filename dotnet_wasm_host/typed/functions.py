"""Python functions that call methods of C#: made of source, like those of dataclasses."""

from __future__ import annotations

import inspect
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.columns.builtin_errors import typed_error
from dotnet_wasm_host.errors import (
    DotnetHostError,
    InvocationError,
    LimitExceeded,
    MarshallingError,
    MarshallingTypeError,
)
from dotnet_wasm_host.typed.callables import LentOnLoop, handler_key
from dotnet_wasm_host.typed.library import PRIMITIVES
from dotnet_wasm_host.typed.objects import CSharpObject
from dotnet_wasm_host.typed.packing import Packer
from dotnet_wasm_host.typed.scalars import NAMES
from dotnet_wasm_host.typed.shapes import Delegate, Tuple, bare_shape
from dotnet_wasm_host.typed.signatures import Argument, Function, Role
from dotnet_wasm_host.typed.unpacking import Unpacker
from dotnet_wasm_host.typed.values import canonical

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import FunctionType

    from dotnet_wasm_host.typed.callables import Adapted, CallableTable
    from dotnet_wasm_host.typed.objects import ObjectTable
    from dotnet_wasm_host.typed.signatures import Refused

__all__ = ["FunctionMaker", "refuse"]

_LONG = 0x0A
_TICKET = Argument("ticket", "ticket", PRIMITIVES[_LONG])


@final
class FunctionMaker:
    """Makes the functions of one module.

    Args:
        invoke: takes the id and a payload, gives what the dispatcher answers.
        wait: the same, awaitable.
        function_id: the dispatcher's.
        enums: what expressions of enums call.
        bases: base class by name, of the assembly's exceptions.
        module: ``__module__`` of the functions.
        objects: what the module's objects have in common, if it may have objects.
    """

    def __init__(
        self,
        invoke: Callable[[str, bytes], bytes],
        wait: Callable[[str, bytes], Awaitable[bytes]],
        function_id: str,
        enums: Iterable[tuple[str, Any]],
        bases: Mapping[str, str],
        module: str,
        objects: ObjectTable | None = None,
    ) -> None:
        self._invoke, self._wait = "invoke", "wait"
        self._names: dict[str, Any] = {
            **NAMES,
            **dict(enums),
            "InvocationError": InvocationError,
            "LimitExceeded": LimitExceeded,
            "invoke": invoke,
            "wait": wait,
            "function_id": function_id,
            "failed": lambda error, method: typed_error(error, method, bases),
            "malformed": _malformed,
        }
        if objects is not None:
            # What was let go goes with the next call, whichever that is.
            self._invoke = "(invoke if not released else invoke_releasing)"
            self._wait = "(wait if not released else wait_releasing)"
            self._names["released"] = objects.released
            self._names["invoke_releasing"] = objects.invoke
            self._names["wait_releasing"] = objects.wait
            for name in ("next_ticket", "discard", "discard_async", "discard_later"):
                self._names[name] = getattr(objects, name)
        self._records: list[str] = []
        self._packer = Packer(self._names, self._records)
        self._unpacker = Unpacker(self._names, self._records)
        self._module = module

    def keep(self, module: object) -> None:
        """Keep the module alive while one of its functions is."""
        self._names["module"] = module

    def make(self, index: int, function: Function, documentation: str = "") -> Callable[..., Any]:
        """The Python function for the method that the dispatcher calls by ``index``."""
        arguments = function.given
        lends = any(isinstance(bare_shape(argument.shape), Delegate) for argument in arguments)
        lines = self._packing(index, function, lends=lends)
        head, call = "def", self._invoke
        if function.is_async:
            head, call = "async def", f"await {self._wait}"
        parameters = ", ".join(f"arg_{n}" for n in range(len(arguments)))
        lines = [
            f"{head} call({parameters}):",
            *lines,
            f"    try: d = {call}(function_id, payload)",
            f"    except InvocationError as error: thrown = failed(error, {function.name!r})",
            *_if_lost(function, lends=lends),
            "    else:",
            "        try:",
        ]
        answer = function.answer
        if answer is None:
            reading, value = ["if d: raise ValueError('it has a result')"], "None"
        else:
            reading, value = self._unpacker.unpack(answer)
        lines += [f"            {line}" for line in (*reading, f"return {value}")]
        lines += [
            "        except Exception as error:",
            f"            thrown = malformed(error, {function.name!r})",
        ]
        lines += [*_if_unread(function), *(["    land(lent)"] if lends else ()), "    raise thrown"]
        if lends:
            lines = [text.replace("return ", "land(lent); return ") for text in lines]
        defaults = tuple(a.default[0] for a in arguments if a.default)
        made = self._compile("\n".join(lines), "call", arguments, defaults)
        made.__name__, made.__module__ = function.name, self._module
        made.__qualname__ = _qualified(function)
        made.__doc__ = documentation or None
        made.__annotations__ = {
            a.name: a.shape.python | None if a.default == (None,) else a.shape.python
            for a in arguments
        }
        made.__annotations__["return"] = answer.python if answer else None
        return made

    def _packing(self, index: int, function: Function, *, lends: bool) -> list[str]:
        """Lines that make the payload of a call."""
        arguments, own = function.given, []
        parameters = [f"arg_{n}" for n in range(len(arguments))]
        lines = []
        if lends:
            own.append("lent")
            lines.append("    lent = on_loop()" if function.is_async else "    lent = []")
        if function.has_ticket:
            arguments, parameters = (_TICKET, *arguments), ["ticket", *parameters]
            lines.append("    ticket = next_ticket()")
        again = f"again_{index}"
        self._names[again] = self._again(index, function.name, arguments, lends=lends)
        shapes = [argument.shape for argument in arguments]
        packing, payload = self._packer.pack(index, zip(parameters, shapes, strict=True))
        return [
            *lines,
            "    try:",
            *(f"        {line}" for line in (*packing, f"payload = {payload}")),
            "    except Exception as error:",
            f"        payload = {again}({', '.join(('error', *own, *parameters))})",
        ]

    def _compile(
        self, source: str, name: str, arguments: Iterable[Argument], defaults: tuple[Any, ...]
    ) -> FunctionType:
        """The function of this source, with the arguments' names for its parameters."""
        records, self._records[:] = list(self._records), []
        for text in (*records, source):
            # Our own text: names of C# are quoted, or identifiers behind a dot.
            exec(text, self._names)  # noqa: S102
        call: FunctionType = self._names.pop(name)
        # The names come last, so that no local of ours can have one of theirs.
        wanted = tuple(argument.name for argument in arguments)
        code = call.__code__
        call.__code__ = code.replace(co_varnames=(*wanted, *code.co_varnames[len(wanted) :]))
        call.__defaults__ = defaults or None
        return call

    def lend(self, table: CallableTable, delegates: Iterable[Delegate]) -> None:
        """Let functions take callables of Python for these delegates."""
        self._names.update(
            land=table.land, take_back=table.take_back, on_loop=LentOnLoop, isawaitable=isawaitable
        )
        for shape in delegates:
            adapt = self._adapter(shape)
            self._names[f"D{shape.number}"] = _lender(shape, table, adapt)
            self._names[f"A{shape.number}"] = _handler_lender(shape, table, adapt)
            self._names[f"R{shape.number}"] = _handler_finder(shape, table)

    def _adapter(self, shape: Delegate) -> Callable[..., Adapted]:
        """What makes of a callable a function that takes and gives the bytes of a delegate.

        One that .NET awaits gives a future of these; what runs its coroutine is given, too.
        """
        name = f"the callable for {shape.name}"
        handle = PRIMITIVES[_LONG]
        head = (handle, handle) if shape.has_ticket else (handle,)
        given = Tuple("", tuple, (*head, *shape.parameters), (), "")
        reading, value = self._unpacker.unpack(given)
        begin = ", begin" if shape.task else ""
        # What is made of the bytes is charged: they may be many small objects.
        limit = "c = [BUDGET]"
        charges = limit in reading
        reading = [line for line in reading if line != limit]
        lost = "            discard_later(from_bytes(d[8:16], 'little'))"
        lines = [
            f"def adapt(call{begin}):",
            "    def run(d, work):",
            *(["        most = min(BUDGET, work.left)", "        c = [most]"] if charges else ()),
            "        try:",
            *(f"            {line}" for line in (*reading, f"given = {value}")),
            "        except Exception as error:",
            *([lost] if shape.has_ticket else ()),
            f"            raise malformed(error, {name!r}) from error",
            *(["        finally: work.charge(most - c[0])"] if charges else ()),
            f"        given = given[{len(head)}:]",
            f"        return {'begin(go(given))' if shape.task else 'go(given)'}",
            f"    {'async ' if shape.task else ''}def go(given):",
            "        result = call(*given)",
            *(["        if isawaitable(result): result = await result"] if shape.task else ()),
        ]
        if shape.result is None:
            lines.append("        return b''")
        else:
            result = Argument("result", "result", shape.result)
            again = f"again_d{shape.number}"
            self._names[again] = self._again(0, name, (result,), lends=False)
            packing, payload = self._packer.pack(0, [("result", shape.result)])
            lines.append("        try:")
            lines += [f"            {line}" for line in (*packing, f"return {payload}")]
            lines += [
                "        except Exception as error:",
                f"            return {again}(error, result)",
            ]
        lines.append("    return run")
        adapt: Callable[..., Adapted] = self._compile("\n".join(lines), "adapt", (), ())
        return adapt

    def _again(
        self, index: int, name: str, given: tuple[Argument, ...], *, lends: bool
    ) -> Callable[..., bytes]:
        """What packs arguments that were not as usual, or raises what is wrong with them."""
        packer = self._packer
        pack: FunctionType | None = None

        def again(error: Exception, *values: Any) -> bytes:  # noqa: ANN401 - that is asked
            nonlocal pack
            lent: list[int] = []
            if lends:
                lent, *values = values  # type: ignore[assignment]
                self._names["take_back"](lent)
            usual = [
                canonical(argument.shape, value, f"{name}(): parameter {argument.name!r}")
                for argument, value in zip(given, values, strict=True)
            ]
            if pack is None:
                parameters = [f"arg_{n}" for n in range(len(values))]
                shapes = [argument.shape for argument in given]
                lines, payload = packer.pack(index, zip(parameters, shapes, strict=True))
                body = [f"    {line}" for line in (*lines, f"return {payload}")]
                parameters.insert(0, "lent")
                source = "\n".join((f"def pack({', '.join(parameters)}):", *body))
                pack = self._compile(source, "pack", (), ())
            try:
                payload_: bytes = pack(lent, *usual)
            except DotnetHostError:
                raise
            except Exception as failure:  # noqa: BLE001 - whatever a value's class raises
                raise MarshallingTypeError(
                    f"{name}(): expected {inspect.signature(pack)}, found arguments "
                    "that raised "
                    f"{type(failure).__name__} when they were read: {failure}; convert them to "
                    "built-in values"
                ) from error
            return payload_

        return again


def refuse(refused: Refused, module: str) -> Callable[..., Any]:
    """A function that says why its method cannot be called."""

    def call(*_: object, **__: object) -> None:
        raise MarshallingTypeError(
            f"{refused.name}() cannot be called: {refused.reason}; write a public static method "
            "that calls it and has parameters and results of other types"
        )

    call.__name__, call.__module__ = refused.name, module
    call.__qualname__ = _qualified(refused)
    call.__doc__ = f"Cannot be called: {refused.reason}."
    return call


def _if_lost(function: Function, *, lends: bool) -> list[str]:
    """Lines behind a call: what .NET was given, or has for Python, when nothing comes back."""
    taking = ["        take_back(lent)"] if lends else []
    lines = []
    if function.has_ticket:
        lines += [
            "    except LimitExceeded:",
            *taking,
            f"        {_discard(function)}",
            "        raise",
        ]
        taking.append("        discard_later(ticket)")
    if taking:
        lines += ["    except BaseException:", *taking, "        raise"]
    return lines


def _if_unread(function: Function) -> list[str]:
    """Lines behind those that read an answer: objects in it that Python will not have."""
    if not function.has_ticket:
        return []
    return [
        f"            {_discard(function)}",
        "        except BaseException:",
        "            discard_later(ticket)",
        "            raise",
    ]


def _discard(function: Function) -> str:
    return "await discard_async(ticket)" if function.is_async else "discard(ticket)"


def _lender(
    shape: Delegate, table: CallableTable, adapt: Callable[..., Adapted]
) -> Callable[[Any, list[int]], Any]:
    """What gives the number of a callable; TypeError for what is none."""

    def lender(value: Any, lent: list[int]) -> Any:  # noqa: ANN401 - that is asked
        if value is None:
            return 0
        if isinstance(value, CSharpObject):
            if isinstance(value, shape.cls):
                return value.dwh_handle
            raise TypeError
        if not callable(value):
            raise TypeError
        adapted = adapt(value, table.begin_on(lent)) if shape.task else adapt(value)
        return table.lend(adapted, lent)

    return lender


def _handler_lender(
    shape: Delegate, table: CallableTable, adapt: Callable[..., Adapted]
) -> Callable[[Any, list[int]], Any]:
    """The same for handlers of events, which are found again."""
    lend = _lender(shape, table, adapt)

    def lender(value: Any, lent: list[int]) -> Any:  # noqa: ANN401 - that is asked
        if not callable(value) or isinstance(value, CSharpObject):
            return lend(value, lent)
        adapted = adapt(value, table.begin_on(lent)) if shape.task else adapt(value)
        return table.lend_handler((shape.number, *handler_key(value)), adapted, lent)

    return lender


def _handler_finder(shape: Delegate, table: CallableTable) -> Callable[[Any, list[int]], Any]:
    """What gives the number of a handler; 0, which is no delegate, for what is none."""

    def finder(value: Any, _: list[int]) -> Any:  # noqa: ANN401 - that is asked
        if isinstance(value, shape.cls):
            return value.dwh_handle
        return table.handler((shape.number, *handler_key(value))) or 0

    return finder


def _qualified(function: Function | Refused) -> str:
    if function.role is Role.CONSTRUCTOR:
        return function.name
    return f"{function.owner.name}.{function.name}"


def _malformed(error: Exception, name: str) -> DotnetHostError:
    if isinstance(error, LimitExceeded):
        return error
    made = MarshallingError(
        f"{name}(): expected the bytes of its result, found others: {error}; the guest's code "
        "that writes results is damaged"
    )
    made.__cause__ = error
    return made
