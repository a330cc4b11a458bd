"""Objects that stay in .NET: what Python can do with them, and that they are let go."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import threading
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = """
/// <summary>An account.</summary>
public class Account : IDisposable {
    /// <summary>Opens one.</summary>
    /// <param name="owner">whose</param>
    public Account(string owner, int start = 0) { Owner = owner; Balance = start; }
    public Account(int start) : this("nobody", start) { }
    public string Owner { get; }
    /// <summary>Money.</summary>
    public int Balance { get; set; }
    public int Secret { private get; set; }
    public int Reveal() => Secret;
    public string Bank { get; init; } = "b";
    public int Field;
    public readonly int Fixed = 7;
    public const int Max = 9;
    public static int Count;
    public static readonly int Limit = 3;
    public static string Shared { get; set; } = "s";
    /// <summary>Adds money.</summary>
    public int Deposit(int n) {
        if (n < 0) throw new ArgumentException("negative");
        return Balance += n;
    }
    public void Split(Account other, out int mine, ref int theirs) {
        mine = Balance; theirs += other.Balance;
    }
    public Account Same() => this;
    public Account? Other;
    public bool IsClosed;
    public void Dispose() => IsClosed = true;
    public override string ToString() => $"{Owner}: {Balance}";
    public override bool Equals(object? o) => o is Account a && a.Owner == Owner;
    public override int GetHashCode() => Owner.Length;
    public async Task<int> Later(int x) { await Task.Yield(); return x + Balance; }
    public static Account Open(string owner) => new(owner);
    public T Generic<T>(T x) => x;
    public object Anything { get; set; } = 1;
    public IEnumerable<int> Counted() { for (var i = 0; i < Balance; i++) yield return i; }
}
public interface IShape { double Area(); string Label => "shape"; }
public abstract class Shape : IShape {
    public abstract double Area();
    public virtual string Name => GetType().Name;
    public static int Made;
    protected Shape() => Made++;
}
public class Square(double side) : Shape { public override double Area() => side * side; }
public sealed class Cube(double side) : Square(side) { public override string Name => "cube"; }
class Hidden : Shape { public override double Area() => 42; }
class Explicit : IShape { double IShape.Area() => 5; }
public class Other { }
public class Explosive { public Explosive() => throw new InvalidOperationException("boom"); }
public class Bag : IEnumerable<string> {
    private readonly List<string> items = new();
    public void Add(string s) => items.Add(s);
    public string this[int i] { get => items[i]; set => items[i] = value; }
    public string this[int i, int j] => items[i] + items[j];
    public int Count => items.Count;
    public bool Contains(string s) => items.Contains(s);
    public IEnumerator<string> GetEnumerator() => items.GetEnumerator();
    System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() =>
        GetEnumerator();
}
public class Indexed { public int this[int i] => 2 * i; }
public record Holder(string Name, Account Account);
public static Shape MakeHidden() => new Hidden();
public static IShape MakeShape(int kind) => kind switch {
    0 => new Square(3), 1 => new Cube(2), 2 => new Hidden(), _ => new Explicit() };
