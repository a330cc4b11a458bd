"""What a function needs in another process beside its assemblies: options that can be pickled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import MarshallingTypeError
from dotnet_wasm_host.options import HttpPolicy, Limits, SystemClock, WasiOptions, require_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PoolOptions", "pool_options"]

_PLAIN = ("args", "env", "stdin", "stdout", "stderr", "files", "directories")


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Options of a pool, as plain values.

    Attributes:
        image: name of the image.
        limits: of each runtime.
        http: likewise.
        wasi: fields of :class:`WasiOptions` by name.
        host_functions: ``module:name`` by the name that C# uses.
    """

    image: str
    limits: Limits
    http: HttpPolicy | None
    wasi: tuple[tuple[str, Any], ...]
    host_functions: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """The same for the same options."""
        plain = () if self.http is None and not self.wasi and not self.host_functions else self
        return repr((self.image, self.limits, plain))

    def arguments(self) -> dict[str, Any]:
        """For :class:`RuntimePool`; host functions are imported here and now."""
        values: dict[str, Any] = {"image": self.image, "limits": self.limits, "http": self.http}
        if self.wasi:
            fields: dict[str, Any] = dict(self.wasi)
            for name in _MAPPINGS:
                fields[name] = dict(fields[name])
            values["wasi"] = WasiOptions(**fields)
        if self.host_functions:
            values["host_functions"] = {n: _imported(where) for n, where in self.host_functions}
        return values


_MAPPINGS = frozenset({"env", "files", "directories"})


def pool_options(
    image: str,
    limits: Limits | None,
    wasi: WasiOptions | None,
    http: HttpPolicy | None,
    host_functions: Mapping[str, str | Callable[[bytes], Any]] | None,
) -> PoolOptions:
    """Options as values that can be pickled.

    Raises:
        MarshallingTypeError: one of them belongs to this process.
    """
    require_type("limits", limits, Limits)
    require_type("wasi", wasi, WasiOptions)
    require_type("http", http, HttpPolicy)
    if http is not None and http.tls is not None:
        raise MarshallingTypeError(
            "expected an HttpPolicy without tls, found one whose certificates belong to this "
            "process; leave tls out"
        )
    named = {name: _import_name(name, f) for name, f in (host_functions or {}).items()}
    return PoolOptions(
        image,
        limits if limits is not None else Limits(),
        http,
        _plain_wasi(wasi),
        tuple(sorted(named.items())),
    )


def _plain_wasi(wasi: WasiOptions | None) -> tuple[tuple[str, Any], ...]:
    if wasi is None:
        return ()
    plain = {name: getattr(wasi, name) for name in _PLAIN}
    for name in ("stdin", "stdout", "stderr"):
        if not isinstance(plain[name], (str, bytes, type(None))):
            raise MarshallingTypeError(
                f"expected bytes or a name for {name}, found {type(plain[name]).__name__}, which "
                "stays in this process; give something that can be pickled"
            )
    if type(wasi.clock) is not SystemClock or wasi.random is not os.urandom:
        raise MarshallingTypeError(
            "expected the system's clock and entropy, found others, which stay in this process; "
            "leave them out"
        )
    for name in _MAPPINGS:
        plain[name] = tuple(sorted(plain[name].items()))
    return tuple(plain.items())


def _import_name(name: str, function: str | Callable[[bytes], Any]) -> str:
    """``module:name`` of a host function. MarshallingTypeError if it cannot be imported so."""
    if isinstance(function, str):
        module, colon, attribute = function.partition(":")
        if colon and all(p.isidentifier() for p in (*module.split("."), *attribute.split("."))):
            return function
        raise MarshallingTypeError(
            f"host function {name!r}: expected 'module:name', found {function!r}; write where it "
            "is imported from and give its name"
        )
    where = f"{function.__module__}:{function.__qualname__}"
    if function.__module__ != "__main__" and "<" not in where and _imported(where) is function:
        return where
    raise MarshallingTypeError(
        f"host function {name!r}: expected one that other processes can import, found {where}; "
        "put it into a module, and give 'module:name'"
    )


def _imported(where: str) -> Any:  # noqa: ANN401 - whatever it is
    from importlib import import_module
    from operator import attrgetter

    module, _, attribute = where.partition(":")
    return attrgetter(attribute)(import_module(module))
