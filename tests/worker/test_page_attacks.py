"""Other people's pages, names and texts against the page at /, in a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import create_app
from tests.worker.browsing import call, click, get, open_page, put, quoted, rows, serving, text
from tests.worker.servers import Server
from tests.worker.test_operation import wait_until

#: Every way that a page has to send something elsewhere.
ATTACKS = Path(__file__).with_name("foreign_page.html").read_text(encoding="utf-8")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def foreign() -> Iterator[tuple[str, dict[str, str]]]:
    """The address of another server, and its pages, which a test fills in."""
    pages: dict[str, str] = {}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://rebound.example:{server.server_port}", pages
    server.shutdown()
    server.server_close()
    thread.join()


def deployed(url: str) -> dict[str, str]:
    functions = httpx2.get(url + "/functions").json()["functions"]
    return {function["function_id"]: function["sha256"] for function in functions}


@pytest.mark.parametrize("referrer", ["strict-origin-when-cross-origin", "no-referrer"])
def test_a_page_of_another_origin_changes_nothing(
    browser: Chrome,
    url: str,
    foreign: tuple[str, dict[str, str]],
    echo: dwh.Assembly,
    referrer: str,
) -> None:
    put(url, "kept", echo.data)
    evil = json.dumps({"functionId": "evil", "assembly": list(echo.data)})
    # The same without a browser is a deploy: what is refused below is refused for its origin.
    same = httpx2.post(url + "/load", content=evil, headers={"content-type": "text/plain"})
    assert same.json() == {"success": True}
    assert httpx2.delete(url + "/functions/evil").status_code == 204
    address, pages = foreign
    pages["/"] = (
        ATTACKS.replace("WORKER", url)
        .replace("REFERRER", referrer)
        .replace("LOAD", json.dumps(evil))
    )
    browser.get(address)
    browser.set_script_timeout(60)
    results = browser.execute_async_script("attack().then(arguments[0])")
    readable = {name: said for name, said in results.items() if not said.startswith("refused")}
    # What came back of the others cannot be read either.
    assert readable == {
        "no-cors load": "opaque", "reload": "opaque", "beacon": "true", "frame": "nothing",
    }  # fmt: skip
    assert deployed(url) == {"kept": echo.sha256}


def test_a_name_that_leads_here_is_another_origin(
    browser: Chrome, stack: ExitStack, echo: dwh.Assembly, tmp_path: Path
) -> None:
    """DNS rebinding: the page is of the same origin as the worker, as far as a browser knows."""
    url = stack.enter_context(Server(tmp_path / "functions.sqlite3")).url
    put(url, "kept", echo.data)
    browser.get(url.replace("127.0.0.1", "rebound.example"))
    assert "Invalid host" in browser.page_source
    browser.set_script_timeout(60)
    script = """
        const [done] = arguments;
        const requests = [
          ["functions", {}],
          ["functions/evil", { method: "PUT", body: "x" }],
          ["functions/kept", { method: "DELETE" }],
          ["functions/kept/invoke", { method: "POST", body: "x" }],
          ["functions/kept/invoke?logs=stream", { method: "POST", body: "x" }],
          ["load", { method: "POST", body: "{}" }],
          ["metrics", {}],
        ];
        const statuses = requests.map(([path, o]) => fetch("/" + path, o).then((r) => r.status));
        Promise.all(statuses).then(done);
    """
    assert browser.execute_async_script(script) == [400] * 7
    assert deployed(url) == {"kept": echo.sha256}


MARKUP = "<img src=x onerror=\"window.hacked='here'\"><script>window.hacked='here'</script>"
HOSTILE_IDS = (
    MARKUP,
    "javascript:window.hacked='here'",
    "\u202egnp.exe",
    "'\"`${window.hacked='here'}{{hacked}}",
    "../../load",
    "a b\tc\nd",
    "__proto__",
    "constructor",
    "x" * 150,
)
SPEAKER = """
using System; using System.Text;
public sealed class Speaker : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        Console.WriteLine(text);
        if (text.StartsWith("!")) throw new Exception(text);
        return input.ToArray();
    }
}
"""


def hacked(browser: Chrome) -> object:
    """What a script of an attacker left, in the page or as an alert."""
    try:
        browser.switch_to.alert.dismiss()
    except NoAlertPresentException:
        pass
    else:
        return "alert"
    return browser.execute_script(
        "const made = document.querySelector('main script, main img');"
        "return window.hacked ?? ({}).hacked ?? made ?? null"
    )


@pytest.mark.long
def test_ids_texts_and_outputs_are_texts(browser: Chrome, url: str) -> None:
    put(url, "speaker", SPEAKER.encode(), "text/x-csharp")
    assembly = httpx2.get(url + "/functions/speaker").content
    for name in HOSTILE_IDS:
        put(url, name, assembly)
    open_page(browser, url)
    wait_until(lambda: len(rows(browser)) == len(HOSTILE_IDS) + 1)
    assert MARKUP in rows(browser)
    assert "\\u{202e}gnp.exe" in rows(browser)
    for place in range(len(HOSTILE_IDS) + 1):
        browser.find_elements(By.CSS_SELECTOR, "#functions button")[place].click()
        if place < 3:
            call(browser, MARKUP, MARKUP)
            wait_until(lambda: MARKUP in text(browser, "log"))
            call(browser, "!" + MARKUP, "System.Exception in function")
        assert hacked(browser) is None
    # What a source has in it is the text of an editor and of messages.
    click(browser, "new")
    browser.execute_script("location.hash = '#' + encodeURIComponent(arguments[0])", MARKUP)
    wait_until(lambda: text(browser, "title") == MARKUP)
    click(browser, "delete")
    assert MARKUP in text(browser, "delete-title")
    browser.find_element(By.CSS_SELECTOR, "#delete-dialog [value=yes]").click()
    wait_until(lambda: len(rows(browser)) == len(HOSTILE_IDS))
    assert hacked(browser) is None
    assert httpx2.get(f"{url}/functions/{quoted(MARKUP)}").status_code == 404


@pytest.mark.long
def test_messages_of_the_compiler_are_texts(browser: Chrome, url: str) -> None:
    open_page(browser, url)
    source = f"#error {MARKUP}\n#warning {MARKUP}\nclass A {{}}"
    browser.execute_script(
        """
        const data = new DataTransfer();
        data.items.add(new File([arguments[0]], arguments[1] + ".cs"));
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        window.dispatchEvent(new DragEvent("drop", options));
        """,
        source,
        "evil",
    )
    wait_until(lambda: get(browser, "name").get_property("value") == "evil")
    click(browser, "deploy")
    wait_until(lambda: MARKUP in text(browser, "problems"), 60)
    browser.find_element(By.CSS_SELECTOR, "#problems button").click()
    assert hacked(browser) is None


@pytest.mark.long
@pytest.mark.parametrize("name", [".", ".."])
def test_names_that_browsers_cannot_say_are_refused(
    browser: Chrome, stack: ExitStack, echo: dwh.Assembly, name: str
) -> None:
    """A browser makes POST /functions/../invoke a call of the original's route."""
    url = stack.enter_context(serving(create_app()))
    evil = {"functionId": name, "assembly": list(echo.data)}
    assert httpx2.post(url + "/load", json=evil).json() == {"success": True}
    open_page(browser, url)
    wait_until(lambda: rows(browser) == [name])
    call(browser, "x", "Browsers cannot ask for a function called")
    click(browser, "delete")
    browser.find_element(By.CSS_SELECTOR, "#delete-dialog [value=yes]").click()
    wait_until(lambda: "Browsers cannot ask" in text(browser, "message"))
    assert rows(browser) == [name]
    browser.get("about:blank")


@pytest.mark.long
def test_other_programs_storage_is_no_history(browser: Chrome, url: str) -> None:
    open_page(browser, url)
    for value in ("[", "null", '[["a"]]', '[["a", [[1]]]]', '{"__proto__": 1}', '[["a", "xyz"]]'):
        browser.execute_script(
            "localStorage['dotnet-wasm-host latency'] = arguments[0];"
            "sessionStorage['dotnet-wasm-host drafts'] = arguments[0]",
            value,
        )
        open_page(browser, url)
        assert text(browser, "title") == "New function"
