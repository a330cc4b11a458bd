"""What a policy allows: hosts, ports, schemes, methods, addresses, headers."""

from __future__ import annotations

import importlib.util
from ipaddress import ip_address
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host.fetch.addresses import is_permitted
from dotnet_wasm_host.fetch.rules import Rules
from dotnet_wasm_host.fetch.tenant import HttpTenant


def allows(url: str, *hosts: str, method: str = "GET", **options: Any) -> bool:
    rules = Rules(dwh.HttpPolicy(allowed_hosts=hosts, **options))
    try:
        rules.check(method, httpx.URL(url))
    except dwh.HttpPolicyError:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("api.example.com", ["api.example.com", "API.Example.COM.", "api.example.com:8443"],
         ["example.com", "x.api.example.com", "api.example.com.evil.org", "apiXexample.com"]),
        ("api.example.com:8443", ["api.example.com:8443"], ["api.example.com"]),
        ("API.example.com.:443", ["api.example.com:443"], ["api.example.com:80"]),
        ("*.example.com", ["a.example.com", "a.b.example.com:1"],
         ["example.com", "aexample.com", "evil.org", "example.com.evil.org", ".example.com"]),
        ("*:443", ["anything.org:443"], ["anything.org:80"]),
        ("*", ["anything.org", "127.0.0.1:5", "[::1]"], []),
        ("127.0.0.1:8080", ["127.0.0.1:8080"], ["127.0.0.1", "127.0.0.2:8080", "127.1:8080"]),
        ("[2001:DB8:0::7]:80", ["[2001:db8::7]:80"], ["[2001:db8::8]:80", "[2001:db8::7]:81"]),
        ("xn--bcher-kva.example", ["bücher.example"], ["bucher.example"]),
    ],
)  # fmt: skip
def test_hosts(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [h for h in good if not allows(f"http://{h}/", pattern)] == []
    allowed = []
    for host in bad:
        try:
            allowed += [host] if allows(f"http://{host}/", pattern) else []
        except httpx.InvalidURL:
            continue
    assert allowed == []


def test_the_port_of_the_scheme_counts() -> None:
    assert allows("https://a.org/", "a.org:443")
    assert not allows("http://a.org/", "a.org:443")
    assert allows("http://a.org/", "a.org:80")


def test_nothing_is_allowed_by_default() -> None:
    with pytest.raises(dwh.HttpPolicyError, match="not among the allowed hosts"):
        Rules(dwh.HttpPolicy()).check("GET", httpx.URL("https://example.com/"))
    with pytest.raises(dwh.HttpPolicyError, match=r"Runtime\(http=HttpPolicy"):
        Rules(None).check("GET", httpx.URL("https://example.com/"))


def test_schemes_methods_and_credentials() -> None:
    assert not allows("http://a.org/", "a.org", schemes=("https",))
    assert not allows("ftp://a.org/", "a.org")
    assert not allows("file:///etc/passwd", "*")
    assert not allows("https://a.org/", "a.org", method="DELETE", methods=("GET",))
    assert not allows("https://a.org/", "a.org", method="TRACE")
    assert not allows("https://a.org/", "a.org", method="get")
    assert not allows("https://user:password@a.org/", "a.org")
    assert not allows("https://a.org@evil.org/", "a.org")
    assert not allows("https://a.org:x@evil.org/", "a.org")


def test_a_refusal_tells_no_secrets() -> None:
    url = httpx.URL("https://user:hunter2@a.org/path?token=abc#frag")
    with pytest.raises(dwh.HttpPolicyError) as caught:
        Rules(dwh.HttpPolicy()).check("GET", url)
    assert "a.org/path" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("hunter2", "abc", "frag"))


@pytest.mark.parametrize(
    "options",
    [
        {"allowed_hosts": "a.org"},
        {"allowed_hosts": ("http://a.org",)},
        {"allowed_hosts": ("a.org/path",)},
        {"allowed_hosts": ("a*.org",)},
        {"allowed_hosts": ("a.*.org",)},
        {"allowed_hosts": ("a.org:0",)},
        {"allowed_hosts": ("a.org:65536",)},
        {"allowed_hosts": ("a.org:",)},
        {"allowed_hosts": ("",)},
        {"allowed_hosts": ("bücher.example",)},
        {"allowed_hosts": ("::1",)},
        {"allowed_hosts": ("a.org\n",)},
        {"methods": "GET"},
        {"methods": ("CONNECT",)},
        {"methods": ("get",)},
        {"schemes": ("ftp",)},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"max_redirects": -1},
        {"max_request_bytes": -1},
        {"max_response_bytes": -1},
        {"max_connections": 0},
    ],
)
def test_policies_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        dwh.HttpPolicy(**options)


NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200",
    "168.63.129.16", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
    "::", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1",
    "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "::169.254.169.254",
]  # fmt: skip
PRIVATE = [
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.255.0.9",
    "::1", "fc00::1", "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2002:c0a8:101::5",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


def test_addresses() -> None:
    for private in (False, True):
        assert [a for a in NEVER if is_permitted(ip_address(a), private=private)] == []
        assert [a for a in PUBLIC if not is_permitted(ip_address(a), private=private)] == []
        assert [a for a in PRIVATE if is_permitted(ip_address(a), private=private) != private] == []


@given(st.ip_addresses(v=4), st.booleans())
def test_an_address_in_an_address_is_that_address(address: Any, private: bool) -> None:
    plain = is_permitted(address, private=private)
    for form in ("::ffff:{}", "64:ff9b::{}"):
        assert is_permitted(ip_address(form.format(address)), private=private) == plain
    sixtofour = ip_address(0x2002 << 112 | int(address) << 80)
    assert is_permitted(sixtofour, private=private) == plain


def test_only_good_addresses_of_a_name_are_left() -> None:
    rules = Rules(dwh.HttpPolicy(allowed_hosts=("*",)))
    assert rules.permitted("x", ["10.0.0.1", "8.8.8.8", "::1", "8.8.8.8"]) == ["8.8.8.8"]
    with pytest.raises(dwh.HttpPolicyError, match=r"'x' is refused: its address 10.0.0.1, ::1"):
        rules.permitted("x", ["10.0.0.1", "::1"])
    with pytest.raises(dwh.HttpPolicyError, match="of this link"):
        rules.permitted("x", ["fe80::1%eth0"])


def headers(*items: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    rules = Rules(dwh.HttpPolicy())
    return rules.headers([n for n, _ in items], [v for _, v in items], "a.org:8080")


def test_headers_of_the_host_are_not_the_guests() -> None:
    assert headers(
        ("X-A", "1"), ("x-a", "2"), ("Transfer-Encoding", "chunked"), ("Content-Length", "5"),
        ("Connection", "close"), ("TE", "trailers"), ("Host", "A.org:8080"), ("Expect", "x"),
        ("Proxy-Authorization", "x"), ("Accept-Encoding", "br"), ("Cookie", "é"),
    ) == [(b"X-A", b"1"), (b"x-a", b"2"), (b"Cookie", b"\xe9")]  # fmt: skip
    with pytest.raises(dwh.HttpPolicyError, match="names 'b\\.org'"):
        headers(("host", "b.org"))


@pytest.mark.parametrize(
    "item",
    [
        ("X-A", "1\r\nX-B: 2"), ("X-A", "1\n"), ("X-A", "a\0"), ("X-A\r\nX-B", "1"), ("", "1"),
        ("X A", "1"), ("X-A:", "1"), ("X-Ä", "1"), ("X-A", "\u20ac"), ("X-A\n", "1"),
    ],
)  # fmt: skip
def test_headers_that_cannot_be(item: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        headers(item)


def test_without_httpx_a_policy_says_what_to_install(
    image: dwh.RuntimeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "dotnet_wasm_host.fetch.access.find_spec",
        lambda name: None if name == "httpx" else real(name),
    )
    with pytest.raises(dwh.ExtraNotInstalled, match=r"pip install dotnet-wasm-host\[http\]"):
        dwh.Runtime(image, http=dwh.HttpPolicy())
    assert issubclass(dwh.ExtraNotInstalled, ImportError)


def test_nothing_is_imported_or_started_for_a_policy_alone(
    image: dwh.RuntimeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(HttpTenant, "client", refuse)
    monkeypatch.setattr("threading.Thread.start", refuse)
    with dwh.Runtime(image, http=dwh.HttpPolicy(allowed_hosts=("*",))):
        pass
