"""The page at /, in the Chromium of the system."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import create_app, page
from tests.worker.browsing import (
    SCREENS,
    SHOUT,
    call,
    click,
    get,
    in_editor,
    open_page,
    put,
    rows,
    serving,
    show_on,
    text,
    write,
    wrong,
)
from tests.worker.test_operation import wait_until


@pytest.mark.parametrize("screen", SCREENS)
def test_a_person_writes_repairs_deploys_calls_and_deletes(
    browser: Chrome, url: str, screen: str
) -> None:
    show_on(browser, screen)
    open_page(browser, url)
    assert text(browser, "title") == "New function"
    assert "Nothing is deployed yet" in text(browser, "none")
    assert text(browser, "dotnet") == "10.0" or screen == "phone"
    assert not get(browser, "invoke").is_enabled()

    write(browser, SHOUT)
    get(browser, "name").clear()
    get(browser, "name").send_keys("shout")
    click(browser, "deploy")
    wait_until(lambda: "SUFFIX" in text(browser, "problems"), 60)
    problem = browser.find_element(By.CSS_SELECTOR, "#problems button")
    column = SHOUT.index("SUFFIX") + 1
    label = problem.get_property("textContent")
    assert str(label).startswith(f"error in line and column 1:{column}The name 'SUFFIX'")
    [mark] = in_editor(browser, ".cm-lintRange-error")
    assert mark.text == "SUFFIX"
    assert len(in_editor(browser, ".cm-lint-marker-error")) == 1
    assert rows(browser) == []

    problem.click()  # the editor's cursor is at the fault now
    keys = ActionChains(browser).send_keys(Keys.DELETE * len("SUFFIX"), '"!"')
    keys.key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    wait_until(lambda: rows(browser) == ["shout"], 60)
    assert text(browser, "problems") == ""
    assert text(browser, "source-state") == "deployed"
    assert in_editor(browser, ".cm-lintRange-error") == []

    call(browser, "Grüezi", "GRÜEZI!")
    assert text(browser, "timing").startswith("200 · ")

    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    click(browser, "delete")
    assert text(browser, "delete-title") == "Delete shout?"
    browser.find_element(By.CSS_SELECTOR, "#delete-dialog [value=no]").click()
    assert rows(browser) == ["shout"]
    click(browser, "delete")
    browser.find_element(By.CSS_SELECTOR, "#delete-dialog [value=yes]").click()
    wait_until(lambda: rows(browser) == [])
    assert text(browser, "title") == "New function"
    assert text(browser, "result") in ("", "The result comes here.")
    assert httpx2.get(url + "/functions").json() == {"functions": []}
    assert wrong(browser, "422") == []


def test_a_failed_input_clears_the_last_result(
    browser: Chrome, url: str, echo: dwh.Assembly
) -> None:
    put(url, "echo", echo.data)
    open_page(browser, url)
    call(browser, "first", "first")
    browser.find_element(By.CSS_SELECTOR, "input[value=hex]").click()
    call(browser, "01 fF", "01 ff")
    call(browser, "0", "This is not hex")
    field = browser.find_element(By.CSS_SELECTOR, "[data-name=payload]")
    assert "01 ff" not in text(browser, "result")
    assert text(browser, "timing") == ""
    assert field.get_attribute("aria-invalid") == "true"
    assert browser.switch_to.active_element == field
    browser.find_element(By.CSS_SELECTOR, "input[value=text]").click()
    call(browser, "throw", "System.InvalidOperationException in function 'echo': thrown")
    assert wrong(browser, "500") == []


def test_figures_and_the_plot_survive_a_reload(
    browser: Chrome, url: str, echo: dwh.Assembly
) -> None:
    put(url, "echo", echo.data)
    put(url, "other", echo.data)
    open_page(browser, url, "/#echo")
    for _ in range(3):
        call(browser, "first", "first")
    wait_until(lambda: "3 calls" in text(browser, "functions"))
    wait_until(lambda: "echo" in text(browser, "legend"))
    script = "return Number(document.querySelector('#plot').dataset.points)"
    wait_until(lambda: browser.execute_script(script) >= 3)
    before = browser.execute_script(script)
    browser.refresh()
    wait_until(lambda: browser.execute_script(script) > before)
    assert browser.execute_script(PAINTED) > 10
    assert text(browser, "title") == "echo"
    assert wrong(browser) == []


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


def test_the_page_is_made_of_its_own_files_only(make_client: Any) -> None:
    client: TestClient = make_client()
    index = client.get("/")
    assert index.headers["content-type"].startswith("text/html")
    policy = index.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in index.text.replace("<!--", "")
    paths = [route.path for route in page.page_routes() if route.path != "/"]
    assert len(paths) > 8
    for path in paths:
        file = client.get(path)
        assert file.status_code == 200
        assert file.headers["x-content-type-options"] == "nosniff"
        plain = client.get(path, headers={"accept-encoding": "identity"})
        assert plain.content == file.content
        if path != "/page/editor.js":  # in it are the addresses of two documentation pages
            assert "http://" not in file.text.replace("http://www.w3.org/2000/svg", "")
            assert "https://" not in file.text


def test_a_package_without_the_editor_has_a_text_field(
    browser: Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_editor", lambda: None)
    with serving(create_app()) as url:
        open_page(browser, url)
        assert "a plain text field" in text(browser, "editor-note")
        field = browser.find_element(By.CSS_SELECTOR, "#editor textarea")
        field.clear()
        field.send_keys(SHOUT)
        click(browser, "deploy")
        wait_until(lambda: "SUFFIX" in text(browser, "problems"), 60)
        browser.find_element(By.CSS_SELECTOR, "#problems button").click()
        start = SHOUT.index("SUFFIX")
        assert browser.execute_script("return arguments[0].selectionStart", field) == start
        assert wrong(browser, "422") == []
        # Another server gets this port one day.
        browser.execute_script("localStorage.clear(); sessionStorage.clear()")
