"""The page of a worker in a browser: what a person does, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import httpx2
import uvicorn
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.chromium import console
from tests.worker.test_operation import wait_until

#: Width, height, and whether it is a phone.
SCREENS = {"desktop": (1280, 900, False), "phone": (390, 844, True)}
#: One line, because an editor indents the next one by itself.
SHOUT = (
    "using System; using System.Text; public class Shout : MinimalRuntime.IFunctionHandler "
    "{ public byte[] Execute(ReadOnlySpan<byte> input) "
    "=> Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(input).ToUpper() + SUFFIX); }"
)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address at which an application is served."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 60)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def quoted(function_id: str) -> str:
    return quote(function_id, safe="")


def forget(url: str) -> None:
    """Delete what is deployed."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        for function in client.get("/functions").json()["functions"]:
            client.delete("/functions/" + quoted(function["function_id"]))


def show_on(browser: Chrome, screen: str) -> None:
    width, height, phone = SCREENS[screen]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def get(browser: Chrome, element: str) -> WebElement:
    return browser.find_element(By.ID, element)


def text(browser: Chrome, element: str) -> str:
    return get(browser, element).text


def click(browser: Chrome, element: str) -> None:
    wait_until(lambda: get(browser, element).is_enabled())
    get(browser, element).click()


def rows(browser: Chrome) -> list[str]:
    script = "return [...document.querySelectorAll('#functions .id')].map(id => id.textContent)"
    found: list[str] = browser.execute_script(script)
    return found


def in_editor(browser: Chrome, selector: str) -> list[WebElement]:
    found: list[WebElement] = browser.execute_script(
        "return [...document.getElementById('editor').shadowRoot.querySelectorAll(arguments[0])]",
        selector,
    )
    return found


def write(browser: Chrome, source: str) -> None:
    """Type over everything in the editor."""
    [content] = in_editor(browser, ".cm-content")
    content.click()
    keys = ActionChains(browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL)
    # Deleted first: what is typed over coloured text, Chromium itself would give an inline style,
    # which the policy then refuses.
    keys.send_keys(Keys.DELETE, source).perform()


def fill(browser: Chrome, content: str) -> None:
    """Type over the payload."""
    payload = browser.find_element(By.CSS_SELECTOR, "[data-name=payload]")
    payload.clear()
    payload.send_keys(content)


def call(browser: Chrome, content: str, answer: str) -> None:
    fill(browser, content)
    click(browser, "invoke")
    wait_until(lambda: answer in text(browser, "result"))


def open_page(browser: Chrome, url: str, path: str = "/") -> None:
    browser.get(url + path)
    wait_until(lambda: text(browser, "state") == "ready")


def put(url: str, function_id: str, content: bytes, kind: str = "application/octet-stream") -> None:
    answer = httpx2.put(
        f"{url}/functions/{quoted(function_id)}",
        content=content,
        headers={"content-type": kind},
        timeout=60,
    )
    assert answer.status_code in (200, 201), answer.text


def wrong(browser: Chrome, *expected: str) -> list[str]:
    """What the browser complains about, but for answers with an expected status."""
    said = [text for level, text in console(browser) if level == "SEVERE"]
    return [line for line in said if not any(f"status of {each}" in line for each in expected)]
