"""What functions are made of, as engines carry it. The clusters are in tests/clusters."""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import DotnetFunction
from dotnet_wasm_host.pool import carriers
from dotnet_wasm_host.pool.carriers import choosing, dask_plugins
from dotnet_wasm_host.pool.carriers.dask_plugins import PartPlugin

ECHO = """
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
}
"""


def pickled_by_dask(value: object) -> bytes:
    from distributed.protocol import pickle as dask_pickle

    return bytes(dask_pickle.dumps(value))  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def echo() -> DotnetFunction:
    return DotnetFunction(dwh.compile_csharp(ECHO))


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    DotnetFunction.release()


def called_by(module: str, function: str) -> str:
    """The engine that is found when such a function calls a pickler."""

    def caller() -> str:
        return carriers.pickling_engine()

    code = caller.__code__.replace(co_name=function)
    names = {"__name__": module, "carriers": carriers}
    made: Any = FunctionType(code, names)
    return str(made())


def test_who_pickles() -> None:
    assert called_by("distributed.protocol.pickle", "dumps") == "dask"
    assert called_by("ray._common.serialization", "pickle_dumps") == "ray"
    assert called_by("pyspark.core.rdd", "_prepare_for_python_RDD") == "spark"
    # Data of Spark has no broadcasts, and users want all of it.
    assert called_by("pyspark.core.rdd", "parallelize") == ""
    assert called_by("rayon", "dumps") == ""
    assert called_by("somebody", "dumps") == ""


def test_a_dask_without_a_client_gets_all_of_it(echo: DotnetFunction) -> None:
    assert pickled_by_dask(echo) == pickle.dumps(echo, protocol=5)


class Sent:
    """A carrier that has what it got."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.sendings = 0

    def is_ready(self, digests: Sequence[str]) -> bool:
        return True

    def send(self, digest: str, part: bytes) -> str:
        self.sendings += 1
        self.parts[digest] = part
        return digest

    def receive(self, digest: str, token: str) -> bytes:
        assert token == digest
        try:
            return self.parts[digest]
        except KeyError:
            raise carriers.PartMissing("expected it, found nothing; send it again") from None


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    made = Sent()
    monkeypatch.setattr(choosing, "_carrier", lambda engine: made)  # noqa: ARG005
    return made


def test_a_pickle_for_an_engine_names_parts(echo: DotnetFunction, sent: Sent) -> None:
    whole = pickle.dumps(echo)
    data = pickled_by_dask(echo)
    assert len(data) < 1_000 < len(whole)
    copy = pickle.loads(data)
    assert copy == echo
    assert copy(b"x") == b"x"
    # The same engine gets the same again, others get all of it.
    sendings = sent.sendings
    assert pickled_by_dask(copy) == data
    assert sent.sendings == sendings
    assert pickle.dumps(copy) == whole
    assert called_by_spark(copy) != data


def called_by_spark(value: object) -> bytes:
    code = _prepare_for_python_RDD.__code__
    names = {"__name__": "pyspark.core.rdd", "pickle": pickle, "__builtins__": builtins}
    made: Any = FunctionType(code, names)
    return bytes(made(value))


def _prepare_for_python_RDD(value: object) -> bytes:  # noqa: N802 - Spark's name
    return pickle.dumps(value)


def test_parts_that_are_gone_or_wrong(echo: DotnetFunction, sent: Sent) -> None:
    data = pickled_by_dask(echo)
    ((digest, part),) = sent.parts.items()
    sent.parts[digest] = b"other"
    DotnetFunction.release()
    with pytest.raises(dwh.AssemblyLoadError, match="what dask carried has changed since"):
        pickle.loads(data)(b"x")
    sent.parts.clear()
    with pytest.raises(dwh.AssemblyLoadError, match="found nothing; send it again") as caught:
        pickle.loads(data)(b"x")
    assert caught.value.function_id == echo.function_id
    sent.parts[digest] = part
    assert pickle.loads(data)(b"x") == b"x"


def test_a_worker_of_dask_waits_for_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = PartPlugin("0123456789abcdef", b"part")
    plugin.setup(worker=None)
    assert dask_plugins.DASK.receive(plugin.digest, None) == b"part"
    assert plugin.idempotent
    monkeypatch.setattr(dask_plugins, "PATIENCE", 0.01)
    with pytest.raises(carriers.PartMissing, match=r"as a plugin of this worker of Dask, .* again"):
        dask_plugins.DASK.receive("other", None)
    # It is there for as long as a worker has the plugin.
    del plugin
    with pytest.raises(carriers.PartMissing):
        dask_plugins.DASK.receive("0123456789abcdef", None)
