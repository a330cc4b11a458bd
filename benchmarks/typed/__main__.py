"""``python -m benchmarks.typed``: typed calls beside raw ones, and beside pythonnet if it is there.

The raw call does what ``add(1, 2)`` has to do: it takes 12 bytes, reads two integers of them,
adds them and writes four bytes into an array that it has. So it cannot be slower than that.

Calls alternate, and times are those of the thread that calls, so that what else the machine does
matters less. Ratios of one run can be compared, times of different runs cannot.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import dotnet_wasm_host as dwh
from benchmarks.kit import make_kit
from benchmarks.peers.coreclr import dotnet_root, start_coreclr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Call = Callable[[], object]

SOURCE = Path(__file__).with_name("calls.cs")
RAW = "raw invoke"
#: Times a raw invoke, at most (``docs/performance.md``).
BARS = {"int, int -> int": 1.3, "string -> string": 2.5, "record -> record": 4.0,
        "double[1000] into a span": 2.0}  # fmt: skip
#: pythonnet converts an array at least so many times slower.
CONVERSION_BAR = 20.0
ARRAY = "double[1000] into an array"
_RAW_SOURCE = """
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
public sealed class Raw : MinimalRuntime.IFunctionHandler {
    static byte[]? result;
    public byte[] Execute(ReadOnlySpan<byte> input) {
        if (input.Length != 12) { throw new ArgumentException("12 bytes"); }
        ref var first = ref MemoryMarshal.GetReference(input);
        var sum = Unsafe.ReadUnaligned<int>(ref Unsafe.Add(ref first, 4))
            + Unsafe.ReadUnaligned<int>(ref Unsafe.Add(ref first, 8));
        var answer = result ??= new byte[4];
        Unsafe.WriteUnaligned(ref MemoryMarshal.GetArrayDataReference(answer), sum);
        return answer;
    }
}
"""


class Line(NamedTuple):
    """A kind of call: microseconds of ours and of pythonnet's, and times a raw invoke."""

    call: str
    ours: float
    ratio: float
    pythonnet: float | None
    bar: float | None

    def __str__(self) -> str:
        other = "" if self.pythonnet is None else f"{self.pythonnet:10.2f} us"
        bar = "" if self.bar is None else f"  (at most {self.bar} x)"
        return f"{self.call:28}{self.ours:8.2f} us{self.ratio:7.2f} x{other}{bar}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 if a bar is not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.typed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="medians of so many (%(default)s)")
    parser.add_argument("--calls", type=int, default=400, help="calls in a row (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the data")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="typed-") as name, dwh.Runtime() as runtime:
        found = list(_measure(Path(name), runtime, options.rounds, options.calls))
    print(json.dumps([each._asdict() for each in found], indent=1) if options.json else
          "\n".join(map(str, found)))  # fmt: skip
    return 0 if all(each.bar is None or each.ratio <= each.bar for each in found) else 1


def _measure(folder: Path, runtime: dwh.Runtime, rounds: int, calls: int) -> Iterator[Line]:
    library = dwh.compile_csharp(SOURCE.read_text(encoding="utf-8"), assembly_name="Calls")
    library.save(folder)
    runtime.load_assembly("raw", dwh.compile_csharp(_RAW_SOURCE))
    with dwh.load(library, runtime=runtime) as module:
        ours = {RAW: lambda: runtime.invoke("raw", b"123456789012"), **_ours(module)}
        others = _pythonnet(folder)
        times = _alternate(
            {**ours, **{f"pythonnet {n}": c for n, c in others.items()}}, rounds, calls
        )
    for name in ours:
        ratio = times[name] / times[RAW]
        yield Line(name, times[name], ratio, times.get(f"pythonnet {name}"), BARS.get(name))
    if others:
        slower = times[f"pythonnet {ARRAY}"] / times[ARRAY]
        print(f"pythonnet converts an array of 1,000 {slower:.0f} times slower", file=sys.stderr)