public static double AreaOf(IShape shape) => shape.Area();
public static Account? Maybe(Account? a) => a;
public static int Sum(List<Account> accounts) => accounts.Sum(a => a.Balance);
public static Account[] Many(int n) => Enumerable.Range(0, n).Select(i => new Account(i)).ToArray();
public static Dictionary<string, Account> ByOwner(Account[] a) => a.ToDictionary(x => x.Owner);
public static Holder Hold(Holder h) => h with { Name = h.Account.Owner };
public static (int, Account) Pair(Account a) => (a.Balance, a);
public static IEnumerable<Account> Stream(int n) { foreach (var a in Many(n)) yield return a; }
public static int Overloaded(Shape s) => 1;
public static int Overloaded(Square s) => 2;
public static int Overloaded(Account a) => 3;
public static void Crash() => Environment.Exit(3);
public static int Echo(int x) => x;
"""


@pytest.fixture(scope="module")
def runtime() -> Iterator[dwh.Runtime]:
    with dwh.Runtime() as runtime:
        yield runtime


@pytest.fixture(scope="module")
def m(runtime: dwh.Runtime) -> Iterator[Any]:
    with dwh.csharp(SOURCE.replace("public async Task", "async Task"), runtime=runtime) as module:
        yield module


def test_a_class_has_constructors_methods_properties_and_fields(m: Any) -> None:
    account = m.Account("Ada", start=3)
    assert issubclass(m.Account, dwh.CSharpObject)
    assert type(account) is m.Account
    assert account.Owner == "Ada"
    assert account.Deposit(n=4) == account.Balance == 7
    account.Balance = 10
    account.Balance += 1
    assert account.Balance == 11
    account.Secret = 5
    assert account.Reveal() == 5
    account.Field = 8
    assert (account.Field, account.Fixed, account.Bank) == (8, 7, "b")
    assert m.Account(4).Owner == "nobody"
    assert account.Split(m.Account(2), 1) == (11, 3)
    assert list(m.Account(3).Counted()) == [0, 1, 2]


@pytest.mark.parametrize("name", ["Owner", "Fixed", "Bank", "Nope"])
def test_what_cannot_be_set_is_not_set(m: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(m.Account("a"), name, "x")


def test_static_members_are_those_of_the_class(m: Any) -> None:
    assert m.Account.Open("Ada").Owner == "Ada"
    assert (m.Account.Max, m.Account.Limit, m.Account.Shared) == (9, 3, "s")
    m.Account.Count = 5
    m.Account.Shared = "t"
    assert (m.Account.Count, m.Account.Shared) == (5, "t")
    assert "Shared" in dir(m.Account)
    with pytest.raises(AttributeError, match=r"Account\.Max cannot be set in C#"):
        m.Account.Max = 1
    with pytest.raises(AttributeError, match="a member of the C# class Account, found 'Nope'"):
        m.Account.Nope  # noqa: B018


def test_objects_are_documented(m: Any) -> None:
    assert m.Account.__doc__ == "An account."
    assert m.Account.Balance.__doc__ == "Money."
    assert m.Account.Deposit.__doc__ == "Adds money."
    assert "Opens one." in m.Account.__init__.__doc__
    assert str(inspect.signature(m.Account.Deposit)).endswith(", n: int) -> int")
    assert {"Deposit", "Balance", "Shared"} <= set(dir(m.Account("a"))) | set(dir(m.Account))


def test_objects_are_compared_hashed_and_shown_as_in_csharp(m: Any) -> None:
    one, other = m.Account("Ada"), m.Account("Ada", 5)
    assert one == other
    assert one != m.Account("Bob")
    assert one != "Ada"
    assert hash(one) == one.GetHashCode() == 3
    assert {one: 1}[other] == 1
    assert str(other) == other.ToString() == "Ada: 5"
    assert repr(one).startswith("<C# ")
    assert "Account object at 0x" in repr(one)
    assert one.Same() == one
    assert not m.Other().Equals(m.Other())


def test_objects_are_parameters_and_results(m: Any) -> None:
    accounts = m.Many(4)
    assert m.Sum(accounts) == 6
    assert m.Maybe(None) is None
    assert m.Maybe(accounts[1]) == accounts[1]
    assert m.Pair(accounts[2]) == (2, accounts[2])
    assert m.ByOwner([m.Account("x", 3)])["x"].Balance == 3
    assert [a.Balance for a in m.Stream(3)] == [0, 1, 2]
    held = m.Hold({"Name": "", "Account": m.Account("Ada")})
    assert (held.Name, held.Account.Owner) == ("Ada", "Ada")
    first = m.Account("a")
    first.Other = m.Account("b", 3)
    assert first.Other.Balance == 3


def test_classes_derive_from_each_other_as_in_csharp(m: Any) -> None:
    assert issubclass(m.Cube, m.Square)
    assert issubclass(m.Square, m.Shape)
    assert issubclass(m.Shape, m.IShape)
    assert m.Cube(2.0).Area() == 4.0
    assert m.Cube(2.0).Name == "cube"
    assert m.Square(2.0).Name == "Square"
    kinds = [type(m.MakeShape(kind)) for kind in range(4)]
    assert kinds == [m.Square, m.Cube, m.Shape, m.IShape]
    assert m.MakeHidden().Area() == 42
    assert m.AreaOf(m.MakeShape(3)) == m.MakeShape(3).Area() == 5
    assert m.MakeShape(3).Label == "shape"
    assert m.AreaOf(m.Cube(3.0)) == 9
    assert [m.Overloaded(x) for x in (m.MakeHidden(), m.Cube(1.0), m.Account("a"))] == [1, 2, 3]
    made = m.Square.Made
    m.Square(1.0)
    assert m.Shape.Made == made + 1


def test_a_class_can_be_derived_in_python(m: Any) -> None:
    class Rich(m.Account):  # type: ignore[misc]
        def __init__(self, owner: str) -> None:
            super().__init__(owner, 1000)

        def half(self) -> int:
            return int(self.Balance // 2)

    assert Rich("Ada").half() == 500
    assert m.Sum([Rich("Ada")]) == 1000

    class Empty(m.Account):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    with pytest.raises(dwh.MarshallingError, match="constructor was not called"):
        m.Maybe(Empty())
    with pytest.raises(dwh.MarshallingError, match="constructor was not called"):
        Empty().Deposit(1)
    with pytest.raises(dwh.MarshallingError, match="constructor was not called"):
        str(Empty())


def test_disposable_objects_are_context_managers(m: Any) -> None:
    with m.Account("Ada") as account:
        assert not account.IsClosed
    assert account.IsClosed
    assert not hasattr(m.Other, "__enter__")


def test_collections_are_those_of_python(m: Any) -> None:
    bag = m.Bag()
    for text in "xyz":
        bag.Add(text)
    assert list(bag) == ["x", "y", "z"]
    assert len(bag) == bag.Count == 3
    assert bag[1] == "y"
    assert bag[0, 2] == "xz"
    bag[1] = "q"
    assert "q" in bag
    assert "y" not in bag
    with pytest.raises(ValueError, match="Index was out of range"):
        bag[7]
    with pytest.raises(TypeError):
        list(m.Indexed())
    assert m.Indexed()[4] == 8


def test_wrong_objects_are_refused(m: Any) -> None:
    with pytest.raises(
        dwh.MarshallingTypeError, match=r"AreaOf\(\): parameter 'shape': expected an object of the "
        r"C# class Functions\.IShape, found Account",
    ):  # fmt: skip
        m.AreaOf(m.Account("a"))
    with pytest.raises(TypeError, match="found int 3"):
        m.Maybe(3)
    with pytest.raises(dwh.MarshallingError, match="a public constructor, found Shape"):
        m.Shape()
    with pytest.raises(dwh.MarshallingError, match="a public constructor, found IShape"):
        m.IShape()
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'side'"):
        m.Square()
    with pytest.raises(dwh.MarshallingTypeError, match=r"Square\(\): parameter 'side'"):
        m.Square("x")
    with pytest.raises(dwh.InvocationError, match="boom"):
        m.Explosive()
    with pytest.raises(ValueError, match="negative"):
        m.Account("a").Deposit(-1)
    with pytest.raises(dwh.MarshallingTypeError, match="generic methods are not supported"):
        m.Account("a").Generic(1)
    with dwh.csharp("public class Account { }") as stranger:
        with pytest.raises(TypeError, match="Account of this module"):
            m.Maybe(stranger.Account())
        assert stranger.Account() != m.Account("a")


def test_objects_are_neither_copied_nor_pickled(m: Any) -> None:
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="stands for something alive"):
            act(m.Account("a"))


# ---------------------------------------------------------------- letting go


def test_objects_are_let_go_when_python_lets_go(m: Any) -> None:
    gc.collect()
    before = m.held_objects
    gc.disable()
    try:
        accounts = [m.Account("a") for _ in range(100)]
        accounts += [account.Same() for account in accounts]
        assert m.held_objects == before + 200
        del accounts[50:]
        assert m.held_objects == before + 50
        for _ in range(2_000):
            m.Account("a").Same()
        # What was let go goes with the next call, so one pair may be there.
        assert m.held_objects == before + 50
        del accounts
        assert m.held_objects == before
        with pytest.raises(dwh.InvocationError):
            m.Explosive()
        assert m.held_objects == before
    finally:
        gc.enable()


def test_many_objects_are_let_go_in_portions(m: Any) -> None:
    before = m.held_objects
    many = m.Many(10_000)
    assert m.held_objects == before + 10_000
    del many
    assert m.held_objects == before


def test_objects_are_let_go_from_any_thread(m: Any) -> None:
    before = m.held_objects
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for n in range(200):
                account = m.Account("a", n)
                assert account.Same().Balance == n
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert m.held_objects == before


def test_an_object_keeps_its_module() -> None:
    gc.collect()
    account: Any = dwh.csharp(SOURCE).Account("Ada")
    gc.collect()
    assert account.Deposit(3) == 3
    gone: Callable[[], Any] = weakref.ref(account)
    del account
    gc.collect()
    assert gone() is None


def test_objects_end_with_their_module() -> None:
    with dwh.csharp("public class C { public int X => 1; public static int One() => 1; }") as m:
        made = m.C()
    with pytest.raises(dwh.RuntimeClosed):
        made.X  # noqa: B018
    del made


def test_a_borrowed_runtime_forgets_the_objects_of_a_module_that_ended(
    runtime: dwh.Runtime,
) -> None:
    with dwh.csharp("public class C { public int X => 1; }", runtime=runtime) as m:
        made = m.C()
    with pytest.raises(dwh.FunctionNotLoaded):
        made.X  # noqa: B018


@pytest.mark.parametrize("how", ["crash", "recycle"])
def test_objects_of_an_instance_that_was_replaced_are_stale(how: str) -> None:
    source = SOURCE.replace("public async Task", "async Task")
    with dwh.Runtime() as runtime, dwh.csharp(source, runtime=runtime) as m:
        old = [m.Account("a") for _ in range(20)]
        if how == "crash":
            with pytest.raises(dwh.GuestTerminated):
                m.Crash()
        else:
            runtime.recycle()
        new = [m.Account("b", n) for n in range(20)]
        for call in (
            lambda: old[3].Deposit(1),
            lambda: m.Maybe(old[3]),
            lambda: str(old[3]),
            lambda: hash(old[3]),
            lambda: old[3] == new[3],
            lambda: m.Sum([new[0], old[0]]),
        ):
            with pytest.raises(dwh.StaleObject, match="of an instance that was replaced"):
                call()
            with pytest.raises(ReferenceError):
                call()
        # Letting go of them harms nobody else's.
        old.clear()
        assert m.held_objects == 20
        assert [account.Balance for account in new] == list(range(20))


def test_a_pool_has_no_place_for_objects() -> None:
    with dwh.RuntimePool(size=2) as pool, dwh.csharp(SOURCE, runtime=pool) as m:
        calls: list[Callable[[], Any]] = [
            lambda: m.Account("a"), lambda: m.Maybe(None), lambda: m.Many(1)
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(dwh.MarshallingTypeError, match="stays in one instance"):
                call()
        assert m.Echo(3) == 3


def test_methods_of_objects_are_awaited() -> None:
    with dwh.csharp(SOURCE) as m:
        account = m.Account("a", 2)
        assert asyncio.run(account.Later(3)) == 5
        assert list(account.Counted()) == [0, 1]
        assert m.held_objects == 1
        del account
        assert m.held_objects == 0


@pytest.mark.parametrize("borrowed", [False, True])
def test_an_answer_that_nobody_awaits_any_more_leaves_no_object(*, borrowed: bool) -> None:
    source = """
    public class Thing {
        public static int Begun, Stopped, Made;
        internal static readonly TaskCompletionSource Gate = new();
        public static void Open() => Gate.SetResult();
    }
    public static async Task<Thing> Later(CancellationToken token) {
        using var told = token.Register(() => Thing.Stopped++);
        Thing.Begun++;
        await Thing.Gate.Task;
        Thing.Made++;
        return new();
    }
    """

    async def until(is_so: Callable[[], bool]) -> None:
        for _ in range(3000):
            if is_so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not become so")

    async def run(m: Any) -> None:
        given_up, wanted = (asyncio.create_task(m.Later()) for _ in range(2))
        await until(lambda: m.Thing.Begun == 2)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await until(lambda: m.Thing.Stopped == 1)
        m.Thing.Open()
        thing = await wanted
        await until(lambda: m.Thing.Made == 2)
        assert m.held_objects == 1
        del thing

    with ExitStack() as stack:
        runtime = stack.enter_context(dwh.Runtime()) if borrowed else None
        module = stack.enter_context(dwh.csharp(source, runtime=runtime))
        asyncio.run(run(module))


def test_an_object_that_is_initialised_again_lets_go_of_what_it_was() -> None:
    with dwh.csharp("public class C(int x) { public int X => x; }") as m:
        made = m.C(1)
        made.__init__(2)
        assert (made.X, m.held_objects) == (2, 1)


def test_a_handle_that_a_guest_makes_up_is_an_error(m: Any) -> None:
    account = m.Account("a")
    right = account.dwh_handle
    for wrong in (1, -1, right + (1 << 12), right ^ 1, 1 << 62):
        account.dwh_handle = wrong
        with pytest.raises(dwh.StaleObject):
            account.Deposit(1)
    account.dwh_handle = right
    assert account.Deposit(1) == 1


LIBRARY = """
namespace Lib.Inner;
public class Counter { public int Value { get; private set; } public int Next() => ++Value; }
public class Outer {
    public class Nested { public int X = 3; }
    public static Nested Make() => new();
}
"""


def test_classes_of_a_dll_are_found_by_their_names() -> None:
    with dwh.load(dwh.compile_csharp(LIBRARY, assembly_name="Lib")) as m:
        counter = m["Lib.Inner.Counter"]()
        assert [counter.Next(), counter.Next()] == [1, 2]
        assert counter.Value == 2
        assert m["Lib.Inner.Outer.Nested"]().X == m.Outer.Make().X == 3
