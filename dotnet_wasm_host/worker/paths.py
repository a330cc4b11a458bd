"""Function ids in paths: any text, slashes and line ends included."""

from __future__ import annotations

from typing import final

from starlette.convertors import Convertor, register_url_convertor

__all__ = ["FUNCTION_PATH", "INVOKE_PATH"]


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
    regex = "(?s:.+)(?<!/invoke)"


register_url_convertor("dotnet_function", _FunctionId())
register_url_convertor("dotnet_resource", _ResourceId())

FUNCTION_PATH = "/functions/{function_id:dotnet_resource}"
INVOKE_PATH = "/functions/{function_id:dotnet_function}/invoke"
