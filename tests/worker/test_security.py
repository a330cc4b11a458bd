"""Who may do what."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

import dotnet_wasm_host as dwh
from dotnet_wasm_host.options import Limits
from dotnet_wasm_host.worker import WorkerOptions
from dotnet_wasm_host.worker.addresses import is_loopback
from dotnet_wasm_host.worker.settings import InsecureAddress, ServeSettings
from tests.worker.conftest import TOKEN, MakeClient
from tests.worker.test_functions import problem

AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


def changes(client: TestClient, echo: dwh.Assembly, headers: dict[str, str]) -> list[int]:
    """Status of everything that needs the token."""
    return [
        client.put("/functions/f", content=echo.data, headers=headers).status_code,
        client.get("/functions/f", headers=headers).status_code,
        client.post(
            "/load", json={"functionId": "f", "assembly": list(echo.data)}, headers=headers
        ).status_code,
        client.post("/admin/reload", headers=headers).status_code,
        client.delete("/functions/f", headers=headers).status_code,
    ]


def test_changes_need_the_token(make_client: MakeClient, echo: dwh.Assembly) -> None:
    client = make_client(WorkerOptions(token=TOKEN))
    for wrong in (
        "",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer",
    ):
        assert changes(client, echo, {"authorization": wrong}) == [401] * 5
    assert changes(client, echo, {}) == [401] * 5
    answer = client.put("/functions/f", content=echo.data)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = client.post("/load", json={"functionId": "f", "assembly": []})
    assert answer.json()["success"] is False
    assert client.get("/functions").json() == {"functions": []}
    assert changes(client, echo, AUTHORIZED) == [201, 200, 200, 202, 204]
    assert changes(client, echo, {"authorization": f"bearer  {TOKEN}"}) == [201, 200, 200, 202, 204]


def test_calls_need_no_token_unless_they_do(make_client: MakeClient, echo: dwh.Assembly) -> None:
    for needed in (False, True):
        client = make_client(WorkerOptions(token=TOKEN, token_for_calls=needed))
        client.put("/functions/f", content=echo.data, headers=AUTHORIZED)

        def calls(client: TestClient, headers: dict[str, str]) -> list[int]:
            return [
                client.post("/functions/f/invoke", content=b"x", headers=headers).status_code,
                client.post(
                    "/invoke", json={"functionId": "f", "payload": []}, headers=headers
                ).status_code,
                client.get("/functions", headers=headers).status_code,
                client.get("/metrics", headers=headers).status_code,
            ]

        assert calls(client, {}) == [401 if needed else 200] * 4
        assert calls(client, AUTHORIZED) == [200] * 4
        assert client.get("/health").status_code == client.get("/ready").status_code == 200


def test_web_pages_of_others_cannot_deploy(client: TestClient, echo: dwh.Assembly) -> None:
    foreign = {"origin": "https://example.org"}
    assert changes(client, echo, foreign) == [403] * 5
    assert changes(client, echo, {"origin": "null"}) == [403] * 5
    problem(client.put("/functions/f", content=b"", headers=foreign), 403, "forbidden")
    own = {"origin": "http://testserver"}
    assert changes(client, echo, own) == [201, 200, 200, 202, 204]


def test_only_allowed_host_names_are_answered(make_client: MakeClient) -> None:
    client = make_client(WorkerOptions(allowed_hosts=("127.0.0.1",)))
    assert client.get("/health", headers={"host": "127.0.0.1:8080"}).status_code == 200
    assert client.get("/health", headers={"host": "rebound.example.org"}).status_code == 400


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_other_addresses_need_a_token(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    settings = ServeSettings(store=":memory:", host=host)
    if loopback:
        settings.check()
        assert settings.options().allowed_hosts == ("127.0.0.1", "localhost", "[::1]")
    else:
        with pytest.raises(InsecureAddress, match="without a token"):
            settings.check()
    with_token = ServeSettings(store=":memory:", host=host, token=TOKEN)
    with_token.check()
    assert with_token.options().allowed_hosts == ("*",)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="16 characters"):
        WorkerOptions(token="short")
    with pytest.raises(ValueError, match="HTTP header"):
        WorkerOptions(token="sixteen letters\n and more")
    with pytest.raises(ValueError, match="needs a token"):
        WorkerOptions(token_for_calls=True)
    with pytest.raises(ValueError, match="deadline"):
        WorkerOptions(limits=Limits())
    with pytest.raises(ValueError, match="places"):
        WorkerOptions(places=0)


def test_the_token_before_is_accepted_until_it_is_taken_back(
    make_client: MakeClient, echo: dwh.Assembly
) -> None:
    other = "another battery staple"
    client = make_client(WorkerOptions(token=TOKEN, previous_token=other))

    def statuses() -> list[int]:
        return [
            client.put(
                "/functions/f", content=echo.data, headers={"authorization": f"Bearer {token}"}
            ).status_code
            for token in (TOKEN, other, "neither of the tokens")
        ]

    assert statuses() == [201, 200, 401]
    client.app.state.guard.accept((TOKEN,))  # type: ignore[attr-defined]
    assert statuses() == [200, 401, 401]
    with pytest.raises(ValueError, match="previous_token"):
        WorkerOptions(previous_token=other)


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(WorkerOptions(token=TOKEN))
    assert TOKEN not in repr(ServeSettings(store="x", token=TOKEN))
