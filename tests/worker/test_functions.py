"""The routes under /functions."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host.options import Limits
from dotnet_wasm_host.worker import WorkerOptions, create_app
from tests.worker.conftest import ECHO, MakeClient, put


def problem(answer: object, status: int, kind: str) -> dict[str, object]:
    """The members of problem details that are what they should be."""
    assert answer.status_code == status, answer.text  # type: ignore[attr-defined]
    assert answer.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    body: dict[str, object] = answer.json()  # type: ignore[attr-defined]
    assert (body["type"], body["status"]) == (f"urn:dotnet-wasm-host:{kind}", status)
    assert body["title"]
    assert body["detail"]
    return body


def test_deploy_call_replace_and_unload(
    client: TestClient, echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    answer = client.put("/functions/echo", content=echo.data)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/functions/echo"
    assert answer.headers["etag"] == f'"{echo.sha256}"'
    description = answer.json()
    assert description["sha256"] == hashlib.sha256(echo.data).hexdigest()
    assert (description["handler_type"], description["size"]) == ("Echo", len(echo.data))
    called = client.post("/functions/echo/invoke", content=b"\0\xff")
    assert (called.status_code, called.content) == (200, b"\0\xff")
    assert called.headers["content-type"] == "application/octet-stream"
    answer = client.put("/functions/echo", content=second_echo.data)
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'"{second_echo.sha256}"'
    assert client.post("/functions/echo/invoke", content=b"version").content == b"SECOND"
    answer = client.delete("/functions/echo")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(client.post("/functions/echo/invoke"), 404, "function-not-found")
    problem(client.delete("/functions/echo"), 404, "function-not-found")


def test_source_is_compiled(client: TestClient) -> None:
    headers = {"content-type": "text/x-csharp; charset=utf-8"}
    assert client.put("/functions/f", content=ECHO, headers=headers).status_code == 201
    assert client.post("/functions/f/invoke", content=b"x").content == b"x"
    answer = client.put("/functions/f", content="class {", headers=headers)
    diagnostics = problem(answer, 422, "compilation-failed")["diagnostics"]
    assert isinstance(diagnostics, list)
    assert diagnostics[0]["id"].startswith("CS")
    problem(client.put("/functions/f", content=b"\xff", headers=headers), 400, "bad-request")
    assert client.post("/functions/f/invoke", content=b"x").content == b"x"


def test_what_cannot_be_loaded_changes_nothing(
    client: TestClient, echo: dwh.Assembly, no_handler: dwh.Assembly
) -> None:
    put(client, "f", echo)
    problem(client.put("/functions/f", content=b"junk"), 422, "assembly-not-loadable")
    problem(client.put("/functions/f", content=no_handler.data), 422, "handler-not-found")
    problem(
        client.put("/functions/f", content=echo.data, params={"handler": "Missing"}),
        422,
        "handler-not-found",
    )
    problem(
        client.put("/functions/f", content=b"{}", headers={"content-type": "application/json"}),
        415,
        "unsupported-type",
    )
    assert client.post("/functions/f/invoke", content=b"version").content == b"VERSION"
    assert client.get("/functions/f").headers["etag"] == f'"{echo.sha256}"'


def test_download_gives_what_was_deployed(client: TestClient, echo: dwh.Assembly) -> None:
    put(client, "f", echo)
    answer = client.get("/functions/f")
    assert answer.content == echo.data
    digest = base64.b64encode(hashlib.sha256(echo.data).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    head = client.head("/functions/f")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(echo.data))
    tag = head.headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        unchanged = client.get("/functions/f", headers={"if-none-match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == tag
    assert client.get("/functions/f", headers={"if-none-match": '"other"'}).status_code == 200
    problem(client.get("/functions/g"), 404, "function-not-found")


def test_conditions_guard_against_lost_updates(
    client: TestClient, echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    def deploy(assembly: dwh.Assembly, **headers: str) -> object:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.put("/functions/f", content=assembly.data, headers=named)

    problem(deploy(echo, if_match="*"), 412, "precondition-failed")
    assert deploy(echo, if_none_match="*").status_code == 201  # type: ignore[attr-defined]
    problem(deploy(second_echo, if_none_match="*"), 412, "precondition-failed")
    problem(deploy(second_echo, if_match=f'"{second_echo.sha256}"'), 412, "precondition-failed")
    # Weak tags never match here (RFC 9110, 13.1.1).
    problem(deploy(second_echo, if_match=f'W/"{echo.sha256}"'), 400, "bad-request")
    problem(deploy(second_echo, if_match="unquoted"), 400, "bad-request")
    assert client.post("/functions/f/invoke", content=b"version").content == b"VERSION"
    assert deploy(second_echo, if_match=f'"{echo.sha256}"').status_code == 200  # type: ignore[attr-defined]
    stale = client.delete("/functions/f", headers={"if-match": f'"{echo.sha256}"'})
    problem(stale, 412, "precondition-failed")
    fresh = client.delete("/functions/f", headers={"if-match": f'"{second_echo.sha256}"'})
    assert fresh.status_code == 204


def test_of_deploys_on_one_condition_one_wins(
    client: TestClient, echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    put(client, "f", echo)
    headers = {"if-match": f'"{echo.sha256}"'}
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        answers = list(
            threads.map(
                lambda _: client.put("/functions/f", content=second_echo.data, headers=headers),
                range(6),
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412, 412]


def test_failures_of_functions_are_told_apart(make_client: MakeClient, echo: dwh.Assembly) -> None:
    client = make_client(WorkerOptions(limits=Limits(timeout=5.0, result_bytes=1000)))
    put(client, "f", echo, timeout=0.2)
    thrown = problem(client.post("/functions/f/invoke", content=b"throw"), 500, "function-failed")
    assert thrown["dotnet_type"] == "System.InvalidOperationException"
    assert thrown["dotnet_message"] == "thrown"
    assert "stack_trace" not in thrown
    exited = problem(
        client.post("/functions/f/invoke", content=b"exit"), 500, "function-terminated"
    )
    assert exited["exit_code"] == 3
    problem(client.post("/functions/f/invoke", content=b"loop"), 504, "function-timeout")
    problem(client.post("/functions/f/invoke", content=bytes(2000)), 500, "limit-exceeded")
    assert client.post("/functions/f/invoke", content=b"fine").content == b"fine"


def test_stack_traces_are_shown_when_asked_for(make_client: MakeClient, echo: dwh.Assembly) -> None:
    client = make_client(WorkerOptions(stack_traces=True))
    put(client, "f", echo)
    thrown = problem(client.post("/functions/f/invoke", content=b"throw"), 500, "function-failed")
    assert "at Echo.Execute" in str(thrown["stack_trace"])
    assert "System.FormatException" in str(thrown["inner"])


def test_settings_of_a_function_stay_within_the_workers(
    client: TestClient, echo: dwh.Assembly
) -> None:
    put(client, "f", echo, timeout=2.5, concurrency=1)
    (description,) = client.get("/functions").json()["functions"]
    assert (description["timeout"], description["concurrency"]) == (2.5, 1)
    for parameters in ({"timeout": 31}, {"timeout": 0}, {"concurrency": 0}, {"concurrency": 3}):
        answer = client.put("/functions/f", content=echo.data, params=parameters)
        problem(answer, 422, "invalid-parameters")


def test_functions_have_a_limit(make_client: MakeClient, echo: dwh.Assembly) -> None:
    client = make_client(WorkerOptions(functions=2))
    put(client, "a", echo)
    put(client, "b", echo)
    problem(client.put("/functions/c", content=echo.data), 507, "too-many-functions")
    put(client, "b", echo)
    assert client.delete("/functions/a").status_code == 204
    put(client, "c", echo)


def test_bodies_have_limits(make_client: MakeClient, echo: dwh.Assembly) -> None:
    client = make_client(
        WorkerOptions(limits=Limits(timeout=5.0, payload_bytes=1000), assembly_bytes=100_000)
    )
    put(client, "f", echo)

    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(100)

    assert client.post("/functions/f/invoke", content=bytes(1000)).status_code == 200
    for content in (bytes(1001), chunks()):
        answer = client.post("/functions/f/invoke", content=content)
        problem(answer, 413, "body-too-large")
    problem(client.put("/functions/f", content=bytes(100_001)), 413, "body-too-large")


@pytest.fixture(scope="module")
def shared_client(echo: dwh.Assembly) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        put(client, "f", echo)
        yield client


@settings(max_examples=30)
@given(payload=st.binary(max_size=3000))
def test_bytes_come_back_as_they_went(shared_client: TestClient, payload: bytes) -> None:
    if payload in (b"loop", b"exit", b"throw", b"count", b"version") or payload[:5] == b"sleep":
        payload += b"."
    answer = shared_client.post("/functions/f/invoke", content=payload)
    assert (answer.status_code, answer.content) == (200, payload)


# The test client, unlike servers, decodes percent signs twice.
@settings(max_examples=20)
@given(
    function_id=st.sampled_from(["\n", "a\n", "a/invoke/b", "a/b", "?", "#"])
    | st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0%"), min_size=1, max_size=20
    ).filter(lambda text: {*text} - {"."} and not text.startswith("/"))
)
def test_ids_are_any_text(shared_client: TestClient, echo: dwh.Assembly, function_id: str) -> None:
    path = f"/functions/{quote(function_id, safe='')}"
    assert shared_client.put(path, content=echo.data).status_code in (200, 201)
    try:
        assert shared_client.post(f"{path}/invoke", content=b"x").content == b"x"
        assert shared_client.get(path).content == echo.data
        listed = [f["function_id"] for f in shared_client.get("/functions").json()["functions"]]
        assert function_id in listed
    finally:
        assert shared_client.delete(path).status_code == 204


def test_methods_that_a_path_does_not_have_are_named(client: TestClient) -> None:
    for method, path, allowed in [
        ("POST", "/functions/f", "DELETE, GET, HEAD, PUT"),
        ("PUT", "/functions/f/invoke", "POST"),
        ("POST", "/functions", "GET"),
        ("GET", "/load", "POST"),
    ]:
        answer = client.request(method, path)
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allowed


def test_isolation_is_of_functions_by_default(client: TestClient, echo: dwh.Assembly) -> None:
    put(client, "a", echo, concurrency=1)
    put(client, "b", echo, concurrency=1)
    counts = [client.post(f"/functions/{f}/invoke", content=b"count").content for f in "aabab"]
    assert counts == [b"1", b"2", b"1", b"3", b"2"]


def test_replacing_under_load_loses_no_call(
    client: TestClient, echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    put(client, "f", echo)
    done = False

    def call() -> set[bytes]:
        seen = set()
        while not done:
            answer = client.post("/functions/f/invoke", content=b"version")
            assert answer.status_code == 200, answer.text
            seen.add(answer.content)
        return seen

    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(call) for _ in range(3)]
        for assembly in (second_echo, echo) * 5:
            put(client, "f", assembly)
        done = True
        assert set().union(*(c.result() for c in calls)) <= {b"VERSION", b"SECOND"}


@pytest.mark.parametrize("path", ["%ff", "a%ffb", "%c3", "%ed%a0%80"])
def test_ids_that_are_not_utf8_are_refused(shared_client: TestClient, path: str) -> None:
    for method, end in (("PUT", ""), ("GET", ""), ("DELETE", ""), ("POST", "/invoke")):
        answer = shared_client.request(method, f"/functions/{path}{end}", content=b"x")
        problem(answer, 400, "bad-request")
        assert "UTF-8" in answer.json()["detail"]


def test_the_replacement_character_is_one_like_any_other(
    shared_client: TestClient, echo: dwh.Assembly
) -> None:
    assert shared_client.put("/functions/%ef%bf%bd", content=echo.data).status_code == 201
    assert shared_client.post("/functions/%ef%bf%bd/invoke", content=b"x").content == b"x"
    assert shared_client.delete("/functions/%ef%bf%bd").status_code == 204
