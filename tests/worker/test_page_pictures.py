"""The pictures of the page in the documentation, made by a person's steps in a browser.

``DOTNET_WASM_HOST_PICTURES=docs/figures python -m pytest tests/worker/test_page_pictures.py``
writes them there; otherwise they are made and thrown away.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import httpx2
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

import dotnet_wasm_host as dwh
from tests.docs.snippets import ROOT
from tests.worker.browsing import (
    click,
    get,
    in_editor,
    open_page,
    put,
    quoted,
    rows,
    show_on,
    text,
    wrong,
)
from tests.worker.test_operation import wait_until

pytestmark = pytest.mark.long

FOLDER = "DOTNET_WASM_HOST_PICTURES"
SECONDS = 20


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where they are written."""
    return ROOT / os.environ[FOLDER] if os.environ.get(FOLDER) else tmp_path


def take(browser: Chrome, path: Path) -> None:
    assert browser.save_screenshot(str(path))
    # Width and height are in the header of a PNG (RFC 2083, 4.1.1).
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    assert width >= 390
    assert height >= 844
    assert path.stat().st_size > 20_000


def set_mode(browser: Chrome, mode: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": mode}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def traffic(url: str, *names: str) -> None:
    """Calls for some seconds, some of which fail."""
    end = time.monotonic() + SECONDS
    number = 0
    with httpx2.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < end:
            number += 1
            for place, name in enumerate(names):
                payload = b"throw" if number % 40 == 39 and place == 1 else b"spin %d" % (place * 3)
                client.post(
                    f"/functions/{quoted(name)}/invoke",
                    content=b'{"name": "Ada"}' if place == 0 else payload,
                    headers={"content-type": "application/json"},
                )
            time.sleep(0.05)


def test_pictures(browser: Chrome, url: str, echo: dwh.Assembly, pictures: Path) -> None:
    for name in ("orders/parse", "price-quote", "thumbnails"):
        put(url, name, echo.data)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1360, "height": 1040, "deviceScaleFactor": 1, "mobile": False},
    )
    open_page(browser, url)
    click(browser, "new")
    wait_until(lambda: text(browser, "title") == "New function")
    click(browser, "deploy")
    wait_until(lambda: "greet" in rows(browser), 60)
    traffic(url, "greet", "price-quote", "orders/parse")
    field = browser.find_element(By.CSS_SELECTOR, "#fields [data-name]")
    field.clear()
    field.send_keys("Ada")
    click(browser, "invoke")
    wait_until(lambda: "Hello, Ada!" in text(browser, "result"))
    wait_until(lambda: text(browser, "log") != "")
    browser.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    take(browser, pictures / "worker-page.png")

    set_mode(browser, "dark")
    show_on(browser, "phone")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 1.5, "mobile": True},
    )
    click(browser, "new")
    [content] = in_editor(browser, ".cm-content")
    content.click()
    keys = ActionChains(browser).key_down(Keys.CONTROL).send_keys(Keys.HOME).key_up(Keys.CONTROL)
    keys.send_keys(Keys.DELETE).perform()
    click(browser, "deploy")
    wait_until(lambda: text(browser, "problems") != "", 60)
    assert in_editor(browser, ".cm-lintRange-error")
    browser.execute_script("arguments[0].scrollIntoView()", get(browser, "title"))
    browser.execute_script("document.activeElement.blur()")
    take(browser, pictures / "worker-page-phone.png")
    assert wrong(browser, "422", "500") == []
