"""JavaScript interop carried out by Python: what [JSImport] of managed code reaches."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, final

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.imports.javascript.js_objects import InGuest, JsError, JsObject, MemoryView
from dotnet_wasm_host.imports.services import HostServices
from dotnet_wasm_host.runtime import lent_services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dotnet_wasm_host.imports.base import Caller, JsModule
    from tests.functional.conftest import Programs


@final
class Item(JsObject):
    def __init__(self, name: str) -> None:
        super().__init__({"size": 3, "title": f"the {name}"})
        self.name = name


@final
class Host:
    """The module that the program's functions are bound to."""

    def __init__(self) -> None:
        self.futures: list[Future[object]] = []
        self.threads: set[int] = set()

    def __call__(self, caller: Caller) -> Mapping[str, Callable[..., object]]:
        self.caller = caller
        return {
            "test.scalars": lambda *values: None if values[-1] is None else repr(values),
            "test.arrays": lambda *arrays: [*map(repr, arrays), None, "ü🐍"],
            "test.bytes": lambda count: bytes(count * [3]) if count >= 0 else "no bytes",
            "test.fill": self.fill,
            "test.fail": self.fail,
            "test.open": Item,
            "test.name": lambda item: item.name,
            "test.later": self.later,
        }

    def fill(self, view: MemoryView) -> int:
        assert view.read() == b"." * 16
        view.write(b"hello", 3)
        with pytest.raises(IndexError):
            view.write(b"hello", 12)
        self.view = view
        return view.length

    def fail(self, how: str) -> None:
        raise JsError("AbortError: no") if how == "js" else ValueError("bad")

    def later(self, name: str) -> Future[object]:
        future: Future[object] = Future()
        self.futures.append(future)
        if name == "now":
            self.end(future, name)
        elif name != "never":
            threading.Timer(0.01, self.end, (future, name)).start()
        return future

    def end(self, future: Future[object], name: str) -> None:
        if name == "boom":
            future.set_exception(JsError("HttpError: boom"))
        elif name == "inside":
            future.set_result(InGuest(self.inside))
        else:
            future.set_result(3 if name == "number" else name.upper())

    def inside(self) -> str:
        self.threads.add(threading.get_ident())
        return f"{self.caller.memory.size > 0}"


@pytest.fixture
def js(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Functions for every runtime that the test makes."""
    host = Host()

    def offering(*, javascript: tuple[JsModule, ...] = (), **others: Any) -> HostServices:
        return HostServices(javascript=(*javascript, host), **others)

    monkeypatch.setattr(lent_services, "HostServices", offering)
    return host


@pytest.fixture
def loaded(
    js: Host,  # noqa: ARG001 - in place before the runtime is made
    image: dwh.RuntimeImage,
    programs: Programs,
) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, limits=dwh.Limits(timeout=60)) as runtime:
        for handler in ("Values", "Objects", "Promises"):
            runtime.load_assembly(handler, programs["interop"], handler_type=f"Programs.{handler}")
        yield runtime


def ask(runtime: dwh.Runtime, handler: str, question: str) -> Any:
    return json.loads(runtime.invoke(handler, json.dumps(question).encode()))


def test_values_go_there_and_back(loaded: dwh.Runtime, js: Host) -> None:
    assert ask(loaded, "Values", "scalars") == repr((True, -7, 2**50, 0.5, "Zoë 🐍 \0 end"))
    assert ask(loaded, "Values", "no string") is None
    assert ask(loaded, "Values", "arrays") == [
        "['a', '', None, 'ü🐍']", r"b'\x01\x02\xff'", "[1.5, 'x', True, None]", None, "ü🐍",
    ]  # fmt: skip
    assert ask(loaded, "Values", "bytes") == 300_000
    assert ask(loaded, "Values", "fill") == "16 ...hello........"
    with pytest.raises(ValueError, match="after the call"):
        js.view.read()


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("fail", "JSException: AbortError: no"),
        ("fail python", "JSException: ValueError: bad"),
        ("unfit", "JSException: MarshallingError: a str cannot cross as ARRAY"),
        (
            "missing",
            "JSException: 'test.missing' is a JavaScript function, and this host has no JavaScript.",  # noqa: E501
        ),
    ],
)
def test_errors_are_thrown_where_the_function_was_called(
    loaded: dwh.Runtime, question: str, message: str
) -> None:
    assert ask(loaded, "Values", question) == message
    assert ask(loaded, "Values", "bytes") == 300_000


def test_objects_show_their_properties_and_nothing_else(loaded: dwh.Runtime) -> None:
    assert ask(loaded, "Objects", "properties") == [
        "one", 3, "the one", False, "number", "undefined", None,
    ]  # fmt: skip


def test_disposed_objects_are_let_go(loaded: dwh.Runtime) -> None:
    ask(loaded, "Objects", "many")
    assert len(loaded._current.guest.host.interop._handles) == 0
    ask(loaded, "Objects", "keep")
    assert ask(loaded, "Objects", "kept") == "kept"
    assert len(loaded._current.guest.host.interop._handles) == 1


def test_futures_are_tasks(loaded: dwh.Runtime, js: Host) -> None:
    assert loaded.invoke("Promises", b"a b now c") == b"A,B,NOW,C"
    assert loaded.invoke("Promises", b"a boom") == b"HttpError: boom"
    assert loaded.invoke("Promises", b"number").startswith(b"MarshallingError: ")
    assert loaded.invoke("Promises", b"inside") == b"True"
    assert js.threads == {threading.get_ident()}
    assert loaded._current.guest.host.interop.pending == 0


def test_futures_of_an_instance_that_is_gone_are_cancelled(loaded: dwh.Runtime, js: Host) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        loaded.invoke("Promises", b"never", timeout=0.3)
    assert not js.futures[-1].done()
    loaded.recycle()
    assert js.futures[-1].cancelled()
    assert loaded.invoke("Promises", b"a") == b"A"


def test_bound_functions_survive_a_snapshot(loaded: dwh.Runtime, tmp_path: Path) -> None:
    ask(loaded, "Values", "scalars")
    ask(loaded, "Objects", "keep")
    loaded.invoke("Promises", b"a")
    loaded.snapshot().save(tmp_path / "bound.image")

    opened = dwh.RuntimeImage.open(tmp_path / "bound.image")
    with dwh.Runtime(opened) as other:
        assert ask(other, "Values", "bytes") == 300_000
        assert ask(other, "Objects", "properties")[0] == "one"
        assert other.invoke("Promises", b"x y") == b"X,Y"
        with pytest.raises(dwh.InvocationError, match="do not survive a snapshot"):
            ask(other, "Objects", "kept")


def test_an_image_asks_the_new_host_for_its_functions(
    loaded: dwh.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(loaded, "Values", "scalars")
    snapshot = loaded.snapshot()
    monkeypatch.setattr(lent_services, "HostServices", HostServices)
    with dwh.Runtime(snapshot) as bare:
        with pytest.raises(dwh.InvocationError, match=r"'test\.scalars' is a JavaScript function"):
            ask(bare, "Values", "scalars")
        assert ask(bare, "Values", "missing").startswith("JSException: 'test.missing'")
