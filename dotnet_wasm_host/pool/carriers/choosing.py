"""Who pickles, and by which means it carries parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dotnet_wasm_host.pool.carriers.frames import PICKLERS, callers, is_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.pool.carriers.base import Carrier

__all__ = ["Carried", "carry", "pickling_engine"]

#: What pickles all that Dask sends.
_DASK = "distributed.protocol.pickle"
#: What pickles functions of Spark, and asks for their broadcasts afterwards. Others pickle data.
_SPARK_FUNCTION = "_prepare_for_python_RDD"


class Carried(NamedTuple):
    """Parts that an engine has.

    Attributes:
        engine: its name.
        parts: a part's SHA-256, and what finds it in the engine.
    """

    engine: str
    parts: tuple[tuple[str, Any], ...]

    def read(self) -> tuple[bytes, ...]:
        """The parts. PartMissing if the engine does not have them any more."""
        carrier = _carrier(self.engine)
        return tuple(carrier.receive(digest, token) for digest, token in self.parts)


def carry(digests: Sequence[str], parts: Sequence[bytes]) -> Carried | None:
    """Have the engine that pickles carry parts; ``None`` if it is none that can."""
    engine = pickling_engine()
    if not engine:
        return None
    carrier = _carrier(engine)
    if not carrier.is_ready(digests):
        return None
    sent = ((digest, carrier.send(digest, part)) for digest, part in zip(digests, parts))  # noqa: B905 - as many
    return Carried(engine, tuple(sent))


def pickling_engine() -> str:
    """The engine that pickles now, ``""`` if it is nobody known.

    Picklers have no name for those they work for, so it is the nearest caller that is no pickler.
    """
    for module, function in callers():
        if module == _DASK:
            return "dask"
        if not is_within(module, PICKLERS):
            if is_within(module, ("pyspark",)) and function == _SPARK_FUNCTION:
                return "spark"
            return "ray" if is_within(module, ("ray",)) else ""
    return ""


def _carrier(engine: str) -> Carrier:
    if engine == "dask":
        from dotnet_wasm_host.pool.carriers.dask_plugins import DASK

        return DASK
    if engine == "ray":
        from dotnet_wasm_host.pool.carriers.ray_objects import RAY

        return RAY
    from dotnet_wasm_host.pool.carriers.spark_broadcasts import SPARK

    return SPARK
