from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

FOLDER = Path(__file__).with_name("programs")
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
