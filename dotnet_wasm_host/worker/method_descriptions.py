"""Methods of deployed functions in the description of the API (OpenAPI 3.1)."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any, final
from urllib.parse import quote

from dotnet_wasm_host.typed.json_schemas import SchemaMaker
from dotnet_wasm_host.worker.openapi import PROBLEMS
from dotnet_wasm_host.worker.result_streams import NDJSON
from dotnet_wasm_host.worker.typed_calls import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dotnet_wasm_host.worker.served_functions import ServedFunction

__all__ = ["ApiDocument", "signature_of"]

_STATUSES = (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 501, 503, 504)
#: Characters that a name of a component cannot have.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


def signature_of(served: ServedFunction) -> dict[str, Any]:
    """What can be called of a function, with schemas."""
    methods = served.methods
    described: dict[str, Any] = {"methods": [], "not_callable": [], "definitions": {}}
    if methods is not None:
        described = methods.describe()
    kind = "bytes" if methods is None else "typed"
    return {"function_id": served.record.function_id, "kind": kind, **described}


@final
class ApiDocument:
    """The description with the methods of what is deployed; made anew when that changes.

    Args:
        document: the description without them.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._making = threading.Lock()
        self._made: tuple[object, bytes] = (None, b"")

    def text(self, served: Iterable[ServedFunction], root_path: str) -> bytes:
        """JSON. Takes a moment for many functions, so not on the event loop.

        Args:
            served: functions whose methods are described.
            root_path: where the app is mounted.
        """
        served = [each for each in served if each.methods is not None]
        key = root_path, *((each.record.function_id, each.record.revision) for each in served)
        with self._making:
            if self._made[0] != key:
                self._made = key, json.dumps(self._make(served, root_path)).encode()
            return self._made[1]

    def _make(self, served: Iterable[ServedFunction], root_path: str) -> dict[str, Any]:
        document = {**self._document, "paths": {**self._document["paths"]}}
        if root_path:
            document["servers"] = [{"url": root_path}]
        names = set[str]()
        schemas: dict[str, dict[str, Any]] = {}
        for function in served:
            function_id, methods = function.record.function_id, function.methods
            assert methods is not None
            maker = SchemaMaker("#/components/schemas/", _name(function_id) + ".", schemas)
            by_name: dict[str, list[dict[str, Any]]] = {}
            for method in methods.methods:
                by_name.setdefault(method.name, []).append(method.describe(maker))
            for name, described in by_name.items():
                path = f"/functions/{quote(function_id, safe='')}/{name}"
                operation = _operation(function_id, described)
                operation["operationId"] = _unique(_name(f"call_{function_id}_{name}"), names)
                document["paths"][path] = {"post": operation}
        components = {**self._document.get("components", {})}
        components["schemas"] = {**components.get("schemas", {}), **schemas}
        document["components"] = components
        return document


def _operation(function_id: str, described: list[dict[str, Any]]) -> dict[str, Any]:
    first = described[0]
    arguments = [_arguments(method) for method in described]
    results = [method["result"]["schema"] if method["result"] else {"type": "null"}
               for method in described]  # fmt: skip
    answers: dict[str, Any] = {JSON: {"schema": _any_of(results)}}
    if first["stream"]:
        answers[NDJSON] = {"schema": {"type": "string"}}
    texts = [method["description"] for method in described if method["description"]]
    return {
        "tags": [function_id],
        "summary": first["name"],
        "description": "\n\n".join([*texts, *(f"`{m['csharp']}`" for m in described)]),
        "requestBody": {
            "required": all(schema["required"] for schema in arguments),
            "content": {JSON: {"schema": _any_of(arguments)}},
        },
        "responses": {
            "200": {"description": "What the method returned.", "content": answers},
            **{str(status): PROBLEMS[status] for status in _STATUSES},
        },
    }


def _arguments(method: Mapping[str, Any]) -> dict[str, Any]:
    properties = {}
    for parameter in method["parameters"]:
        more = {name: parameter[name] for name in ("default", "description") if parameter.get(name)}
        properties[parameter["name"]] = {**parameter["schema"], **more}
    return {
        "type": "object",
        "properties": properties,
        "required": [p["name"] for p in method["parameters"] if p["required"]],
        "additionalProperties": False,
    }


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    different = [schema for n, schema in enumerate(schemas) if schema not in schemas[:n]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("_", text)


def _unique(name: str, taken: set[str]) -> str:
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    taken.add(made)
    return made
