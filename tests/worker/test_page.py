"""The page at /, in the Chromium of the system."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from fastapi.testclient import TestClient
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import create_app
from tests.chromium import chromium, console
from tests.worker.test_operation import wait_until


@pytest.fixture
def url() -> Iterator[str]:
    app = create_app()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 60)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def cells(browser: Chrome) -> list[list[str]]:
    script = (
        "return [...document.querySelectorAll('#functions tbody tr')]"
        ".map(row => [...row.children].map(cell => cell.textContent))"
    )
    rows: list[list[str]] = browser.execute_script(script)
    return rows


def text(browser: Chrome, element: str) -> str:
    return browser.find_element(By.ID, element).text


def test_a_person_sees_functions_and_calls_them(
    browser: Chrome, url: str, echo: dwh.Assembly, tmp_path: Path
) -> None:
    browser.get(url)
    wait_until(lambda: text(browser, "state") == "ready")
    assert "Nothing is deployed yet" in text(browser, "none")
    assert text(browser, "dotnet") == "10.0"

    with httpx2.Client(base_url=url) as client:
        for name in ("orders", "<b>markup</b>"):
            assert client.put(f"/functions/{name}", content=echo.data).status_code == 201
    wait_until(lambda: len(cells(browser)) == 2)
    assert [row[0] for row in cells(browser)] == ["<b>markup</b>", "orders"]
    assert cells(browser)[1][1] == echo.sha256[:10]

    Select(browser.find_element(By.ID, "function")).select_by_value("orders")
    payload = browser.find_element(By.ID, "payload")
    invoke = browser.find_element(By.CSS_SELECTOR, "#try button")

    def call(content: str, answer: str) -> None:
        payload.clear()
        payload.send_keys(content)
        invoke.click()
        wait_until(lambda: answer in text(browser, "result"))

    call("Grüße", "Grüße")
    assert text(browser, "timing").startswith("200, ")
    call("throw", "System.InvalidOperationException in function 'orders': thrown")
    browser.find_element(By.CSS_SELECTOR, "input[value=hex]").click()
    call("00 fF", "00 ff")
    call("0", "not hex")

    wait_until(lambda: cells(browser)[1][2:4] == ["3", "1"])
    assert "orders" in text(browser, "legend")
    wait_until(lambda: browser.execute_script(PAINTED) > 10)
    log = [said for level, said in console(browser) if level == "SEVERE"]
    # The failed call was answered with 500, which browsers write down; nothing else went wrong.
    assert [said for said in log if "status of 500" not in said] == []
    assert browser.save_screenshot(str(tmp_path / "page.png"))


#: Pixels of the plot in a colour; its grid and labels are grey.
PAINTED = """
const canvas = document.getElementById("plot");
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
const rgb = (i) => pixels.slice(i, i + 3);
let painted = 0;
for (let i = 0; i < pixels.length; i += 4)
  if (pixels[i + 3] > 200 && Math.max(...rgb(i)) - Math.min(...rgb(i)) > 100) painted++;
return painted;
"""


def test_the_page_is_made_of_its_own_files_only(make_client: object) -> None:
    assert callable(make_client)
    client: TestClient = make_client()
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in ("page/style.css", "page/page.js", "page/plot.js", "page/icon.svg"):
        file = client.get(f"/{path}")
        assert file.status_code == 200
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "http://" not in file.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in file.text
    assert "//" not in page.text.replace("<!--", "")
