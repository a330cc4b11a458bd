"""A local cluster of Dask."""

from __future__ import annotations

import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dotnet_wasm_host as dwh

pytestmark = pytest.mark.long


def cluster(workers: int = 2) -> Any:
    from dask.distributed import LocalCluster

    return LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
    )


@pytest.fixture
def client() -> Iterator[Any]:
    from dask.distributed import Client

    with cluster() as started, Client(started) as client:  # type: ignore[no-untyped-call]
        yield client


def test_a_killed_worker_is_replaced(
    client: Any, large: dwh.DotnetFunction, dying: Callable[[Any], Any], tmp_path: Path
) -> None:
    payloads = [b"%d" % n for n in range(20)]
    futures = client.map(dying(large), payloads)
    assert client.gather(futures) == payloads
    assert (tmp_path / "died").exists()


def parts() -> list[int]:
    """Sizes of what plugins have brought to this worker."""
    from dotnet_wasm_host.pool.carriers import dask_plugins

    return sorted(len(plugin.part) for plugin in dask_plugins._there)


def test_assemblies_travel_once_to_a_worker(
    client: Any, large: dwh.DotnetFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed.comm.tcp import TCP

    sent = []

    async def write(self: Any, message: Any, **options: Any) -> int:
        sent.append(await original(self, message, **options))
        return int(sent[-1])

    original: Any = TCP.write
    monkeypatch.setattr(TCP, "write", write)
    whole, payloads = len(pickle.dumps(large)), [b"%d" % n for n in range(40)]
    assert whole > 2_500_000
    assert client.gather(client.map(large, payloads)) == payloads
    # The scheduler is in this process, too: once to it, once to each of two workers.
    assert 3 * whole < sum(sent) < 3 * whole + 200_000
    sent.clear()
    answers = client.gather(client.map(lambda payload: large(payload) + b"!", payloads))
    assert answers == [payload + b"!" for payload in payloads]
    placed = client.scatter(large, broadcast=True)
    assert client.submit(lambda f: f(b"x"), placed).result() == b"x"
    assert set(client.run(large, b"x").values()) == {b"x"}
    assert 0 < sum(sent) < 200_000
    assert {tuple(sizes) for sizes in client.run(parts).values()} == {
        tuple(sorted(map(len, large._read())))
    }


def test_a_function_of_a_worker_goes_on_to_others(client: Any, echo: dwh.DotnetFunction) -> None:
    function = client.submit(lambda f: f, echo)
    assert client.submit(lambda f: f(b"x"), function).result() == b"x"
    assert function.result()._content.engine == "dask"


@pytest.mark.usefixtures("client")
def test_columns_of_partitions(scores: dwh.CSharpModule) -> None:
    from dask import dataframe

    dd: Any = dataframe

    frame = pd.DataFrame({"a": range(1000), "b": 1.0})
    made = dd.from_pandas(frame, npartitions=4).map_partitions(scores.Score.columns).compute()
    pd.testing.assert_frame_equal(made, frame.assign(Score=frame.a * 2.0 + frame.b))


def test_errors_of_columns_come_back(client: Any) -> None:
    with dwh.csharp("public static int Parsed(string s) => int.Parse(s);") as m:
        failing = client.submit(m.Parsed.columns, {"s": ["1", "two"]})
        with pytest.raises(dwh.InvocationError) as caught:
            failing.result()
    assert caught.value.row == 1


def machine_code(cache: Path) -> int:
    return len(list(cache.glob("*.bin")))


def test_workers_of_a_node_compile_once(
    echo: dwh.DotnetFunction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask.distributed import Client

    cache = tmp_path / "cache"
    monkeypatch.setenv("DOTNET_WASM_HOST_CACHE", str(cache))
    with cluster() as started, Client(started) as client:  # type: ignore[no-untyped-call]
        assert set(client.run(echo, b"x").values()) == {b"x"}
        assert len(client.run(os.getpid)) == 2
    # .NET and the image; two processes that had not waited for each other would have left more.
    assert machine_code(cache) == 2
    # The folder can be sent to other machines.
    with tarfile.open(tmp_path / "images.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(cache, "images")
    with tarfile.open(tmp_path / "images.tar.gz") as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    there = tmp_path / "elsewhere" / "images"
    shipped = sorted(there.glob("*.bin"))
    stamps = sorted(there.glob("*.ok"))
    for stamp in stamps:
        stamp.unlink()
    monkeypatch.setenv("DOTNET_WASM_HOST_CACHE", str(there))
    with cluster() as started, Client(started) as client:  # type: ignore[no-untyped-call]
        assert set(client.run(echo, b"x").values()) == {b"x"}
    assert sorted(there.glob("*.bin")) == shipped
    assert sorted(there.glob("*.ok")) == stamps  # it was read, and found to be whole
