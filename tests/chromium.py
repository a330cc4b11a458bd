"""The Chromium of the system, without a window, for tests of pages."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Set where the browser must be there, as .ci/run does: then its absence is a failure.
REQUIRED = "DOTNET_WASM_HOST_REQUIRE_CHROMIUM"


@contextmanager
def chromium(profile: Path, *arguments: str) -> Iterator[Chrome]:
    """A browser with its profile in a folder."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        message = "the page was NOT tested: install the Debian packages chromium, chromium-driver"
        if os.environ.get(REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    options = ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
        "--window-size=1280,900", f"--user-data-dir={profile}", *arguments,
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options, ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def console(browser: Chrome) -> list[tuple[str, str]]:
    """Level and text of what pages wrote since the last look."""
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [(entry["level"], entry["message"]) for entry in log]
