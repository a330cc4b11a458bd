from __future__ import annotations

import functools
import os
import signal
import threading
import weakref
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pytest
from hypothesis import HealthCheck, settings

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines import ENGINE_NAMES, ENVIRONMENT_VARIABLE, get_engine
from dotnet_wasm_host.options import JIT_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Real .NET answers in microseconds, but a shared machine may stop for seconds.
settings.register_profile(
    "real-dotnet", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("real-dotnet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=ENGINE_NAMES,
        help="what tests run on that do not name an engine themselves",
    )
    parser.addoption(
        "--image",
        default="full",
        help="the image that functions run on: a name, or what RuntimeImage.open reads",
    )
    parser.addoption(
        "--jit",
        choices=JIT,
        help="whether methods are compiled in runtimes of tests that do not say so; 'everything' "
        "compiles all that is run thrice, at once",
    )

    parser.addoption(
        "--as-programs",
        action="store_true",
        help="what the functional suite asks handlers is asked programs with a Main",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Through the environment, for the processes that tests start.
    if engine := config.getoption("--engine"):
        os.environ[ENVIRONMENT_VARIABLE] = engine
    if jit := config.getoption("--jit"):
        os.environ[JIT_VARIABLE] = "off" if jit == "off" else "auto"
    # A shell starts what runs in the background with Ctrl-C ignored, for its children, too.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart() -> None:
    # An engine that is not there stops the run. Not earlier: engines handle SIGSEGV, and so
    # does pytest's faulthandler, which would take it from them.
    get_engine()


#: What ``--jit`` takes.
JIT = ("off", "auto", "everything")
#: What only wasmtime has: docs/engines.md.
ONLY_WASMTIME = (
    "parallel guests",
    "a stack limit",
    "a list of instances",
    "calls that leave the collector nothing",
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        (what,) = mark.args
        assert what in ONLY_WASMTIME
        if get_engine().name != "wasmtime":
            pytest.skip(f"{get_engine().name} does not have {what}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pytest-xdist runs one of several tests that have the same id, and says nothing.
    same = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if same:
        raise pytest.UsageError(f"several tests have one id: {', '.join(same)}")


def pytest_report_header() -> str:
    engine = get_engine()
    return f"engine: {engine.name} {engine.version}"


@final
class CompiledSources:
    """Compiles C# once for each source and remembers the assembly for the session."""

    def __init__(self) -> None:
        self._assemblies: dict[object, dwh.Assembly] = {}

    def __call__(
        self,
        source: str | Mapping[str, str],
        *,
        assembly_name: str | None = None,
        references: tuple[dwh.Assembly, ...] = (),
    ) -> dwh.Assembly:
        text = source if isinstance(source, str) else tuple(source.items())
        key = (text, assembly_name, tuple(r.sha256 for r in references))
        if key not in self._assemblies:
            self._assemblies[key] = dwh.compile_csharp(
                source, assembly_name=assembly_name, references=references
            )
        return self._assemblies[key]


@pytest.fixture(scope="session")
def compiled() -> CompiledSources:
    return CompiledSources()


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> dwh.RuntimeImage:
    name: str = pytestconfig.getoption("--image")
    if Path(name).exists():
        return dwh.RuntimeImage.open(name)
    return dwh.RuntimeImage.load(name)


@pytest.fixture
def runtime(image: dwh.RuntimeImage) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image) as runtime:
        yield runtime


@pytest.fixture(scope="session", autouse=True)
def compiled_as_asked(request: pytest.FixtureRequest) -> Iterator[None]:
    """What ``--jit everything`` means."""
    if request.config.getoption("--jit") != "everything":
        yield
        return
    from tests.jit.everything import everything_at_once

    with everything_at_once():
        yield


@pytest.fixture(scope="session")
def made_runtimes() -> Iterator[weakref.WeakSet[dwh.Runtime]]:
    """Every runtime made during the session that still exists."""
    made: weakref.WeakSet[dwh.Runtime] = weakref.WeakSet()
    initialise = dwh.Runtime.__init__

    @functools.wraps(initialise)
    def initialise_and_register(self: dwh.Runtime, *args: Any, **options: Any) -> None:
        initialise(self, *args, **options)
        made.add(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dwh.Runtime, "__init__", initialise_and_register)
        yield made


@pytest.fixture(autouse=True)
def every_runtime_is_closed(made_runtimes: weakref.WeakSet[dwh.Runtime]) -> Iterator[None]:
    """A test closes what it opens; runtimes of wider fixtures were there before it."""
    before = weakref.WeakSet(runtime for runtime in made_runtimes if not runtime.closed)
    yield
    left = [r for r in made_runtimes if not r.closed and r not in before]
    assert not left, f"left open: {left}"
