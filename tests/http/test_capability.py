"""The capability ``http``: one call for a GET, one for a POST."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.conftest import CompiledSources
    from tests.http.server import Server

SOURCE = """
using System; using System.Text; using System.Threading; using System.Threading.Tasks;
using MinimalRuntime.Http;
public sealed class Caller : MinimalRuntime.IAsyncFunctionHandler {
    public async ValueTask<byte[]> ExecuteAsync(
            ReadOnlyMemory<byte> input, CancellationToken token) {
        var parts = Encoding.UTF8.GetString(input.Span).Split(' ');
        return parts[0] switch {
            "get" => await HttpCapability.GetAsync(parts[1]),
            "post" => await HttpCapability.PostAsync(parts[1], Encoding.UTF8.GetBytes(parts[2])),
            _ => await HttpCapability.GetAsync(parts[1], token),
        };
    }
}
"""


@pytest.mark.parametrize("name", ["http", "common", "full"])
def test_get_and_post(name: str, compiled: CompiledSources, server: Server) -> None:
    image = dwh.RuntimeImage.load(name)
    caller = compiled(SOURCE, references=(dwh.capability_assembly("http"),))
    policy = dwh.HttpPolicy(allowed_hosts=(server.host,), allow_private_addresses=True)

    with dwh.Runtime(image, http=policy) as runtime:
        runtime.load_capability("http")
        runtime.load_assembly("one", caller)
        runtime.load_assembly("two", caller)

        for function_id in ("one", "two"):
            assert runtime.invoke(function_id, f"get {server.url}/bytes?size=9".encode()) == (
                b"00000000\n"
            )
        seen = json.loads(runtime.invoke("one", f"post {server.url}/echo body".encode()))
        assert (seen["method"], seen["size"], seen["crc"]) == ("POST", 4, zlib.crc32(b"body"))
        # A GET must succeed; a POST gives what came back.
        with pytest.raises(dwh.InvocationError, match="404"):
            runtime.invoke("one", f"get {server.url}/missing".encode())
        assert runtime.invoke("one", f"post {server.url}/missing x".encode()) == b"nothing here"
        with pytest.raises(dwh.InvocationError) as caught:
            runtime.invoke("one", b"get http://example.com/")
        assert isinstance(caught.value.__cause__, dwh.HttpPolicyError)
        with pytest.raises(dwh.InvocationTimeout):
            runtime.invoke("one", f"wait {server.url}/slow?seconds=5".encode(), timeout=0.5)
