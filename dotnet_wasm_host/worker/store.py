"""Where deployed functions are kept: the seam, and its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dotnet_wasm_host.errors import DotnetHostError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "ANY_VERSION",
    "Condition",
    "FunctionRecord",
    "FunctionStore",
    "PreconditionFailed",
    "StoreError",
    "StoredFunction",
    "TooManyFunctions",
]

#: ``*`` of ``If-Match`` and ``If-None-Match``: whatever version there is.
ANY_VERSION = frozenset({"*"})


class StoreError(DotnetHostError):
    """The store cannot be opened, read or written, or what it gave back is damaged."""


class TooManyFunctions(LimitExceeded):
    """As many functions are deployed as may be."""


class PreconditionFailed(DotnetHostError):
    """The function is not at the version that the request was made for."""


@dataclass(frozen=True, slots=True)
class Condition:
    """For which versions a change is meant (RFC 9110, 13.1).

    Args:
        match: SHA-256 values of which the present one must be; :data:`ANY_VERSION`: there must
            be one; ``None``: does not matter.
        none_match: values of which the present one must not be; :data:`ANY_VERSION`: there must
            be none; ``None``: does not matter.
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    def check(self, function_id: str, present: str | None) -> None:
        """Raise :class:`PreconditionFailed` unless ``present`` will do."""
        if self.match is not None and (
            present is None or (self.match != ANY_VERSION and present not in self.match)
        ):
            raise PreconditionFailed(
                f"function {function_id!r} {_now(present)}, which If-Match does not name"
            )
        if self.none_match is not None and (
            present is not None and (self.none_match == ANY_VERSION or present in self.none_match)
        ):
            raise PreconditionFailed(
                f"function {function_id!r} {_now(present)}, which If-None-Match rules out"
            )


def _now(present: str | None) -> str:
    return "is not deployed" if present is None else f"is at version {present}"


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """A deployed function, without its assembly.

    Attributes:
        function_id: its id.
        revision: version of the store that it came with; every deploy has a higher one.
        sha256: SHA-256 of the assembly, or of the bundle that has it, in hex.
        size: size of that in bytes.
        handler: the handler type that was asked for, or ``None`` for the first one.
        handler_type: full name of the .NET type that handles calls; empty for one that has none
            and whose methods are called.
        assembly_name: simple name of the assembly.
        timeout: seconds a call may take, or ``None`` for the worker's own.
        concurrency: calls at the same time, or ``None`` for the worker's own.
        deployed_at: when, UTC.
    """

    function_id: str
    revision: int
    sha256: str
    size: int
    handler: str | None
    handler_type: str
    assembly_name: str
    timeout: float | None
    concurrency: int | None
    deployed_at: datetime

    @property
    def is_typed(self) -> bool:
        """Whether its methods are called, with JSON."""
        return not self.handler_type


@dataclass(frozen=True, slots=True)
class StoredFunction:
    """A deployed function with its assembly.

    Attributes:
        record: what it is.
        assembly: the file's content, or a canonical bundle: a zip archive of an assembly with its
            dependencies.
        parts: what belongs to it, by name, and is not what was deployed: the ``source`` that it
            was compiled from, the ``documentation`` of its methods (XML), the ``dispatcher`` that
            calls them. A store may lose these: nothing is called wrongly without them.
    """

    record: FunctionRecord
    assembly: bytes
    parts: Mapping[str, bytes] = field(default_factory=dict)


class FunctionStore(Protocol):
    """Keeps deployed functions over restarts. Methods block and may be called by any thread.

    Every change is all or nothing, on disk when the method returns, and seen by every process
    that uses the store. All methods raise :class:`StoreError`.
    """

    def version(self) -> int:
        """A number that every change makes larger. Asked several times a second."""

    def functions(self) -> Mapping[str, FunctionRecord]:
        """What is deployed, at one moment."""

    def read(self, function_id: str) -> StoredFunction | None:
        """A function with its assembly, or ``None``."""

    def put(self, function: StoredFunction, condition: Condition, most: int) -> FunctionRecord:
        """Deploy or replace; the revision given is not looked at, the one returned is new.

        Raises:
            PreconditionFailed: the condition does not hold now.
            TooManyFunctions: it would be one more than ``most`` functions.
        """

    def delete(self, function_id: str, condition: Condition) -> bool:
        """Forget a function; False if there was none. PreconditionFailed as for ``put``."""

    def request_reload(self) -> int:
        """Ask every process for a reload of its image; how often that was asked for so far."""

    def reloads(self) -> int:
        """How often a reload was asked for."""

    def close(self) -> None:
        """Let go of files. Idempotent."""
