"""The Chromium of the system, without a window, for tests of pages."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.installed_programs import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def chromium(profile: Path, *arguments: str) -> Iterator[Chrome]:
    """A browser with its profile in a folder."""
    program = require("chromium", "chromium")
    driver = require("chromedriver", "chromium-driver", with_="chromium")
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
