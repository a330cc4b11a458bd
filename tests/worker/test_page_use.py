"""The page at / without a mouse, for everybody, with files, tokens and other people's changes."""

from __future__ import annotations

import base64
import json

import httpx2
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import WorkerOptions, create_app
from runtime_artifacts.pipeline import fetch
from runtime_artifacts.pipeline.build import Sources
from tests.worker.browsing import (
    SCREENS,
    SHOUT,
    call,
    click,
    fill,
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
from tests.worker.conftest import TOKEN
from tests.worker.test_bundles import zipped
from tests.worker.test_operation import wait_until

pytestmark = pytest.mark.long

TALKATIVE = b"""
using System; using System.Text; using System.Threading;
public sealed class Talkative : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        Console.WriteLine("began");
        if (input.Length == 4) Thread.Sleep(30_000);
        Console.Error.WriteLine("watch out");
        return input.ToArray();
    }
}
"""


def focused(browser: Chrome) -> str:
    """Id or text of what has the focus; the editor is one thing."""
    script = "const e = document.activeElement; return e.id || e.textContent.trim() || e.tagName"
    found: str = browser.execute_script(script)
    return found


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def drop(browser: Chrome, name: str, content: bytes) -> None:
    """Drop a file on the page."""
    browser.execute_script(
        """
        const content = Uint8Array.from(atob(arguments[1]), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([content], arguments[0]));
        for (const kind of ["dragenter", "dragover", "drop"])
          document.querySelector("main").dispatchEvent(
            new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        """,
        name,
        base64.b64encode(content).decode(),
    )


def test_everything_is_done_with_the_keyboard(
    browser: Chrome, url: str, echo: dwh.Assembly
) -> None:
    for name in ("a", "b", "c"):
        put(url, name, echo.data)
    open_page(browser, url)
    wait_until(lambda: rows(browser) == ["a", "b", "c"])
    order = []
    browser.execute_script("document.activeElement.blur(); getSelection().removeAllRanges()")
    for _ in range(12):
        press(browser, Keys.TAB)
        order.append(focused(browser))
    assert order[0] == "Skip the list of functions"
    assert order[1] == "new"
    assert order[2].startswith("a")  # the list is one stop
    assert order[3:6] == ["download", "delete", "open"]
    assert order[6] == "write"
    assert order[7].startswith("field-")
    assert order[9:] == ["repeat", "invoke", "result"]

    # Arrow keys in the list.
    browser.find_element(By.CSS_SELECTOR, "#functions [aria-current]").send_keys(Keys.ARROW_DOWN)
    assert focused(browser).startswith("b")
    press(browser, Keys.END)
    assert focused(browser).startswith("c")
    press(browser, Keys.ENTER)
    wait_until(lambda: text(browser, "title") == "c")
    assert focused(browser) == "title"

    fill(browser, "by keyboard")
    ActionChains(browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(
        Keys.CONTROL
    ).perform()
    wait_until(lambda: text(browser, "result") == "by keyboard")

    # The editor takes Tab for indenting; Escape and then Tab leave it.
    get(browser, "new").send_keys(Keys.ENTER)
    wait_until(lambda: text(browser, "title") == "New function")
    [content] = in_editor(browser, ".cm-content")
    content.click()
    press(browser, Keys.TAB)
    assert focused(browser) == "editor"
    press(browser, Keys.ESCAPE)
    press(browser, Keys.TAB)
    assert focused(browser) == "name"

    # A dialog gives the focus back, and Escape changes nothing.
    browser.find_element(By.CSS_SELECTOR, "#functions button").send_keys(Keys.ENTER)
    get(browser, "delete").send_keys(Keys.ENTER)
    assert focused(browser) == "Keep it"
    press(browser, Keys.ESCAPE)
    wait_until(lambda: focused(browser) == "delete")
    assert rows(browser) == ["a", "b", "c"]
    assert wrong(browser) == []


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_nobody_is_kept_out(
    browser: Chrome, url: str, screen: str, mode: str, echo: dwh.Assembly
) -> None:
    """axe finds no fault in any state of the page."""
    package = Sources.of_checkout().fetch("axe-core")
    [axe] = fetch.read_members(package, "axe.min.js".__eq__).values()
    feature = {"name": "prefers-color-scheme", "value": mode}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    show_on(browser, screen)

    def faults() -> list[str]:
        # A script of the browser's own, which the policy of the page does not concern.
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe.decode()})
        found = browser.execute_cdp_cmd(
            "Runtime.evaluate",
            {
                # Colours are what they are when transitions have ended.
                "expression": "Promise.all(document.getAnimations().map((each) => each.finished))"
                ".then(() => axe.run()).then((found) => JSON.stringify(found.violations))",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )["result"]["value"]
        return [
            f"{fault['id']}: {node['html']} {node['failureSummary']}"
            for fault in json.loads(found)
            for node in fault["nodes"]
        ]

    open_page(browser, url)
    assert faults() == []
    write(browser, SHOUT)
    click(browser, "deploy")
    wait_until(lambda: "SUFFIX" in text(browser, "problems"), 60)
    assert faults() == []
    put(url, "echo", echo.data)
    wait_until(lambda: rows(browser) == ["echo"])
    browser.find_element(By.CSS_SELECTOR, "#functions button").click()
    call(browser, "throw", "thrown")
    assert faults() == []
    browser.find_element(By.CSS_SELECTOR, "input[value=hex]").click()
    call(browser, "0", "not hex")
    click(browser, "delete")
    assert faults() == []


def test_a_call_shows_its_lines_while_it_runs_and_can_be_stopped(browser: Chrome, url: str) -> None:
    put(url, "talkative", TALKATIVE, "text/x-csharp")
    open_page(browser, url)
    call(browser, "quick", "quick")
    wait_until(lambda: text(browser, "log") == "began\nwatch out")
    fill(browser, "slow")
    click(browser, "invoke")
    wait_until(lambda: text(browser, "log") == "began")
    assert text(browser, "invoke") == "Stop"
    assert "quick" not in text(browser, "result")
    click(browser, "invoke")
    wait_until(lambda: text(browser, "result") == "Stopped.")
    running = "return fetch('functions').then(r => r.json()).then(l => l.functions[0].running)"
    wait_until(lambda: browser.execute_script(running) == 0)
    call(browser, "again", "again")
    assert wrong(browser) == []


def test_files_are_dropped_and_deployed(browser: Chrome, url: str, echo: dwh.Assembly) -> None:
    open_page(browser, url)
    drop(browser, "shout.cs", SHOUT.replace("SUFFIX", '"!"').encode())
    wait_until(lambda: get(browser, "name").get_property("value") == "shout")
    assert SHOUT[:20] in in_editor(browser, ".cm-content")[0].text
    click(browser, "deploy")
    wait_until(lambda: rows(browser) == ["shout"], 60)

    click(browser, "new")
    drop(browser, "echo.dll", echo.data)
    wait_until(lambda: "echo.dll" in text(browser, "binary-text"))
    click(browser, "deploy")
    wait_until(lambda: rows(browser) == ["echo", "shout"])
    assert "deployed without its source" in text(browser, "binary-text")
    call(browser, "dropped", "dropped")

    click(browser, "new")
    drop(browser, "bundle.zip", zipped({"Echo.dll": echo.data}))
    click(browser, "deploy")
    wait_until(lambda: rows(browser) == ["bundle", "echo", "shout"])

    click(browser, "new")
    drop(browser, "notes.txt", b"hello")
    assert "notes.txt is no .cs, .dll or .zip file" in text(browser, "source-state")
    drop(browser, "broken.dll", b"no assembly")
    click(browser, "deploy")
    wait_until(lambda: "cannot be loaded" in text(browser, "problems"))
    assert rows(browser) == ["bundle", "echo", "shout"]
    assert wrong(browser, "422") == []


def test_what_somebody_else_deployed_is_not_replaced_without_a_question(
    browser: Chrome, url: str, echo: dwh.Assembly
) -> None:
    put(url, "taken", echo.data)
    open_page(browser, url)
    click(browser, "new")
    write(browser, SHOUT.replace("SUFFIX", '"!"'))
    get(browser, "name").clear()
    get(browser, "name").send_keys("taken")
    click(browser, "deploy")
    wait_until(lambda: "Another version is deployed" in text(browser, "problems"), 60)
    assert httpx2.get(f"{url}/functions/taken").content == echo.data
    browser.find_element(By.CSS_SELECTOR, "#problems button").click()
    wait_until(lambda: text(browser, "title") == "taken", 60)
    call(browser, "mine", "MINE!")
    assert wrong(browser, "412") == []


def test_unsaved_text_survives_a_reload(browser: Chrome, url: str) -> None:
    open_page(browser, url)
    write(browser, "// not finished")
    browser.refresh()
    wait_until(lambda: in_editor(browser, ".cm-content")[0].text == "// not finished")


def test_a_token_is_asked_for_and_kept_nowhere(browser: Chrome) -> None:
    with serving(create_app(WorkerOptions(token=TOKEN))) as url:
        open_page(browser, url)
        write(browser, SHOUT.replace("SUFFIX", '"!"'))
        click(browser, "deploy")
        wait_until(lambda: get(browser, "token-dialog").is_displayed())
        press(browser, TOKEN, Keys.ENTER)
        # What was refused is done now.
        wait_until(lambda: rows(browser) == ["greet"], 60)
        call(browser, "works", "WORKS!")
        kept = browser.execute_script(
            "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        )
        assert TOKEN not in kept
        browser.refresh()
        wait_until(lambda: rows(browser) == ["greet"])
        call(browser, "open", "OPEN!")  # calls are, on this worker
        click(browser, "delete")
        browser.find_element(By.CSS_SELECTOR, "#delete-dialog [value=yes]").click()
        wait_until(lambda: get(browser, "token-dialog").is_displayed())
        assert rows(browser) == ["greet"]
        assert wrong(browser, "401") == []
