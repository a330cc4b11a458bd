"""The form that the page makes of a typed signature."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.worker.browsing import click, get, in_editor, open_page, put, text, wrong
from tests.worker.test_operation import wait_until

pytestmark = pytest.mark.long

SHOP = """
public enum Size { Small, Large }
public record Point(int X, double Y);
public static class Shop {
    /// <summary>What an order costs.</summary>
    /// <param name="customer">who pays</param>
    public static string Order(
        string customer, int count, Size size, bool gift, Point where, decimal price, long id = 7)
    {
        Console.WriteLine($"order of {customer}");
        if (count < 0)
            throw new ArgumentOutOfRangeException(nameof(count), "cannot be negative");
        return $"{customer} {count} {size} {gift} {where.X} {where.Y} {price} {id}";
    }
    public static Point Move(Point p, int by) => p with { X = p.X + by };
    public static IEnumerable<int> Count(int __proto__) {
        for (var i = 0; i < __proto__; i++) yield return i;
    }
    public static long Big(long n = 5) => n;
    public static void Nothing() { }
}
""".replace("public enum", "using System;\nusing System.Collections.Generic;\npublic enum", 1)


def fill(browser: Chrome, name: str, value: str) -> None:
    field = browser.find_element(By.CSS_SELECTOR, f"[data-name={name}]")
    field.clear()
    field.send_keys(value)


def choose(browser: Chrome, element: str, value: str) -> None:
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))",
        browser.find_element(By.CSS_SELECTOR, element),
        value,
    )


def faults(browser: Chrome) -> dict[str, str]:
    """Name of each field that has one to what is wrong."""
    script = """
        const shown = [...document.querySelectorAll("#fields [aria-invalid]")];
        const said = (field) => document.getElementById(field.id + "-fault").textContent;
        return Object.fromEntries(shown.map((field) => [field.dataset.name, said(field)]))
    """
    found: dict[str, str] = browser.execute_script(script)
    return found


def invoke(browser: Chrome, answer: str) -> None:
    click(browser, "invoke")
    wait_until(lambda: answer in text(browser, "result"))


def test_a_form_of_the_signature(browser: Chrome, url: str) -> None:
    put(url, "shop", SHOP.encode(), "text/x-csharp")
    open_page(browser, url)
    wait_until(lambda: "who pays" in text(browser, "fields"))
    assert "What an order costs." in text(browser, "fields")
    # Its source is there for everybody, not only for who wrote it.
    wait_until(lambda: "public static class Shop" in in_editor(browser, ".cm-content")[0].text)

    fill(browser, "customer", "Ada")
    fill(browser, "count", "3")
    choose(browser, "[data-name=size]", '"Large"')
    choose(browser, "[data-name=gift]", "true")
    invoke(browser, "Give a value.")
    assert faults(browser) == {"where": "Give a value."}
    fill(browser, "where", '{"X": 1, "Y": 2.5}')
    fill(browser, "price", "1.10")
    invoke(browser, "Ada 3 Large True 1 2.5 1.10 7")
    wait_until(lambda: text(browser, "log") == "order of Ada")

    fill(browser, "count", "three")
    invoke(browser, "Give a whole number.")
    assert faults(browser) == {"count": "Give a whole number."}
    assert "Ada 3" not in text(browser, "result")
    fill(browser, "count", "-3")
    invoke(browser, "cannot be negative")
    assert "cannot be negative" in faults(browser)["count"]
    fill(browser, "count", "4")
    fill(browser, "where", '{"X": 1, "Y": "much"}')
    invoke(browser, "where.Y")
    assert "a number for double" in faults(browser)["where"]

    choose(browser, "#method", "1")
    fill(browser, "p", '{"X": 1, "Y": 2.5}')
    fill(browser, "by", "4")
    invoke(browser, '"X": 5')
    choose(browser, "#method", "2")
    fill(browser, "__proto__", "3")  # a name like any other
    invoke(browser, "0\n1\n2")
    choose(browser, "#method", "3")
    invoke(browser, "5")
    fill(browser, "n", "9007199254740993")  # no number of JavaScript
    invoke(browser, "9007199254740993")
    choose(browser, "#method", "4")
    assert "no arguments" in text(browser, "fields")
    invoke(browser, "null")
    assert wrong(browser, "422") == []
    assert get(browser, "invoke").text == "Call"
