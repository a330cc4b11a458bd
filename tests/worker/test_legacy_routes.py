"""The original wrapper's client code works unchanged: its JSON, to the letter."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

import dotnet_wasm_host as dwh
from dotnet_wasm_host.options import MIB, Limits
from dotnet_wasm_host.worker import WorkerOptions


def load(client: TestClient, function_id: str, assembly: bytes) -> dict[str, object]:
    answer = client.post("/load", json={"functionId": function_id, "assembly": list(assembly)})
    body: dict[str, object] = answer.json()
    return {"status": answer.status_code, **body}


def test_health_is_the_seeds(client: TestClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.text == '{"status":"ok","runtime":"dotnet-minimal","version":"10.0"}'
    assert answer.headers["content-type"] == "application/json"


def test_bytes_go_in_and_out_as_arrays_of_numbers(client: TestClient, echo: dwh.Assembly) -> None:
    assert load(client, "echo", echo.data) == {"status": 200, "success": True}
    answer = client.post("/invoke", json={"functionId": "echo", "payload": list(range(256))})
    assert answer.status_code == 200
    numbers = ",".join(map(str, range(256)))
    assert answer.text == f'{{"success":true,"result":[{numbers}]}}'
    answer = client.post("/invoke", json={"functionId": "echo", "payload": []})
    assert answer.json() == {"success": True, "result": []}


def test_load_replaces(client: TestClient, echo: dwh.Assembly, second_echo: dwh.Assembly) -> None:
    version = {"functionId": "f", "payload": list(b"version")}
    load(client, "f", echo.data)
    assert bytes(client.post("/invoke", json=version).json()["result"]) == b"VERSION"
    load(client, "f", second_echo.data)
    assert bytes(client.post("/invoke", json=version).json()["result"]) == b"SECOND"


def test_what_goes_wrong_in_a_function_is_500(client: TestClient, echo: dwh.Assembly) -> None:
    load(client, "echo", echo.data)
    answers = {
        name: client.post("/invoke", json={"functionId": function_id, "payload": list(payload)})
        for name, function_id, payload in [
            ("missing", "nothing", b""),
            ("throws", "echo", b"throw"),
            ("exits", "echo", b"exit"),
        ]
    }
    assert {answer.status_code for answer in answers.values()} == {500}
    assert {name: answer.json() for name, answer in answers.items()} == {
        "missing": {
            "success": False,
            "error": "function 'nothing' is not deployed; deploy it first",
        },
        "throws": {
            "success": False,
            "error": "System.InvalidOperationException in function 'echo': thrown",
        },
        "exits": {"success": False, "error": "the guest terminated itself with exit code 3"},
    }


def test_an_assembly_that_cannot_be_loaded_is_500(
    client: TestClient, no_handler: dwh.Assembly
) -> None:
    for assembly in (b"", b"junk", no_handler.data):
        answer = load(client, "f", assembly)
        assert (answer["status"], answer["success"]) == (500, False)
        assert "'f' could not be loaded" in str(answer["error"])
    assert client.get("/functions").json() == {"functions": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"payload": []}',
        b'{"functionId": 1, "payload": []}',
        b'{"functionId": "f", "payload": 3}',
        b'{"functionId": "f", "payload": "AQI="}',
        b'{"functionId": "f", "payload": [256]}',
        b'{"functionId": "f", "payload": [-1]}',
        b'{"functionId": "f", "payload": [1.5]}',
        b'{"functionId": "f", "payload": [true]}',
        b'{"functionId": "f", "payload": [NaN]}',
        b'{"functionId": "f", "payload": [null]}',
        b'{"functionId": "f", "payload": [[]]}',
        b'{"functionId": "\xff", "payload": []}',
    ],
)
def test_what_is_no_such_request_is_400(client: TestClient, body: bytes) -> None:
    for path in ("/invoke", "/load"):
        answer = client.post(
            path, content=body.replace(b"payload", b"assembly" if path == "/load" else b"payload")
        )
        assert answer.status_code == 400
        assert answer.json()["success"] is False
        assert answer.json()["error"]


def test_ids_are_checked(client: TestClient, echo: dwh.Assembly) -> None:
    for function_id in ("", "\0", "x" * 1025):
        answer = load(client, function_id, echo.data)
        assert (answer["status"], answer["success"]) == (400, False)


def test_other_paths_are_not_found_as_text(client: TestClient) -> None:
    for path in ("/nothing", "/invoke/", "/health/x"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (404, "Not Found")
        assert answer.headers["content-type"].startswith("text/plain")


def test_json_bodies_have_limits(make_client: object) -> None:
    assert callable(make_client)
    options = WorkerOptions(
        limits=Limits(timeout=5, payload_bytes=100, result_bytes=100), assembly_bytes=5 * MIB
    )
    client = make_client(options)
    body = json.dumps({"functionId": "f", "payload": [0] * 101})
    answer = client.post("/invoke", content=body)
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert "101 bytes" in answer.json()["error"]
    answer = client.post("/invoke", content=b" " * (options.json_bytes + 1))
    assert (answer.status_code, answer.json()["success"]) == (413, False)
