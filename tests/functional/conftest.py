from __future__ import annotations

import base64
import json
import struct
import traceback
import weakref
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.programs.program import read_program
from dotnet_wasm_host.programs.running import run_program
from tests.functional.declarations import (
    NOT_DECLARED,
    Declarations,
    skipping_what_is_not_declared,
)
from tests.native_leaks import nothing_leaks

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dotnet_wasm_host.programs.program import Program
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


#: A file-based app around a handler: the handler's name is its argument.
MAIN = """\
#!/usr/bin/env dotnet
#:property Nullable=disable
#:property LangVersion=12
var type = System.Reflection.Assembly.GetEntryAssembly().GetType($"Programs.{args[0]}", true);
var handler = (IFunctionHandler)Activator.CreateInstance(type);
var payload = Convert.FromBase64String(Console.In.ReadToEnd());
Console.OpenStandardOutput().Write(handler.Execute(payload));
"""


@final
class ProgramConversation(Conversation):
    """The same with programs that have a ``Main``, one run of one for each question."""

    def __init__(self, programs: Programs, runtime: dwh.Runtime) -> None:
        super().__init__(programs, runtime)
        self._compiled: dict[str, Program] = {}

    @override
    def raw(
        self, program: str, handler: str, payload: bytes = b"", *, timeout: float | None = None
    ) -> bytes:
        if program not in self._compiled:
            texts = {file: (FOLDER / file).read_text("utf-8") for file in (SHARED, f"{program}.cs")}
            self._compiled[program] = read_program({"main.cs": MAIN, **texts})
        output = BytesIO()
        stdin = base64.b64encode(payload)
        wasi = dwh.WasiOptions(stdin=stdin, stdout=output, stderr="discard", args=(handler,))
        limits = dwh.Limits(timeout=60 if timeout is None else timeout)
        done = run_program(self._compiled[program], (handler,), limits=limits, wasi=wasi)
        if done.exception is not None:
            raise done.exception
        assert done.returncode == 0
        return output.getvalue()


@pytest.fixture(scope="session")
def programs(compiled: CompiledSources) -> Programs:
    return Programs(compiled)


@pytest.fixture(scope="module")
def ask(
    programs: Programs, image: dwh.RuntimeImage, pytestconfig: pytest.Config
) -> Iterator[Conversation]:
    """One runtime for all tests of a module; a minute is far more than any call needs."""
    kind = ProgramConversation if pytestconfig.getoption("--as-programs") else Conversation
    with dwh.Runtime(image, limits=dwh.Limits(timeout=60)) as runtime:
        yield kind(programs, runtime)


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


@pytest.fixture(scope="session")
def declarations(pytestconfig: pytest.Config) -> Iterator[Declarations | None]:
    with skipping_what_is_not_declared(pytestconfig.getoption("--image")) as declarations:
        yield declarations


@pytest.fixture(autouse=True)
def what_is_not_declared_is_skipped(
    declarations: Declarations | None, request: pytest.FixtureRequest
) -> None:
    if declarations is not None:
        declarations.may_skip = request.node.get_closest_marker("damages") is None


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
    if name != "full":
        terminalreporter.write_line(f"image {name}: {ran} ran on it, {left_out} not declared")
