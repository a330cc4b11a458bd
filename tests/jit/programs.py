"""Random C# programs whose results depend on everything that they compute.

A program is a handler with methods of nested loops over locals of all primitive types, arrays,
spans, strings, structs, calls of every sort, and exceptions. It answers a line for each method:
every local after the loop, or the exception that ended it. The same seed gives the same program.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Body", "write_bodies", "write_program"]

_WIDE = ("int", "uint", "long", "ulong", "float", "double")
_INTEGERS = ("sbyte", "byte", "short", "ushort", "int", "uint", "long", "ulong", "char")
_FLOATS = ("float", "double")
_TYPES = (*_INTEGERS, *_FLOATS)
_INTERESTING = (
    "0", "1", "2", "3", "7", "31", "32", "63", "127", "128", "255", "256", "32767", "32768",
    "65535", "2147483647", "2147483648", "4294967295", "9223372036854775807",
)  # fmt: skip

_PRELUDE = """#pragma warning disable
using System; using System.Collections.Generic; using System.Linq; using System.Text;
public interface IShape { long Area(int n); int Sides { get; set; } }
public abstract class Shape : IShape {
    public int Sides { get; set; }
    public abstract long Area(int n);
    public virtual double Weight(double x) => x * Sides;
}
public class Square : Shape {
    public long Side;
    public override long Area(int n) => unchecked(Side * Side + n);
}
public sealed class Cube : Square {
    public override long Area(int n) => unchecked(6 * base.Area(n) ^ Sides);
    public override double Weight(double x) => base.Weight(x) / 3 - Side;
}
public struct Flat : IShape {
    public long Wide; public int Sides { get; set; }
    public long Area(int n) {
        unchecked { Wide = Wide * 3 + n; return 99 / ((n & 31) - 7) ^ Wide; }
    }
    public override string ToString() => "flat" + Sides;
}
public struct Point {
    public int X; public double Y; public long Z;
    public Point(int x, double y) { X = x; Y = y; Z = unchecked(x * 31L); }
    public readonly long Sum(int n) => unchecked(X + n + Z);
    public void Move(int n) { unchecked { X += n; Z ^= X; } }
    public static Point operator +(Point a, Point b) =>
        unchecked(new Point { X = a.X + b.X, Y = a.Y - b.Y, Z = a.Z * 3 + b.Z });
}
public struct Tiny { public sbyte A; public ushort B; public float C; }
public class Box<T> {
    public T Value; public int Writes;
    public T Swap(T other) { var old = Value; Value = other; Writes++; return old; }
}
public class Counted {
    public static int Made; public int First; public long Second; public Counted Inner;
    public Counted(int n) {
        unchecked {
            Made++; First = n * 3; if ((n & 3) == 1) Inner = new Counted(n >> 2);
            Second = 1000 / (n % 9 - 4) + Made; Made += 5;
        }
    }
}
public sealed class Generated : MinimalRuntime.IFunctionHandler {
    static long total; static double mean; static int[] table = new int[32]; static short small;
    static int Mix(int a, int b) => unchecked((a ^ (a >>> 7)) * 31 + b);
    static long Wide(long a, int b, ulong c) { unchecked { return a * b - (long)c; } }
    static double Blend(double a, float b) => a * 0.25 + b;
    static ulong Half(ulong a) => a >> 1;
    static int Fibonacci(int n) => n < 2 ? n : unchecked(Fibonacci(n - 1) + Fibonacci(n - 2));
    static int Count(int n) { total++; return n == 0 ? 0 : unchecked(1 + Count(n - 1)); }
    static void Bump(ref int a, out long b, in Point p) { unchecked { a += p.X; b = a * p.Z; } }
    static Point Turn(Point p, int n) { unchecked { p.X = p.X * 3 + n; p.Z -= p.X; return p; } }
    static T Pick<T>(bool first, T a, T b) => first ? a : b;
    static int Check(int n) {
        if (n % 7 == 0) throw new InvalidOperationException("seven");
        if (n % 11 == 0) throw new ArgumentException("eleven");
        return n / 3;
    }
    static IEnumerable<int> Steps(int from, int count) {
        for (int i = 0; i < count; i++) yield return unchecked(from + i * i);
    }
    static sbyte Low(int a) => unchecked((sbyte)a);
    static ushort Short(long a) => unchecked((ushort)a);
    static char Letter(int a) => (char)('a' + (a & 15));
"""


@dataclass(frozen=True, slots=True)
class Body:
    """One method of a program.

