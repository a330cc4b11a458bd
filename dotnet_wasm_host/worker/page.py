"""The page at ``/``: static files of the package, nothing from elsewhere."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["EDITOR", "page_routes"]

#: The artifact with CodeMirror; see runtime_artifacts/pipeline/editor.py.
EDITOR = "page/editor.js"
#: What takes its place where the package was built without.
_PLAIN_EDITOR = "plain_editor.js"
_INDEX = "index.html"
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    "cache-control": "no-cache",
    # The page runs its own script and talks to its own worker; nothing else can get in. Trusted
    # types: not even its own script can make markup or code of a text.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def page_routes() -> list[Route]:
    """A route for each file."""
    folder = files("dotnet_wasm_host.worker") / "page_files"
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    plain_editor = contents.pop(_PLAIN_EDITOR)
    routes = [
        _route("/" if name == _INDEX else f"/page/{name}", content)
        for name, content in contents.items()
        if name.rpartition(".")[2] in _TYPES
    ]
    return [*routes, _route(f"/{EDITOR}", _editor() or plain_editor)]


def _editor() -> bytes | None:
    """The bundle of the editor; None where the package was built without it."""
    try:
        store = ArtifactStore.locate()
        return store.read(EDITOR) if EDITOR in store.names() else None
    except ArtifactError:
        return None  # whoever calls a function is told


def _route(path: str, content: bytes) -> Route:
    media_type = _TYPES["html" if path == "/" else path.rpartition(".")[2]]
    compressed = gzip.compress(content, mtime=0)

    async def serve(request: Request) -> Response:
        headers = {**_HEADERS, "vary": "accept-encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(content, 200, headers, media_type)
        return Response(compressed, 200, {**headers, "content-encoding": "gzip"}, media_type)

    return Route(path, serve, methods=["GET"], include_in_schema=False)
