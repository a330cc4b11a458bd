"""A function that fetches a URL with HttpClient, as far as the host allows.

Prints::

    paris: 21 degrees
    refused: GET http://127.0.0.1/latest/meta-data/ is refused: host '127.0.0.1:80' is not among the allowed hosts; add it to HttpPolicy(allowed_hosts=...)
"""  # noqa: E501 - it is what is printed

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dotnet_wasm_host as dwh

WEATHER = """
using System;
using System.Net.Http;
using System.Net.Http.Json;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

public sealed record Report(string City, int Degrees);

public sealed class Weather : MinimalRuntime.IAsyncFunctionHandler
{
    private static readonly HttpClient Client = new() { Timeout = TimeSpan.FromSeconds(10) };

    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token)
    {
        var url = Encoding.UTF8.GetString(input.Span);
        var report = await Client.GetFromJsonAsync<Report>(url, token);
        return Encoding.UTF8.GetBytes($"{report!.City}: {report.Degrees} degrees");
    }
}
"""


class Service(BaseHTTPRequestHandler):
    """Stands for a service somewhere."""

    def do_GET(self) -> None:
        """Answer with a report."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"city": "paris", "degrees": 21}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


with ThreadingHTTPServer(("127.0.0.1", 0), Service) as service:
    threading.Thread(target=service.serve_forever, daemon=True).start()
    policy = dwh.HttpPolicy(
        allowed_hosts=(f"127.0.0.1:{service.server_port}",),
        allow_private_addresses=True,  # This machine is one.
        methods=("GET",),
    )
    with dwh.Runtime(http=policy) as runtime:
        runtime.load_assembly("weather", dwh.compile_csharp(WEATHER))
        url = f"http://127.0.0.1:{service.server_port}/paris"
        print(runtime.invoke("weather", url.encode()).decode())
        try:
            runtime.invoke("weather", b"http://127.0.0.1/latest/meta-data/")
        except dwh.InvocationError as error:
            print(f"refused: {error.dotnet_message}")
    service.shutdown()