    Attributes:
        before: what stands before its loop.
        statements: of its loop.
        after: what is written about it.
        turns: of the loop.
    """

    before: tuple[str, ...]
    statements: tuple[str, ...]
    after: tuple[str, ...]
    turns: int

    def write(self, number: int) -> str:
        """The method's source."""
        lines = (
            *self.before, "try { unchecked {",
            f"for (int outer = 0; outer < {self.turns}; outer++) {{", *self.statements, "} } }",
            ("catch (Exception error) { log.Append(error.GetType().Name).Append(' ')"
            ".Append(error.Message).Append(' '); }"), *self.after,
        )  # fmt: skip
        body = "\n        ".join(lines)
        return f"    static void M{number}(StringBuilder log) {{\n        {body}\n    }}"


class _Writer:
    """Writes one method."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._locals = [(f"v{n}", draw.choice(_TYPES)) for n in range(draw.randint(4, 9))]
        self._depth = 0
        self._names = 0
        self._kinds: dict[str, tuple[int, Callable[[], str]]] = {
            "assign": (6, self._assign), "array": (2, self._array), "wide": (1, self._wide),
            "bytes": (1, self._bytes), "span": (1, self._span), "field": (2, self._field),
            "tiny": (1, self._tiny), "static": (1, self._static), "if": (2, self._if),
            "loop": (2, self._loop), "checked": (1, self._checked), "switch": (1, self._switch),
            "divide": (2, self._divide), "call": (4, self._call), "point": (2, self._point),
            "virtual": (2, self._virtual), "delegate": (1, self._delegate),
            "generic": (1, self._generic), "box": (1, self._box), "try": (2, self._try),
            "list": (1, self._list), "text": (1, self._text), "iterate": (1, self._iterate),
            "construct": (2, self._construct), "cast": (2, self._cast),
            "narrow": (1, self._narrow), "make": (1, self._make), "matrix": (1, self._matrix),
        }  # fmt: skip

    def write(self) -> Body:
        """The method."""
        before = [
            f"{kind} {name} = unchecked(({kind}){self._literal()});" for name, kind in self._locals
        ]
        before += [
            "var array = new int[17]; var wide = new long[9]; var bytes = new byte[64];",
            "var point = new Point { X = 3, Y = 1.5, Z = 7 }; var tiny = default(Tiny);",
            'string text = "some text of twenty-six ch"; Span<byte> span = bytes;',
            "Shape shape = new Square { Side = 5, Sides = 4 }; IShape shaped = shape;",
            "var box = new Box<long>(); var list = new List<int>(); var grid = new int[3, 5];",
            "object mixed = text; Counted kept = null; int first = Counted.Made;",
            "Func<int, long> boxed = ((IShape)new Flat { Sides = 2 }).Area;",
            "Func<int, int, int> open = Mix;",
            "Func<int, int> twice = n => unchecked(n * 2 + (int)point.Z);",
        ]
        after = []
        for name, kind in self._locals:
            shown = {"float": f"BitConverter.SingleToInt32Bits({name})",
                     "double": f"BitConverter.DoubleToInt64Bits({name})",
                     "char": f"(int){name}"}.get(kind, name)  # fmt: skip
            after.append(f"log.Append({shown}).Append(' ');")
        after += [
            "foreach (var item in array) log.Append(item).Append(' ');",
            "foreach (var item in wide) log.Append(item).Append(' ');",
            "foreach (var item in bytes) log.Append(item).Append(' ');",
            "foreach (var item in grid) log.Append(item).Append(' ');",
            "log.Append(point.X).Append(' ').Append(BitConverter.DoubleToInt64Bits(point.Y));",
            "log.Append(' ').Append(point.Z).Append(' ').Append(tiny.A).Append(tiny.B);",
            "log.Append(BitConverter.SingleToInt32Bits(tiny.C)).Append(' ').Append(total);",
            "log.Append(' ').Append(BitConverter.DoubleToInt64Bits(mean)).Append(' ');",
            "log.Append(small).Append(' ').Append(box.Value).Append(' ').Append(box.Writes);",
            "log.Append(' ').Append(list.Count).Append(' ').Append(text).Append(' ');",
            "log.Append(Counted.Made - first).Append(' ').Append(kept?.First);",
            "log.Append(shape.Area(1)).Append(shape.Sides).Append('\\n');",
        ]
        turns = self._draw.randint(900, 1500)
        statements = self._statements(self._draw.randint(3, 7))
        return Body(tuple(before), tuple(statements), tuple(after), turns)

    def _statements(self, count: int) -> list[str]:
        return [self._statement() for _ in range(count)]

    def _statement(self) -> str:
        names = list(self._kinds)
        name = self._draw.choices(names, [self._kinds[kind][0] for kind in names])[0]
        if self._depth >= 3 and name in {"if", "loop", "switch", "try"}:
            name = "assign"
        self._depth += 1
        try:
            return self._kinds[name][1]()
        finally:
            self._depth -= 1

    def _of(self, kind: str) -> str:
        """A value, converted to a type."""
        wide = kind if kind in _WIDE else "int"
        return f"({kind})({self._value(wide)})"

    def _fresh(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _assign(self) -> str:
        name, of = self._draw.choice(self._locals)
        return f"{name} = {self._of(of)};"

    def _array(self) -> str:
        operator = self._draw.choice(("=", "+=", "^=", "-=", "|="))
        return f"array[{self._index(17)}] {operator} {self._of('int')};"

    def _wide(self) -> str:
        return f"wide[{self._index(9)}] {self._draw.choice(('=', '-=', '^='))} {self._of('long')};"

    def _bytes(self) -> str:
        return f"bytes[{self._index(64)}] = {self._of('byte')};"

    def _span(self) -> str:
        value = f"array[{self._index(17)}] + text[{self._index(20)}]"
        return f"span[{self._index(64)}] ^= (byte)({value});"

    def _field(self) -> str:
        return (f"point.X += {self._of('int')}; point.Z ^= {self._of('long')};"
                f" point.Y = point.Y * 0.5 + {self._of('double')};")  # fmt: skip

    def _tiny(self) -> str:
        return (f"tiny.A += {self._of('sbyte')}; tiny.B ^= {self._of('ushort')};"
                f" tiny.C = tiny.C * 0.5f - {self._of('float')};")  # fmt: skip

    def _static(self) -> str:
        return (f"total += {self._of('long')}; mean = mean * 0.5 + {self._of('double')};"
                f" small -= {self._of('short')}; table[{self._index(32)}]++;")  # fmt: skip

    def _if(self) -> str:
        return (f"if ({self._condition()}) {{ {' '.join(self._statements(2))} }}"
                f" else {{ {' '.join(self._statements(1))} }}")  # fmt: skip

    def _loop(self) -> str:
        draw, name = self._draw, self._fresh("i")
        leave = draw.choice(
            ("", f"if ({self._condition()}) break; ", f"if ({self._condition()}) continue; ")
        )
        return (f"for (int {name} = 0; {name} < {draw.randint(1, 6)}; {name}++) "
                f"{{ {leave}{' '.join(self._statements(2))} }}")  # fmt: skip

    def _checked(self) -> str:
        draw, (name, of) = self._draw, self._draw.choice(self._locals)
        wide = draw.choice(("int", "long", "uint", "ulong"))
        if draw.random() < 0.5:
            # Narrow enough not to overflow, mostly.
            product = f"checked(({wide})outer * ({wide}){draw.randint(1, 9000)})"
            return f"{name} = unchecked(({of}){product});"
        narrow = draw.choice(("sbyte", "byte", "short", "ushort", "uint", "int"))
        value = f"{self._value(wide)} & {draw.choice((63, 127, 255))}"
        # Not a constant, whose overflow is an error of the compiler.
        moved = f"unchecked(({wide})({value}) + ({wide})outer)"
        return f"{name} = unchecked(({of})checked(({narrow}){moved}));"

    def _switch(self) -> str:
        cases = " ".join(f"case {n}: {self._statement()} break;" for n in range(4))
        return f"switch ({self._of('int')} & 7) {{ {cases} default: {self._statement()} break; }}"

    def _divide(self) -> str:
        draw, (name, of) = self._draw, self._draw.choice(self._locals)
        wide = draw.choice(_WIDE)
        divisor = f"({wide})({self._value(wide)})"
        if draw.random() < 0.95:
            divisor = f"({divisor} == 0 ? ({wide})1 : ({wide}){draw.choice((3, 7, 10, 65537))})"
        return f"{name} = ({of})(({wide})({self._value(wide)}) {draw.choice('/%')} {divisor});"

    def _call(self) -> str:
        name, of = self._draw.choice(self._locals)
        b = self._fresh("b")
        return self._draw.choice((
            f"{name} = ({of})Mix({self._of('int')}, {self._of('int')});",
            f"{name} = ({of})Wide({self._of('long')}, {self._of('int')}, {self._of('ulong')});",
            f"{name} = ({of})Blend({self._of('double')}, {self._of('float')});",
            f"{name} = ({of})Half({self._of('ulong')});",
            f"{name} = ({of})Fibonacci({self._of('int')} & 3);",
            f"{name} = ({of})Count({self._of('int')} & 15);",
            f"Bump(ref array[{self._index(17)}], out var {b}, point); {name} = ({of}){b};",
            f"{name} = ({of})Low({self._of('int')}); {name} += ({of})Short({self._of('long')});",
            f"{name} = ({of})Letter({self._of('int')});",
            f"{name} = ({of})Math.Max({self._of('int')}, {self._of('int')});",
            f"{name} = ({of})Math.Sqrt({self._of('double')});",
        ))  # fmt: skip

    def _point(self) -> str:
        name, of = self._draw.choice(self._locals)
        return self._draw.choice(
            (
                f"point = Turn(point, {self._of('int')});",
                f"point.Move({self._of('int')});",
                f"{name} = ({of})point.Sum({self._of('int')});",
                f"point += new Point({self._of('int')}, {self._of('double')});",
                f"point = Pick({self._condition()}, point, new Point(3, {self._of('double')}));",
            )
        )

    def _virtual(self) -> str:
        name, of = self._draw.choice(self._locals)
        flat = self._fresh("flat")
        return self._draw.choice(
            (
                f"{name} = ({of})shape.Area({self._of('int')});",
                f"{name} = ({of})shaped.Area({self._of('int')});",
                f"{name} = ({of})shape.Weight({self._of('double')});",
                f"shaped.Sides ^= {self._of('int')};",
                (
                    f"IShape {flat} = ({self._condition()}) ? new Flat {{ Sides = 3 }} : shape;"
                    f" try {{ {name} = ({of}){flat}.Area({self._of('int')}); }}"
                    f" catch (DivideByZeroException) {{ total += {flat}.Sides; }}"
                    f" {flat}.Sides++; total ^= {flat}.Sides + {flat}.ToString().Length;"
                ),
                (
                    f"shape = ({self._condition()}) ? new Cube {{ Side = {self._of('long')} }}"
                    " : new Square { Side = 3, Sides = 2 }; shaped = shape;"
                ),
                f"if (shape is Cube) {name} = ({of})((Square)shape).Side;",
            )
        )

    def _delegate(self) -> str:
        name, of = self._draw.choice(self._locals)
        other = self._draw.choice([n for n, _ in self._locals])
        made = self._fresh("f")
        return self._draw.choice(
            (
                f"{name} = ({of})twice({self._of('int')});",
                f"{name} = ({of})boxed({self._of('int')} & 7);",
                f"{name} = ({of})open({self._of('int')}, {self._of('int')});",
                f"Func<long, long> {made} = n => n + (long){other}; {name} = ({of}){made}(outer);",
            )
        )

    def _generic(self) -> str:
        name, of = self._draw.choice(self._locals)
        return self._draw.choice(
            (
                f"{name} = ({of})box.Swap({self._of('long')});",
                f"{name} = Pick<{of}>({self._condition()}, {name}, {self._of(of)});",
                f'text = Pick({self._condition()}, text, "another text, as long as it");',
            )
        )

    def _box(self) -> str:
        name, of = self._draw.choice(self._locals)
        boxed = self._fresh("o")
        return f"object {boxed} = {self._of(of)}; {name} = ({of}){boxed};"

    def _try(self) -> str:
        name, of = self._draw.choice(self._locals)
        thrown = f"{name} = ({of})Check({self._of('int')} & 63);"
        inner = " ".join([*self._statements(1), thrown])
        e = self._fresh("e")
        handler = self._draw.choice(
            (
                f"catch (InvalidOperationException) {{ {self._statement()} }} catch {{ }}",
                (
                    f"catch (Exception {e}) when ({e} is ArgumentException)"
                    f" {{ {self._statement()} }}"
                    " catch { small++; }"
                ),
                f"catch (Exception) {{ total--; }} finally {{ {self._statement()} }}",
            )
        )
        return f"try {{ {inner} }} {handler}"

    def _list(self) -> str:
        name, of = self._draw.choice(self._locals)
        return (f"list.Add({self._of('int')}); if (list.Count > 40) {{ {name} = ({of})list.Sum(n =>"
                f" (long)n); list.Clear(); }}")  # fmt: skip

    def _text(self) -> str:
        name, of = self._draw.choice(self._locals)
        return self._draw.choice(
            (
                f"{name} = ({of})text.IndexOf((char)('a' + ({self._of('int')} & 15)));",
                f"{name} = ({of})text.Substring({self._index(9)}, 4).Length;",
                f"text = (text + ({self._of('int')})).Substring(0, 26);",
                "foreach (var letter in text) small += (short)letter;",
            )
        )

    def _iterate(self) -> str:
        name, of = self._draw.choice(self._locals)
        step = self._fresh("s")
        return (f"foreach (var {step} in Steps({self._of('int')}, {self._draw.randint(0, 4)}))"
                f" {name} = ({of})({name} + ({of}){step});")  # fmt: skip

    def _narrow(self) -> str:
        (name, of), (other, _) = self._draw.choice(self._locals), self._draw.choice(self._locals)
        through = self._draw.choice(_TYPES)
        return f"{name} = ({of})({through})({other} + {self._literal()});"

    def _make(self) -> str:
        made = self._fresh("a")
        return (f"var {made} = new int[{self._draw.randint(1, 9)}]; {made}[0] = {self._of('int')};"
                f" array[{self._index(17)}] = {made}[{made}.Length - 1];")  # fmt: skip

    def _construct(self) -> str:
        (name, of), made = self._draw.choice(self._locals), self._fresh("c")
        value = self._of("int")
        use = (f"var {made} = new Counted({value}); kept = {made}.Inner ?? kept;"
               f" {name} = ({of})({made}.First + {made}.Second + Counted.Made);")  # fmt: skip
        if self._draw.random() < 0.2:
            return use
        return f"try {{ {use} }} catch (DivideByZeroException) {{ small += 3; }}"

    def _cast(self) -> str:
        name, of = self._draw.choice(self._locals)
        other = self._draw.choice(
            ("shape", "(object)text", "(object)array", f"(object)({self._of('long')})",
             f"(object)({self._of('int')})", "(object)kept", "(object)list")
        )  # fmt: skip
        one = self._fresh("k")
        tested = self._draw.choice(
            ("Cube", "IShape", "string", "int", "IEnumerable<int>", "Counted")
        )
        failing = self._draw.choice(
            ("(long)mixed", "((IShape)mixed).Sides", "((string)mixed).Length")
        )
        return (f"mixed = {other}; if (mixed is {tested} {one}) {name}++;"
                f" try {{ {name} = ({of})({failing}); }}"
                " catch (InvalidCastException) { total ^= 7; }"
                " catch (NullReferenceException) { total ^= 9; }")  # fmt: skip

    def _matrix(self) -> str:
        return f"grid[{self._index(3)}, {self._index(5)}] += {self._of('int')};"

    def _index(self, length: int) -> str:
        # One in some hundred may be outside, and ends the method.
        if self._draw.random() < 0.01:
            return f"outer % {length + 3}"
        return f"(int)((uint)({self._value('int')}) % {length}u)"

    def _condition(self) -> str:
        of = self._draw.choice(_WIDE)
        sign = self._draw.choice(("<", "<=", ">", ">=", "==", "!="))
        return f"({of})({self._value(of)}) {sign} ({of})({self._value(of)})"

    def _value(self, of: str, depth: int = 0) -> str:
        draw = self._draw
        if depth > 2 or draw.random() < 0.3:
            if draw.random() < 0.3:
                return f"({of}){self._literal()}"
            names = [*(n for n, _ in self._locals), "outer", "point.X", "tiny.B", "point.Z"]
            return f"({of}){draw.choice([*names, f'array[{draw.randrange(17)}]'])}"
        left, right = self._value(of, depth + 1), self._value(of, depth + 1)
        if of in _FLOATS:
            return f"({left} {draw.choice(('+', '-', '*', '/'))} {right})"
        if draw.random() < 0.2:
            shift = draw.choice(("<<", ">>", ">>>"))
            return f"({left} {shift} (int)({self._value('int', depth + 1)}))"
        if draw.random() < 0.1:
            return f"(~{left})"
        return f"({left} {draw.choice(('+', '-', '*', '&', '|', '^'))} {right})"

    def _literal(self) -> str:
        draw = self._draw
        return draw.choice(_INTERESTING) if draw.random() < 0.6 else str(draw.randrange(1 << 31))


def write_bodies(seed: int, methods: int) -> list[Body]:
    """Methods; the same for the same seed."""
    return [_Writer(random.Random(f"{seed}/{n}")).write() for n in range(methods)]


def write_program(bodies: Sequence[Body]) -> str:
    """C# of a handler with these methods."""
    calls = " ".join(
        f"total = 0; mean = 0; small = 0; Counted.Made = 0; M{n}(log);" for n in range(len(bodies))
    )
    return "\n".join((
        _PRELUDE,
        *(body.write(number) for number, body in enumerate(bodies)),
        "    public byte[] Execute(ReadOnlySpan<byte> input) {",
        f"        var log = new StringBuilder(); {calls}",
        "        return Encoding.UTF8.GetBytes(log.ToString());",
        "    }",
        "}",
    ))  # fmt: skip
