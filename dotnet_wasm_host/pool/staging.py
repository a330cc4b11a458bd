"""Loading a function and serving it as two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.runtime.cancellation import Covered
from dotnet_wasm_host.runtime.registry import DescribedFunction, LoadedFunction
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from dotnet_wasm_host.engines.base import Interruption
    from dotnet_wasm_host.runtime import Runtime

__all__ = ["Loading", "StagedFunction"]


@final
class Loading(Covered):
    """A function that is loaded into a runtime which nobody else has."""

    __slots__ = ("_runtime",)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @override
    def interrupt(self, interruption: Interruption) -> None:
        self._runtime._port.interrupt(interruption, None)

    @override
    def runs(self) -> bool:
        return True


@final
class StagedFunction(DescribedFunction, Uncopyable):
    """A function that is loaded and checked, but not served yet.

    Made by :meth:`RuntimePool.stage`; a context manager that throws away what was not committed.
    """

    __slots__ = ("_commit", "_discard", "_done")

    def __init__(
        self,
        loaded: LoadedFunction,
        commit: Callable[[], LoadedFunction],
        discard: Callable[[], None],
    ) -> None:
        super().__init__(loaded)
        self._commit = commit
        self._discard = discard
        self._done = False

    def commit(self) -> LoadedFunction:
        """Serve it from now on, in place of what is loaded under the id. Once."""
        if self._done:
            raise ValueError(
                f"{self.function_id!r} was committed or thrown away before; stage it again"
            )
        function = self._commit()
        self._done = True
        return function

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._done:
            self._done = True
            self._discard()
