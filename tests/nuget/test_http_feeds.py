"""Packages out of feeds of version 3, on loopback."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ENVIRONMENT_VARIABLE
from dotnet_wasm_host.nuget import http_feed
from tests.nuget.made import needs, package, put
from tests.nuget.served import ServedFeed, serving, slowly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def feed() -> Iterator[ServedFeed]:
    with serving() as feed:
        yield feed


@pytest.fixture(autouse=True)
def quick_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_feed, "_wait", lambda *_: None)


def versions(sources: Any, *wanted: str, **options: Any) -> dict[str, str]:
    return dict(dwh.resolve_packages(wanted, sources, **options).versions)


def test_packages_come_with_what_they_need(
    feed: ServedFeed, libraries: Callable[..., bytes]
) -> None:
    feed.add(
        "Top",
        "1.0.0",
        package("Top", "1.0", {"lib/net8.0/Top.dll": libraries("Top", 6)}, needs(("Leaf", "1.0"))),
    )
    feed.add("Leaf", "1.0.0", package("Leaf", "1.0.0"))
    feed.add("Leaf", "1.1.0-beta", package("Leaf", "1.1.0-Beta"))
    done = dwh.run_csharp("#:package Top@1.0\nreturn Top.V;", package_sources=feed.index)
    assert done.returncode == 6
    assert feed.asked == [
        "/v3/index.json",
        "/flat/top/index.json",
        "/flat/top/1.0.0/top.1.0.0.nupkg",
        "/flat/leaf/index.json",
        "/flat/leaf/1.0.0/leaf.1.0.0.nupkg",
    ]
    assert versions(feed.index, "Leaf@1.1.0-*") == {"Leaf": "1.1.0-beta"}


def test_feeds_and_folders_go_together(feed: ServedFeed, tmp_path: Path) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0", needs=needs(("B", "1.0"))))
    put(tmp_path, "B", "1.0.0")
    assert versions([feed.index, tmp_path], "A") == {"A": "1.0.0", "B": "1.0.0"}


def test_what_is_not_allowed_is_not_asked_for(feed: ServedFeed) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0", needs=needs(("B", "1.0"))))
    with pytest.raises(dwh.PackageError, match="package B, which is not among the allowed"):
        versions(feed.index, "A", allow_packages=["A"])
    assert not any("/b/" in path for path in feed.asked)


def test_nothing_is_asked_of_other_hosts(feed: ServedFeed) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0"))
    with serving() as other:
        other.packages = feed.packages
        feed.content = f"{other.root}/flat/"
        with pytest.raises(dwh.PackageError, match="not the feed's own address"):
            versions(feed.index, "A")
        feed.content = "https://packages.example/flat/"
        with pytest.raises(dwh.PackageError, match=r"packages.example, which nobody has named"):
            versions(feed.index, "A")
        feed.content = "/flat/"
        path = "/flat/a/1.0.0/a.1.0.0.nupkg"
        feed.special[path] = lambda: (302, {"Location": f"{other.root}{path}"}, b"")
        with pytest.raises(dwh.PackageError, match="not the feed's own address"):
            versions(feed.index, "A")
        feed.special[path] = lambda: (302, {"Location": "https://packages.example/"}, b"")
        named = dwh.PackageSource(feed.index, hosts=("other.example",))
        with pytest.raises(dwh.PackageError, match="not among the allowed hosts"):
            versions(named, "A")
        assert other.asked == []


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://["],
)
def test_addresses_that_are_none_are_refused(feed: ServedFeed, address: str) -> None:
    feed.content = address
    with pytest.raises(dwh.PackageError, match=r"no address|not the feed's own"):
        versions(feed.index, "A")


def test_redirects_within_the_feed_are_followed_to_an_end(
    feed: ServedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0"))
    path = "/flat/a/1.0.0/a.1.0.0.nupkg"
    feed.special[path] = lambda: (307, {"Location": "../moved"}, b"")
    feed.special["/flat/a/moved"] = lambda: (200, {}, package("A", "1.0.0"))
    assert versions(feed.index, "A") == {"A": "1.0.0"}
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    feed.special["/flat/a/moved"] = lambda: (307, {"Location": "moved"}, b"")
    with pytest.raises(dwh.PackageError, match=r"redirects .* more than 5 times"):
        versions(feed.index, "A")


def test_credentials_are_given_or_in_the_environment(
    feed: ServedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0"))
    feed.login = "ada:s3cret=;x"
    named = dwh.PackageSource(feed.index, name="Mine")
    with pytest.raises(dwh.PackageError, match=r"\(401 .*none\).*Credentials_Mine"):
        versions(named, "A")
    variable = "NuGetPackageSourceCredentials_Mine"
    monkeypatch.setenv(variable, "Username=ada; Password=wrong")
    with pytest.raises(dwh.PackageError, match="not accepted") as caught:
        versions(named, "A")
    assert "wrong" not in str(caught.value)
    given = dwh.PackageSource(feed.index, credentials=("ada", "s3cret=;x"))
    assert versions(given, "A")
    assert "s3cret" not in repr(given)
    feed.login = "ada:s3cret="
    monkeypatch.setenv(variable, "Username=ada;Password=s3cret=;ValidAuthenticationTypes=Basic")
    assert versions(named, "A")


def test_credentials_go_to_the_feed_only(feed: ServedFeed) -> None:
    source = dwh.PackageSource(feed.index, credentials=("ada", "pw"), hosts=("localhost",))
    made = http_feed.HttpFeed(source)
    try:
        assert "Authorization" in made._headers(f"{feed.root}/flat/a")
        assert made._headers("https://localhost/flat/a") == {}
    finally:
        made.close()


def bad_index(answer: bytes) -> Callable[[ServedFeed], None]:
    def change(feed: ServedFeed) -> None:
        feed.special["/v3/index.json"] = lambda: (200, {}, answer)

    return change


def bad_list(answer: bytes, **headers: str) -> Callable[[ServedFeed], None]:
    def change(feed: ServedFeed) -> None:
        feed.special["/flat/a/index.json"] = lambda: (200, headers, answer)

    return change


def bad_package(answer: bytes, **headers: str) -> Callable[[ServedFeed], None]:
    def change(feed: ServedFeed) -> None:
        path = "/flat/a/1.0.0/a.1.0.0.nupkg"
        feed.special[path] = lambda: (200, headers, answer)

    return change


def status(path: str, number: int) -> Callable[[ServedFeed], None]:
    def change(feed: ServedFeed) -> None:
        feed.special[path] = lambda: (number, {}, b"")

    return change


BOMB = gzip.compress(bytes(http_feed.MAX_LIST_BYTES + 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (bad_index(b"<html>"), "no JSON at"),
        (bad_index(b"[" * 100_000), "no JSON at"),
        (bad_index(b"[]"), "no JSON object"),
        (bad_index(b'{"resources": {"@id": 1}}'), "names no PackageBaseAddress"),
        (bad_index(b'{"resources": [1, {"@type": "PackageBaseAddress/3.0.0"}]}'), "names no"),
        (bad_index(b" " * (http_feed.MAX_INDEX_BYTES + 1)), "more than the 1048576 bytes"),
        (bad_list(b'{"versions": 5}'), "no list of versions"),
        (bad_list(b'{"versions": ["../../x", 5, "1.0.0/..", null, ""]}'), "no package of this id"),
        (
            bad_list(json.dumps({"versions": [f"1.0.{n}" for n in range(20_001)]}).encode()),
            "20001 versions",
        ),
        (bad_list(BOMB, **{"Content-Encoding": "gzip"}), "more than the 4194304 bytes"),
        (bad_package(b"junk"), "not a zip archive"),
        (bad_package(package("B", "1.0.0")), "says that it is B '1.0.0'"),
        (bad_package(b"short", **{"Content-Length": "100"}), "cannot be read at"),
        (status("/v3/index.json", 404), "no index"),
        (status("/v3/index.json", 500), "answers 500"),
        (status("/flat/a/1.0.0/a.1.0.0.nupkg", 404), "names A 1.0.0 and has it not"),
    ],
)
def test_what_a_feed_may_say_wrong(
    feed: ServedFeed, change: Callable[[ServedFeed], None], message: str
) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0"))
    change(feed)
    with pytest.raises(dwh.PackageError, match=message):
        versions(feed.index, "A")


def test_what_may_go_well_the_next_time_is_asked_again(feed: ServedFeed) -> None:
    feed.add("A", "1.0.0", package("A", "1.0.0"))
    answers = iter([(503, {}, b""), (200, {"Content-Length": "9"}, b"cut")])

    def answer() -> Any:
        found = next(answers, None)
        if found is None:
            del feed.special["/flat/a/index.json"]
            return feed.answer("/flat/a/index.json", None)
        return found

    feed.special["/flat/a/index.json"] = answer
    assert versions(feed.index, "A") == {"A": "1.0.0"}
    assert feed.asked.count("/flat/a/index.json") >= 3


def test_a_timeout_bounds_downloads(feed: ServedFeed) -> None:
    feed.special["/flat/a/index.json"] = lambda: slowly(2)
    with pytest.raises(dwh.InvocationTimeout, match=r"getting packages .* timeout of 0.5 s"):
        versions(feed.index, "A", timeout=0.5)


def test_a_feed_that_is_not_there() -> None:
    with serving() as gone:
        pass
    with pytest.raises(dwh.PackageError, match=r"cannot be read at .*no connection"):
        versions(gone.index, "A")


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("https://u:p@host/v3/index.json", "holds a user or password"),
        ("https://host/v3", r"ends in\s+index.json"),
        ("https://host/api/v2", "version 3"),
        ("https:///index.json", "version 3"),
        ("https://host:99999/index.json", "cannot be at"),
        ("http://feed.example/index.json", "not encrypted"),
    ],
)
def test_sources_that_are_none(location: str, message: str) -> None:
    with pytest.raises(dwh.MarshallingError, match=message):
        dwh.PackageSource(location)


def test_options_of_sources_are_checked() -> None:
    assert dwh.PackageSource("http://feed.example/index.json", allow_insecure=True).is_http
    for option, value in (("hosts", "a"), ("patterns", "a"), ("credentials", "a")):
        with pytest.raises(dwh.MarshallingTypeError, match=option):
            dwh.PackageSource("folder", **{option: value})  # type: ignore[arg-type]


def test_the_longest_pattern_decides_who_is_asked(feed: ServedFeed, tmp_path: Path) -> None:
    feed.add("Acme.Core", "9.0.0", package("Acme.Core", "9.0.0"))
    feed.add("Other", "1.0.0", package("Other", "1.0.0"))
    put(tmp_path, "Acme.Core", "1.0.0", needs=needs(("Other", "1.0")))
    sources = [
        dwh.PackageSource(feed.index, patterns=("*",)),
        dwh.PackageSource(tmp_path, patterns=("acme.*",)),
    ]
    assert versions(sources, "Acme.Core") == {"Acme.Core": "1.0.0", "Other": "1.0.0"}
    assert "/flat/acme.core/index.json" not in feed.asked
    with pytest.raises(dwh.PackageError, match="no source is asked for it"):
        versions([dwh.PackageSource(feed.index, patterns=("acme.*",))], "Other")
