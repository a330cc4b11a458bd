"""``dotnet-wasm-host serve`` as it is run: signals, several processes, sudden ends."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

import dotnet_wasm_host as dwh
from tests.worker.conftest import ECHO, TOKEN
from tests.worker.servers import COMMAND, Server
from tests.worker.test_operation import wait_until


def serve_and_fail(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
    )


def test_it_does_not_start_where_strangers_could_deploy(tmp_path: Path) -> None:
    done = serve_and_fail("--host", "0.0.0.0", "--store", str(tmp_path / "store"))
    assert done.returncode == 2
    assert "without a token" in done.stderr
    done = serve_and_fail(DOTNET_WASM_HOST_TOKEN="short")
    assert done.returncode == 2
    assert "16 characters" in done.stderr
    done = serve_and_fail("--isolation", "none")
    assert done.returncode == 2


def refuses(server: Server) -> bool:
    """Whether there is neither a connection that it keeps nor a new one."""
    try:
        server.client.get("/health")
    except httpx2.TransportError:
        return True
    return False


def test_sigterm_lets_running_calls_end(tmp_path: Path, echo: dwh.Assembly) -> None:
    with Server(tmp_path / "store", token=TOKEN) as server:
        assert server.put("f", echo.data).status_code == 401
        deployed = server.put("f", echo.data, authorization=f"Bearer {TOKEN}")
        assert deployed.status_code == 201
        with ThreadPoolExecutor(1) as thread:
            slow = thread.submit(server.invoke, "f", b"sleep 800")
            wait_until(lambda: "calls_running 1.0" in server.client.get("/metrics").text)
            server.process.send_signal(signal.SIGTERM)
            assert slow.result().content == b"sleep 800"
        wait_until(lambda: refuses(server))
        assert server.wait() == 0
    entries = [json.loads(line) for line in server.access]
    assert [e["status"] for e in entries if e["path"] == "/functions/f"] == [401, 201]
    assert "Traceback" not in "\n".join(server.errors)


def test_sighup_reloads_the_image(tmp_path: Path, echo: dwh.Assembly) -> None:
    with Server(tmp_path / "store", "--concurrency", "1") as server:
        server.put("f", echo.data)
        assert [server.invoke("f", b"count").content for _ in "123"] == [b"1", b"2", b"3"]
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.invoke("f", b"count").content == b"1")
        assert server.terminate() == 0
    assert any("the image was reloaded with 1 functions" in line for line in server.errors)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_changes_the_token_without_a_stop(tmp_path: Path, workers: str) -> None:
    first, second = TOKEN, TOKEN[::-1]
    file = tmp_path / "token"
    file.write_text(first)
    with Server(tmp_path / "store", "--token-file", str(file), "--workers", workers) as server:

        def accepted() -> list[bool]:
            # A new connection each time, so that every process is asked.
            answers = []
            for token in (first, second):
                statuses = set()
                for _ in range(6):
                    headers = {"authorization": f"Bearer {token}"}
                    with httpx2.Client(base_url=server.url, timeout=30) as client:
                        statuses.add(client.get("/functions/none", headers=headers).status_code)
                answers.append(statuses == {404})
            return answers

        def change(content: str, expected: list[bool]) -> None:
            file.write_text(content)
            server.process.send_signal(signal.SIGHUP)

            def changed() -> bool:
                try:
                    return accepted() == expected
                except httpx2.TransportError:
                    return False  # a process of several is being replaced

            wait_until(changed, 60)

        assert accepted() == [True, False]
        change(f"{second}\n{first}\n", [True, True])
        change(second, [False, True])
        if workers == "1":
            file.write_text("short")
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: any("stay as they are" in line for line in server.errors))
            assert accepted() == [False, True]
        assert server.terminate() == 0


def test_several_processes_serve_one_store(
    tmp_path: Path, echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    with Server(tmp_path / "store", "--workers", "2") as server:
        server.put("f", echo.data)

        def versions() -> set[bytes]:
            # A new connection each time, so that both processes are asked.
            answers = set()
            for _ in range(10):
                with httpx2.Client(base_url=server.url, timeout=30) as client:
                    answer = client.post("/functions/f/invoke", content=b"version")
                    answers.add(answer.content if answer.status_code == 200 else b"?")
            return answers

        wait_until(lambda: versions() == {b"VERSION"})
        server.put("f", second_echo.data)
        wait_until(lambda: versions() == {b"SECOND"})
        # What both counted is added up.
        text = server.client.get("/metrics").text
        (count,) = (
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith('dotnet_worker_calls_total{outcome="success"}')
        )
        assert count >= 20
        assert "dotnet_worker_functions 2.0" in text  # one in each process
        assert server.terminate() == 0


def deploy_always(
    url: str,
    versions: list[bytes],
    acknowledged: dict[str, int],
    in_flight: dict[str, int],
    name: str,
    seed: int,
) -> None:
    """Deploy one version of a function after the other until the server is gone."""
    chance = random.Random(seed)
    with httpx2.Client(base_url=url, timeout=30) as client:
        while True:
            number = in_flight[name] = chance.randrange(len(versions))
            try:
                answer = client.put(f"/functions/{name}", content=versions[number])
            except httpx2.TransportError:
                return
            assert answer.status_code in (200, 201), answer.text
            acknowledged[name] = number


def survive_sudden_ends(tmp_path: Path, rounds: int, seed: int) -> None:
    """Kill the worker at random moments while it deploys; look at what is left each time.

    Every deploy that was acknowledged must be there, one that was under way may be there or
    not, and what is there must work.
    """
    versions = [
        dwh.compile_csharp(ECHO.replace("VERSION", f"v{number}"), assembly_name=f"V{number}").data
        for number in range(4)
    ]
    chance = random.Random(seed)
    names = ["a", "b", "c"]
    acknowledged = dict.fromkeys(names, -1)
    in_flight: dict[str, int] = {}
    for _ in range(rounds):
        with Server(tmp_path / "store") as server:
            for name in names:
                possible = {acknowledged[name], in_flight.get(name, acknowledged[name])}
                answer = server.invoke(name, b"version")
                if answer.status_code == 404:
                    assert -1 in possible
                    continue
                found = int(answer.content.removeprefix(b"v"))
                assert answer.status_code == 200
                assert found in possible, (name, found, possible)
                assert server.client.get(f"/functions/{name}").content == versions[found]
                acknowledged[name] = found
            in_flight.clear()
            deploy = functools.partial(deploy_always, server.url, versions, acknowledged, in_flight)
            with ThreadPoolExecutor(len(names)) as threads:
                deploys = [threads.submit(deploy, n, chance.randrange(1 << 30)) for n in names]
                time.sleep(chance.uniform(0.0, 0.3))
                server.kill()
                for thread in deploys:
                    thread.result()


def test_nothing_is_lost_when_it_is_killed_while_it_deploys(tmp_path: Path) -> None:
    survive_sudden_ends(tmp_path, rounds=4, seed=1)


@pytest.mark.long
def test_nothing_is_lost_in_fifty_sudden_ends(tmp_path: Path) -> None:
    survive_sudden_ends(tmp_path, rounds=50, seed=2)
