"""What users are told of compiled methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JitMethod", "JitReport", "JitStats"]


@dataclass(frozen=True, slots=True)
class JitStats:
    """Machine code of the present instance of a runtime.

    Attributes:
        methods: .NET methods with compiled code.
        code_bytes: bytes of WebAssembly that were compiled for them.
        pending: methods that have run often and wait to be compiled.
        rejected: methods that stay interpreted because they cannot be compiled.
        discarded: methods that had changed while they were compiled in the background.
        host_work: what compiling has cost, in the units of ``Limits.host_work``; when it has cost
            an instance as much as a call may, nothing more is compiled there.
    """

    methods: int = 0
    code_bytes: int = 0
    pending: int = 0
    rejected: int = 0
    discarded: int = 0
    host_work: int = 0


@dataclass(frozen=True, slots=True)
class JitMethod:
    """A .NET method that has run often (``Runtime.hot_methods``).

    Attributes:
        name: of its type, itself and its parameters, as Mono writes it.
        compiled: whether it has compiled code.
        reason: why it stays interpreted; empty where it does not.
        exits: instruction of the interpreter to number of places that leave compiled code for the
            interpreter because of it, whether they are ever reached or not.
    """

    name: str
    compiled: bool
    reason: str = ""
    exits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JitReport:
    """What ``Runtime.compile_hot_methods`` has done.

    Attributes:
        methods: .NET methods that have compiled code now and had none before.
        code_bytes: bytes of WebAssembly that were compiled for them.
        rejected: reason to number of methods that stay interpreted because of it.
        exits: instruction of the interpreter to number of places in the compiled methods that
            are left for the interpreter because of it.
        seconds: that it took.
    """

    methods: int = 0
    code_bytes: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
