"""Function ids in paths: any text, slashes and line ends included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, final
from urllib.parse import unquote_to_bytes

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.runtime.registry import MAX_ID_BYTES

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = [
    "FUNCTION_PATH",
    "INVOKE_PATH",
    "METHOD_NAME",
    "METHOD_PATH",
    "REPLACED",
    "FunctionId",
    "require_utf8",
]

#: Not the names of what a function has besides.
METHOD_NAME = r"(?!(?:signature|source)$)[^\W\d][\w.]*"
#: What servers put for bytes that are not UTF-8; also a character like any other.
REPLACED = "\ufffd"


class _FunctionId(Convertor[str]):
    #: Starlette's own ``path`` stops at line ends.
    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


@final
class _ResourceId(_FunctionId):
    #: What ends so is the resource to call, whatever the method.
    regex = "(?s:.+)(?<!/invoke)(?<!/signature)(?<!/source)"


@final
class _Method(_FunctionId):
    #: A name of C#, perhaps with its type's. What ends in this is called with POST only.
    regex = METHOD_NAME


register_url_convertor("dotnet_method", _Method())
register_url_convertor("dotnet_function", _FunctionId())
register_url_convertor("dotnet_resource", _ResourceId())

FUNCTION_PATH = "/functions/{function_id:dotnet_resource}"
INVOKE_PATH = "/functions/{function_id:dotnet_function}/invoke"
METHOD_PATH = "/functions/{function_id:dotnet_function}/{method:dotnet_method}"
#: A parameter of a route.
FunctionId = Annotated[str, Path(min_length=1, max_length=MAX_ID_BYTES)]


def require_utf8(scope: Scope) -> None:
    """MarshallingError if the path is not UTF-8: two such ids would be one."""
    try:
        unquote_to_bytes(scope.get("raw_path") or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"the path is not UTF-8 ({error.reason}); encode ids as UTF-8 before '%' escapes"
        ) from None