def _alternate(calls: dict[str, Call], rounds: int, count: int) -> dict[str, float]:
    for call in calls.values():
        for _ in range(3 * count):
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.thread_time_ns()
            for _ in range(count):
                call()
            samples[name].append((time.thread_time_ns() - started) / count / 1000)
    return {name: median(times) for name, times in samples.items()}


def _ours(m: Any) -> dict[str, Call]:  # noqa: ANN401 - what C# has
    numbers, array = list(range(100)), np.arange(1000.0)
    point, counter, when = m.Point(1, 2.5, "n"), m.Counter(1), dt.datetime(2026, 1, 2, 3)  # noqa: DTZ001
    counts = {str(n): n for n in range(20)}

    def plus_one(x: int) -> int:
        return x + 1

    def set_value() -> None:
        counter.Value = 3

    return {
        "int, int -> int": lambda: m.Add(1, 2),
        "double -> double": lambda: m.Scale(1.5),
        "bool -> bool": lambda: m.Not(a=True),
        "enum -> enum": lambda: m.Other(m.Color.Red),
        "string -> string": lambda: m.Greet("Ada"),
        "DateTime -> DateTime": lambda: m.Later(when),
        "record -> record": lambda: m.Move(point, 4),
        "List<int> of 100": lambda: m.Sum(numbers),
        "Dictionary of 20": lambda: m.Count(counts),
        "double[1000] into a span": lambda: m.First(array),
        ARRAY: lambda: m.FirstOfArray(array),
        "double[1000] as a list": m.Numbers,
        "object: a method": lambda: counter.Next(1),
        "object: a property": lambda: counter.Value,
        "object: set a property": set_value,
        "object: make one": lambda: m.Counter(1),
        "delegate": lambda: m.Apply(plus_one, 1),
    }


def _pythonnet(folder: Path) -> dict[str, Call]:
    """The same on CoreCLR; nothing if that is not there."""
    if find_spec("pythonnet") is None or dotnet_root() is None:
        print("no pythonnet or no CoreCLR: pip install pythonnet dnv", file=sys.stderr)
        return {}
    make_kit(folder, lambda _: None)
    start_coreclr(folder)
    import_module("clr").AddReference(str(folder / "Calls.dll"))
    calls, system = import_module("Calls"), import_module("System")
    generic = import_module("System.Collections.Generic")
    f, counter, array = calls.Functions, calls.Counter(1), np.arange(1000.0)
    numbers, truth = list(range(100)), (True,)
    point, red, when = calls.Point(1, 2.5, "n"), calls.Color.Red, system.DateTime(2026, 1, 2)

    def plus_one(x: int) -> int:
        return x + 1

    def list_of_numbers() -> Any:  # noqa: ANN401 - a List<int>
        made = generic.List[system.Int32]()
        for number in numbers:
            made.Add(number)
        return made

    def dictionary() -> Any:  # noqa: ANN401 - a Dictionary<string, int>
        made = generic.Dictionary[system.String, system.Int32]()
        for number in range(20):
            made[str(number)] = number
        return made

    def set_value() -> None:
        counter.Value = 3

    function = system.Func[system.Int32, system.Int32]
    return {
        "int, int -> int": lambda: f.Add(1, 2),
        "double -> double": lambda: f.Scale(1.5),
        "bool -> bool": lambda: f.Not(*truth),
        "enum -> enum": lambda: f.Other(red),
        "string -> string": lambda: f.Greet("Ada"),
        "DateTime -> DateTime": lambda: f.Later(when),
        "record -> record": lambda: f.Move(point, 4),
        "List<int> of 100": lambda: f.Sum(list_of_numbers()),
        "Dictionary of 20": lambda: f.Count(dictionary()),
        ARRAY: lambda: f.FirstOfArray(system.Array[system.Double](array)),
        "double[1000] as a list": lambda: list(f.Numbers()),
        "object: a method": lambda: counter.Next(1),
        "object: a property": lambda: counter.Value,
        "object: set a property": set_value,
        "object: make one": lambda: calls.Counter(1),
        "delegate": lambda: f.Apply(function(plus_one), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
