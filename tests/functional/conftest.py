from __future__ import annotations

import json
import struct
import traceback
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pytest

import dotnet_wasm_host as dwh
from tests.functional.declarations import NOT_DECLARED, skipping_what_is_not_declared
from tests.native_leaks import nothing_leaks

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.conftest import CompiledSources

FOLDER = Path(__file__).with_name("programs")
ON_THE_IMAGE = "on the image"
#: Every program may use what this one defines.
SHARED = "JsonHandler.cs"


@final
class Programs:
    """The C# files of ``programs/``, each compiled once."""

    def __init__(self, compiled: CompiledSources) -> None:
        self._compiled = compiled

    def __getitem__(self, name: str) -> dwh.Assembly:
        files = (SHARED, f"{name}.cs")
        return self._compiled({file: (FOLDER / file).read_text("utf-8") for file in files})


@final
class Conversation:
    """Handlers of the programs in one runtime, loaded when they are first asked."""

    def __init__(self, programs: Programs, runtime: dwh.Runtime) -> None:
        self._programs = programs
        self.runtime = runtime

    def __call__(self, program: str, handler: str, question: object = None) -> Any:
        """Ask a ``JsonHandler``."""
        return json.loads(self.raw(program, handler, json.dumps(question).encode()))

    def raw(
        self, program: str, handler: str, payload: bytes = b"", *, timeout: float | None = None
    ) -> bytes:
        """Send bytes to any handler."""
        function_id = f"{program}/{handler}"
        if function_id not in self.runtime.functions:
            self.runtime.load_assembly(
                function_id, self._programs[program], handler_type=f"Programs.{handler}"
            )
        return self.runtime.invoke(function_id, payload, timeout=timeout)


@pytest.fixture(scope="session")
def programs(compiled: CompiledSources) -> Programs:
    return Programs(compiled)


@pytest.fixture(scope="module")
def ask(programs: Programs, image: dwh.RuntimeImage) -> Iterator[Conversation]:
    """One runtime for all tests of a module; a minute is far more than any call needs."""
    with dwh.Runtime(image, limits=dwh.Limits(timeout=60)) as runtime:
        yield Conversation(programs, runtime)


@pytest.fixture(scope="session")
def moody(programs: Programs) -> dwh.Assembly:
    """A handler that echoes, counts, fails or dies as its payload says."""
    return programs["moody"]


@pytest.fixture(scope="session")
def native_dll() -> bytes:
    """A well-formed 64-bit Windows library without managed code: headers and one section."""
    dos = bytearray(64)
    dos[:2] = b"MZ"
    dos[0x3C:0x40] = (64).to_bytes(4, "little")
    coff = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    # PE32+ (Microsoft's PE format, "Optional Header"), with 16 empty data directories.
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        0x20B, 14, 0, 512, 0, 0, 0x1000, 0x1000, 0x1_8000_0000, 0x1000, 512, 6, 0, 0, 0, 6, 0,
        0, 0x2000, 512, 0, 2, 0x160, 1 << 20, 1 << 12, 1 << 20, 1 << 12, 0, 16,
    )  # fmt: skip
    section = struct.pack("<8sIIIIIIHHI", b".text", 16, 0x1000, 512, 512, 0, 0, 0, 0, 0x60000020)
    headers = bytes(dos) + b"PE\0\0" + coff + optional + bytes(128) + section
    return headers.ljust(512, b"\0") + b"\xc3".ljust(512, b"\xcc")


@pytest.fixture(scope="session", autouse=True)
def what_is_not_declared_is_skipped(pytestconfig: pytest.Config) -> Iterator[None]:
    with skipping_what_is_not_declared(pytestconfig.getoption("--image")):
        yield


@pytest.fixture(autouse=True)
def uses_the_image(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """Tell tests that run on --image from those that bring an image of their own."""
    record_property(ON_THE_IMAGE, "image" in request.fixturenames)


@pytest.fixture(autouse=True)
def nothing_native_leaks(made_runtimes: weakref.WeakSet[dwh.Runtime]) -> Iterator[None]:
    with nothing_leaks(made_runtimes):
        yield


@contextmanager
def skips_hold_nothing() -> Iterator[None]:
    """A skip out of the middle of a call keeps the frames it went through, and their instance."""
    try:
        yield
    except pytest.skip.Exception as skipped:
        traceback.clear_frames(skipped.__traceback__)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with skips_hold_nothing():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with skips_hold_nothing():
        return (yield)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """How many tests ran on the image, which is what a floor is set under."""
    reports = terminalreporter.stats
    ran = sum((ON_THE_IMAGE, True) in r.user_properties for r in reports.get("passed", ()))
    reasons = [r.longrepr[2] for r in reports.get("skipped", ()) if isinstance(r.longrepr, tuple)]
    left_out = sum(NOT_DECLARED in reason for reason in reasons)
    name = config.getoption("--image")
    terminalreporter.write_line(f"image {name}: {ran} ran on it, {left_out} not declared")
