"""What ``import dotnet_wasm_host`` loads: a budget by name, since time depends on the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Modules of ours by room. A name more costs every process that never needs it: import the module
#: in the function that needs it, or say here that all of them do. A name less is taken out here.
_LOADED = """
: abi artifacts base_library engines errors guest images imports memory options overriding runtime
    uncopyable wasm
artifacts: cache store
base_library: capabilities configurations
engines: process threads
guest: guest inner layout library_use loading pending running_function
images: boot builder frozen image json_reader progress state thread_context
imports: arrivals base callables cxx_exceptions emscripten gate guest_log host host_calls
    host_functions host_work javascript mono output services waits
imports.javascript: http js_objects
runtime: call_port calls cancellation capabilities current_guest event_count forks functions
    lent_services lifetime loading observing registry runtime source_compiler waiting
"""
#: Of others, what takes long to import and few processes need.
_HEAVY = """
asyncio email http importlib.metadata logging.handlers multiprocessing numpy pandas polars pyarrow
random rich secrets shutil socket sqlite3 ssl subprocess tempfile tomllib typer urllib.request
wasmer wasmtime xml zipfile
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    program = (
        "import sys; before = set(sys.modules); import dotnet_wasm_host; "
        "print(*sorted(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def _expected() -> set[str]:
    expected, room = {"dotnet_wasm_host"}, ""
    for word in _LOADED.split():
        if word.endswith(":"):
            room = f".{word[:-1]}" if word != ":" else ""
        else:
            expected.add(f"dotnet_wasm_host{room}.{word}")
    return expected


def test_the_import_loads_these_modules_of_ours(loaded: set[str]) -> None:
    ours = {name for name in loaded if name.partition(".")[0] == "dotnet_wasm_host"}
    assert sorted(ours - _expected()) == []
    assert sorted(_expected() - ours) == []


def test_the_import_loads_nothing_heavy(loaded: set[str]) -> None:
    assert sorted(loaded & set(_HEAVY.split())) == []
