"""The guides for FastAPI, Flask and Django, with the real frameworks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guides.guide_files import run, write_guide

pytestmark = pytest.mark.slow

FASTAPI = """
import warnings
from fastapi.testclient import TestClient
from app import app

with TestClient(app, raise_server_exceptions=False) as client:
    assert client.post("/shout", content="Ada".encode()).text == "ADA"
    assert client.get("/total", params={"price": "1.10", "count": 3}).json() == "3.30"
    assert client.post("/shout", content=b"").status_code == 422
    assert client.post("/shout", content=b"for ever").status_code == 504
    assert client.post("/shout", content=b"still here").text == "STILL HERE"
    pool = app.state.pool
assert pool.closed
"""
FLASK = """
import app

assert app.orders.cache_info().currsize == 0  # nothing is made by the import
client = app.app.test_client()
order = {"Item": "apple", "Count": 3, "Cents": 35}
answer = client.post("/total", json=[order, order])
assert (answer.status_code, answer.json) == (200, {"total": 210}), answer.text
assert client.post("/total", json=[]).status_code == 400
assert "there are no orders" in client.post("/total", json=[]).text
assert client.post("/total", json=[{"Item": 1}]).status_code == 400
"""
DJANGO = """
import asyncio, django
from django.conf import settings

settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["testserver"], SECRET_KEY="x")
django.setup()

import dotnet
from django.core.management import call_command
from django.test import AsyncClient, Client

call_command("check")
assert dotnet.pool.cache_info().currsize == 0
answer = Client().get("/slug", {"title": "Hello,  Ada & Co!"})
assert answer.json() == {"slug": "hello-ada-co"}, answer.content


async def many():
    client = AsyncClient()
    return await asyncio.gather(*(client.post("/echo", str(n), "text/plain") for n in range(20)))


assert [answer.content for answer in asyncio.run(many())] == [b"%d" % n for n in range(20)]
dotnet.text().close()
dotnet.pool().close()
"""


def test_fastapi(tmp_path: Path) -> None:
    write_guide("fastapi", tmp_path, "app.py")
    run(tmp_path, "-c", FASTAPI)


def test_flask(tmp_path: Path) -> None:
    write_guide("flask", tmp_path, "app.py")
    run(tmp_path, "-c", FLASK)


def test_django(tmp_path: Path) -> None:
    write_guide("django", tmp_path, "dotnet.py", "views.py", "urls.py")
    run(tmp_path, "-W", "error", "-c", DJANGO)
