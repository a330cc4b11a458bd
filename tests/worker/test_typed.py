"""Methods of deployed functions, called with JSON."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import SqliteStore, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

SOURCE = """
public record Point(int X, double Y);
public record Animal(string Name);
public record Dog(int Age, string Name) : Animal(Name);
public abstract record Shape;
public record Circle(double R) : Shape;
public record Tree(string Name, List<Tree> Children);
public enum Color { Red, Green = 5 }
[Flags] public enum Access { None = 0, Read = 1, Write = 2, All = 3 }
/// <summary>Greets somebody.</summary>
/// <param name="name">Whom.</param>
public static string Greet(string name, int times = 1) =>
    string.Concat(Enumerable.Repeat($"Hello, {name}. ", times));
public static Point Move(Point p, int dx) => p with { X = p.X + dx };
public static int Count(Tree t) => 1 + t.Children.Sum(Count);
public static decimal Sum(decimal a, decimal b) => a + b;
public static async Task<string> Later(string text) { await Task.Delay(1); return text; }
public static IEnumerable<int> Numbers(int n) { for (var i = 0; i < n; i++) yield return i; }
public static async IAsyncEnumerable<string> Words(string text) {
    foreach (var word in text.Split(' ')) { await Task.Yield(); yield return word; }
}
public static bool TryParse(string text, out int value) => int.TryParse(text, out value);
public static string Kind(int a) => "int";
public static string Kind(string a) => "string";
public static string Kind(string a, string b) => "strings";
public static void Nothing() { }
public static int Throw(string kind) => throw (kind switch {
    "argument" => new ArgumentOutOfRangeException("kind", "is wrong"),
    "format" => new FormatException("bad"),
    "key" => new KeyNotFoundException(),
    "index" => new IndexOutOfRangeException(),
    "zero" => new DivideByZeroException(),
    "overflow" => new OverflowException(),
    "later" => new NotImplementedException(),
    _ => new InvalidOperationException("other"),
});
public static int Forever() { while (true) { } }
public class Thing { public int X { get; set; } }
public static Thing Any() => new();
public static object Boxed(object x) => x;
"""
#: One method for each type, that gives back what it is given.
TYPES: dict[str, list[tuple[Any, Any]]] = {
    "bool": [(True, True), (False, False)],
    "sbyte": [(-128, -128), ("127", 127), (5.0, 5)],
    "ulong": [(2**64 - 1, 2**64 - 1)],
    "Int128": [(-(2**127), -(2**127))],
    "System.Numerics.BigInteger": [(10**300, 10**300), ("-12", -12)],
    "double": [(0.1, 0.1), (1, 1.0), ("NaN", "NaN"), ("-Infinity", "-Infinity")],
    "float": [(0.1, 0.1), (16777216, 16777216.0)],
    "Half": [(0.1, 0.1)],
    "decimal": [("1.10", "1.10"), (2, "2")],
    "char": [("x", "x"), ("\u20ac", "\u20ac")],
    "string": [("text \U0001f600", "text \U0001f600")],
    "string?": [("text", "text"), (None, None)],
    "Guid": [("12345678-1234-1234-1234-123456789abc", "12345678-1234-1234-1234-123456789abc")],
    "DateTime": [
        ("2026-11-28T10:30:00", "2026-11-28T10:30:00"),
        ("2026-11-28T10:30:00.1234567Z", "2026-11-28T10:30:00.123456Z"),
        ("2026-11-28", "2026-11-28T00:00:00"),
    ],
    "DateTimeOffset": [("2026-11-28T10:30:00-03:30", "2026-11-28T10:30:00-03:30")],
    "DateOnly": [("2026-11-28", "2026-11-28")],
    "TimeOnly": [("10:30", "10:30:00"), ("23:59:59.5", "23:59:59.500000")],
    "TimeSpan": [
        ("PT1H30M", "PT1H30M"),
        ("-P1DT0.5S", "-P1DT0.5S"),
        ("1.02:03:04.5", "P1DT2H3M4.5S"),
        ("P1W", "P7D"),
        ("PT0S", "PT0S"),
    ],
    "Color": [("Green", "Green"), (5, "Green"), (7, 7)],
    "Access": [("Read", "Read"), ("Read, Write", "All"), (0, "None"), (8, 8)],
    "int?": [(None, None), (3, 3)],
    "(int, string)": [([1, "a"], [1, "a"])],
    "KeyValuePair<string, int>": [(["a", 1], ["a", 1])],
    "Point": [({"X": 1, "Y": 2.5}, {"X": 1, "Y": 2.5})],
    "Point?": [(None, None)],
    "int[]": [([1, 2], [1, 2])],
    "int[]?": [(None, None)],
    "float[]": [([0.1, "NaN"], [0.1, "NaN"])],
    "Animal": [
        ({"Name": "a"}, {"Name": "a"}),
        ({"$type": "Dog", "Age": 3, "Name": "d"}, {"$type": "Dog", "Age": 3, "Name": "d"}),
    ],
    "Shape[]": [([{"$type": "Circle", "R": 1.5}], [{"$type": "Circle", "R": 1.5}])],
    "int[,]": [([[1, 2], [3, 4]], [[1, 2], [3, 4]]), ([], [])],
    "List<Point>": [([{"X": 1, "Y": 2}], [{"X": 1, "Y": 2.0}])],
    "HashSet<int>": [([1, 1], [1])],
    "Dictionary<string, int>": [({"a": 1}, {"a": 1})],
    "Dictionary<Guid, bool>": [
        ({"12345678-1234-1234-1234-123456789abc": True},) * 2,
    ],
    "Dictionary<(int, int), string>": [([[[1, 2], "a"]], [[[1, 2], "a"]])],
    "Dictionary<double, int>": [({"1.5": 1, "NaN": 2}, {"1.5": 1, "NaN": 2})],
    "Dictionary<Point, string>": [([[{"X": 1, "Y": 2}, "a"]], [[{"X": 1, "Y": 2.0}, "a"]])],
    "Dictionary<(Point, int), string>": [
        ([[[{"X": 1, "Y": 2}, 3], "a"]], [[[{"X": 1, "Y": 2.0}, 3], "a"]]),
    ],
    "byte[]": [("AQID", "AQID")],
    "byte[]?": [(None, None)],
    "System.Text.Json.JsonElement": [
        ({"a": [1, None, 1.5]}, {"a": [1, None, 1.5]}),
        (json.loads("[" * 64 + "]" * 64),) * 2,
    ],
}
#: Values that a type does not take.
REFUSED: dict[str, list[Any]] = {
    "bool": [1, "true", None],
    "sbyte": [128, "x", 1.5, None, True, []],
    "ulong": [-1, "18446744073709551616"],
    "double": ["1", None, True, 10**400],
    "float": [1e300],
    "decimal": ["NaN", "1e40", "x", None],
    "char": ["", "ab", "\U0001f600", 1],
    "string": [1, "\ud800", []],
    "Guid": ["x", 1],
    "DateTime": ["2026-13-01", "28.11.2026", 1, "2026-11-28T25:00:00"],
    "DateTimeOffset": ["2026-11-28T10:30:00"],
    "DateOnly": ["2026-11-28T00:00:00"],
    "TimeSpan": ["P", "PT", "", "1:2:3", "P99999999D"],
    "Color": ["Blue", None, []],
    "(int, string)": [[1], {}, None],
    "Point": [{"X": 1}, {"X": 1, "Y": 2, "Z": 3}, {"X": "a", "Y": 1}, []],
    "Animal": [{"$type": "Dog", "Name": "d"}, {"$type": "Cat", "Name": "c"}],
    "Shape[]": [[{"R": 1.5}], [{"$type": "Shape"}], [{"$type": "Circle"}]],
    "int[,]": [[1], [[1], [2, 3]], [["a"]]],
    "int[]": [["a"], {}, "AQID"],
    "byte[]": ["A", "****", [1]],
    "Dictionary<string, int>": [{"a": "b"}, [1]],
    "Dictionary<double, int>": [{"sNaN": 1}, {"1_0": 1}, {"1e999": 1}],
    "System.Text.Json.JsonElement": [
        json.loads("[" * 65 + "]" * 65),
        json.loads('{"a":' * 800 + "1" + "}" * 800),
        {"a": "\ud800"},
        {"\ud800": 1},
    ],
}


@pytest.fixture(scope="module")
def typed() -> Iterator[TestClient]:
    from dotnet_wasm_host.worker import create_app

    types = [f"public static {t} T{n}({t} v) => v;" for n, t in enumerate(TYPES)]
    app = create_app(WorkerOptions(limits=dwh.Limits(timeout=20.0), compile_seconds=300.0))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = deploy(client, "all", SOURCE + "\n".join(types))
        assert answer.status_code == 201, answer.text
        yield client


def deploy(client: TestClient, function_id: str, source: str, **parameters: str) -> httpx2.Response:
    return client.put(
        f"/functions/{function_id}",
        content=source,
        params=parameters,
        headers={"content-type": "text/x-csharp"},
    )


def call(client: TestClient, method: str, arguments: object, **headers: str) -> httpx2.Response:
    return raw(client, method, json.dumps(arguments), **headers)


def raw(client: TestClient, method: str, body: str | bytes, **headers: str) -> httpx2.Response:
    headers = {"content-type": "application/json", **headers}
    return client.post(f"/functions/all/{method}", content=body, headers=headers)


def result(client: TestClient, method: str, **arguments: object) -> Any:
    answer = call(client, method, arguments)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


@pytest.mark.parametrize("number", range(len(TYPES)), ids=TYPES)
def test_each_type_goes_through_json(typed: TestClient, number: int) -> None:
    for given, expected in list(TYPES.values())[number]:
        assert result(typed, f"T{number}", v=given) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_values_are_named(typed: TestClient, name: str) -> None:
    for given in REFUSED[name]:
        answer = call(typed, f"T{list(TYPES).index(name)}", {"v": given})
        problem = answer.json()
        assert answer.status_code == 422, (given, problem)
        assert problem["type"].endswith("argument-not-valid")
        assert problem["parameter"].startswith("v")
        assert problem["expected"]
        assert problem["given"]


@pytest.mark.parametrize("number", ["1e999", "-1e9999999999999999999999", "0." + "1" * 100_000])
@pytest.mark.parametrize("name", ["sbyte", "decimal", "System.Text.Json.JsonElement"])
def test_numbers_that_are_too_large_or_too_long_are_named(
    typed: TestClient, name: str, number: str
) -> None:
    answer = raw(typed, f"T{list(TYPES).index(name)}", f'{{"v": {number}}}')
    if name.endswith("JsonElement") and number.startswith("0."):
        assert answer.json() == 0.1111111111111111
        return
    assert (answer.status_code, answer.json()["parameter"]) == (422, "v")
    assert len(answer.content) < 1000


def test_the_last_of_several_arguments_of_a_name_counts(typed: TestClient) -> None:
    assert raw(typed, "Kind", '{"a": 1, "a": "1"}').json() == "string"


def test_values_take_their_share_of_the_memory_for_bodies(
    make_client: Callable[..., TestClient],
) -> None:
    """An empty array is two bytes of text, and a list of 56."""
    client = make_client(WorkerOptions(buffered_bytes=4 << 20))
    deploy(client, "f", "public static int F(List<int[]> v, string s) => v.Count + s.Length;")

    def ask(arrays: int, text: int) -> httpx2.Response:
        return client.post("/functions/f/F", json={"v": [[]] * arrays, "s": "x" * text})

    assert ask(10_000, 0).json() == 10_000  # the body is smaller than others are counted from
    assert ask(10_000, 1 << 20).json() == 10_000 + (1 << 20)
    refused = ask(40_000, 0)
    assert refused.status_code == 413
    assert "values of JSON" in refused.json()["detail"]
    assert ask(10_000, 1 << 20).status_code == 200  # nothing is held any more


def test_numbers_are_exact_for_decimal(typed: TestClient) -> None:
    answer = raw(typed, "Sum", '{"a": 0.1000000000000000055511151231, "b": 1.10}')
    assert answer.json() == "1.2000000000000000055511151231"


def test_methods_of_every_kind(typed: TestClient) -> None:
    assert result(typed, "Greet", name="Ada") == "Hello, Ada. "
    assert result(typed, "Greet", times=2, name="A") == "Hello, A. Hello, A. "
    assert result(typed, "Functions.Greet", name="Ada") == "Hello, Ada. "
    assert result(typed, "Move", p={"X": 1, "Y": 2}, dx=2) == {"X": 3, "Y": 2.0}
    assert result(typed, "Later", text="late") == "late"
    assert result(typed, "Nothing") is None
    assert result(typed, "TryParse", text="12") == [True, 12]
    assert result(typed, "Kind", a=1) == "int"
    assert result(typed, "Kind", a="1") == "string"
    assert result(typed, "Kind", a="1", b="2") == "strings"
    tree = {"Name": "a", "Children": [{"Name": "b", "Children": []}]}
    assert result(typed, "Count", t=tree) == 2
    assert typed.post("/functions/all/Nothing").json() is None


def test_streams_are_arrays_or_lines(typed: TestClient) -> None:
    assert result(typed, "Numbers", n=3) == [0, 1, 2]
    assert result(typed, "Words", text="a b") == ["a", "b"]
    lines = call(typed, "Words", {"text": "a b"}, accept="application/x-ndjson")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert lines.text == '"a"\n"b"\n'
    assert call(typed, "Numbers", {"n": 2}, accept="application/jsonl").text == "0\n1\n"
    assert call(typed, "Greet", {"name": "A"}, accept="application/x-ndjson").json() == "Hello, A. "


def test_arguments_are_named(typed: TestClient) -> None:
    missing = call(typed, "Greet", {}).json()
    assert (missing["parameter"], missing["expected"], missing["given"]) == (
        "name", "string", "nothing",
    )  # fmt: skip
    unknown = call(typed, "Greet", {"name": "A", "nmae": 1})
    assert unknown.status_code == 422
    assert unknown.json()["parameter"] == "nmae"
    assert len(call(typed, "Greet", {"n" * 1_000_000: "A"}).content) < 1000
    inside = call(typed, "Move", {"p": {"X": "x", "Y": 1}, "dx": 1}).json()
    assert inside["parameter"] == "p.X"
    assert call(typed, "Kind", {"a": []}).status_code == 422
    assert call(typed, "Greet", ["Ada"]).status_code == 422


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": NaN}', b"[" * 100_000, b"1e", b"'a'"])
def test_what_is_no_json_is_refused(typed: TestClient, body: bytes) -> None:
    answer = raw(typed, "Greet", body)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["detail"]


def test_other_media_types_are_refused(typed: TestClient) -> None:
    answer = typed.post("/functions/all/Greet", data={"name": "Ada"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]
    more = {"content-type": "application/vnd.x+json; charset=utf-8"}
    assert typed.post("/functions/all/Greet", content=b'{"name":"A"}', headers=more).json()


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("argument", 422, "function-refused"),
        ("format", 422, "function-refused"),
        ("key", 422, "function-refused"),
        ("index", 422, "function-refused"),
        ("zero", 422, "function-refused"),
        ("overflow", 422, "function-refused"),
        ("later", 501, "not-implemented"),
        ("other", 500, "function-failed"),
    ],
)
def test_exceptions_mean_what_they_mean_to_python(
    typed: TestClient, kind: str, status: int, name: str
) -> None:
    answer = call(typed, "Throw", {"kind": kind})
    assert answer.status_code == status
    assert answer.json()["type"].endswith(name)
    assert answer.json()["dotnet_type"].startswith("System.")
    assert (answer.json().get("parameter") == "kind") == (kind == "argument")


def test_unknown_methods_say_which_there_are(typed: TestClient) -> None:
    for method in ("greet", "invoke", "Point.Greet"):
        answer = call(typed, method, {})
        assert answer.status_code == 404
        assert "Greet" in answer.json()["methods"]
    assert "stay in .NET" in call(typed, "Any", {}).json()["detail"]
    assert typed.post("/functions/nobody/Greet").status_code == 404
    assert typed.post("/functions/nobody/invoke").status_code == 404
    assert call(typed, "Forever", {}).status_code == 504


def test_a_single_method_is_invoked(client: TestClient) -> None:
    deploy(client, "a/b c", "public static int Add(int a, int b) => a + b;")
    for path in ("invoke", "Add", "Functions.Add"):
        answer = client.post(f"/functions/a%2Fb%20c/{path}", json={"a": 1, "b": 2})
        assert answer.json() == 3
    assert client.post("/functions/a%2Fb%20c").status_code == 405


def test_the_example_of_the_manual(client: TestClient) -> None:
    text = (Path(__file__).parents[2] / "docs/worker.md").read_text(encoding="utf-8")
    source = text[text.index("/// <summary>What a loan") :].partition("```")[0]
    command = text[text.index("$ curl --json '") :]
    arguments = command.partition("'")[2].partition("'")[0]
    deploy(client, "loan", source)
    answer = client.post("/functions/loan/Quote", json=json.loads(arguments))
    assert answer.text == command.splitlines()[1]


def test_bytes_stay_bytes(client: TestClient, echo: dwh.Assembly) -> None:
    client.put("/functions/echo", content=echo.data)
    answer = client.post("/functions/echo/invoke", json={"a": 1})
    assert answer.headers["content-type"] == "application/octet-stream"
    refused = client.post("/functions/echo/Execute", json={})
    assert refused.status_code == 404
    assert "takes bytes" in refused.json()["detail"]
    described = client.get("/functions/echo/signature").json()
    assert (described["kind"], described["methods"]) == ("bytes", [])
    assert client.get("/functions/echo/source").status_code == 404


def test_a_function_is_described(typed: TestClient) -> None:
    listed = typed.get("/functions").json()["functions"][0]
    assert (listed["kind"], listed["has_source"], listed["handler_type"]) == ("typed", True, "")
    assert listed["methods"][:2] == ["Greet", "Move"]
    described = typed.get("/functions/all/signature").json()
    greet = described["methods"][0]
    assert greet["csharp"] == "string Greet(string name, int times = 1)"
    assert greet["description"] == "Greets somebody."
    assert greet["parameters"][0] == {
        "name": "name", "csharp": "string", "required": True, "description": "Whom.",
        "schema": {"type": "string"},
    }  # fmt: skip
    assert greet["parameters"][1]["default"] == 1
    assert described["definitions"]["Tree"]["properties"]["Children"]["items"]["anyOf"][0] == {
        "$ref": "#/definitions/Tree"
    }
    reasons = {one["name"]: one["reason"] for one in described["not_callable"]}
    assert "use records or structs" in reasons["Any"]
    assert "use JsonElement" in reasons["Boxed"]
    assert typed.get("/functions/all/source").text.startswith(SOURCE)


def test_the_description_has_the_methods(typed: TestClient) -> None:
    document = typed.get("/openapi.json").json()
    operation = document["paths"]["/functions/all/Greet"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["name"]
    assert schema["properties"]["times"]["default"] == 1
    assert "all.Point" in document["components"]["schemas"]
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))
    deploy(typed, "more", "public static int F() => 1;")
    assert "/functions/more/F" in typed.get("/openapi.json").json()["paths"]
    typed.delete("/functions/more")
    assert "/functions/more/F" not in typed.get("/openapi.json").json()["paths"]


def test_strangers_see_no_methods(make_client: Callable[..., TestClient]) -> None:
    token = "correct horse battery staple"
    client = make_client(WorkerOptions(token=token, token_for_calls=True))
    client.headers["authorization"] = f"Bearer {token}"
    assert deploy(client, "f", "public static int F() => 1;").status_code == 201
    assert "/functions/f/F" in client.get("/openapi.json").json()["paths"]
    del client.headers["authorization"]
    assert "/functions/f/F" not in client.get("/openapi.json").json()["paths"]
    for path in ("signature", "source"):
        assert client.get(f"/functions/f/{path}").status_code == 401
    assert client.post("/functions/f/F").status_code == 401


def test_restarts_and_reloads_keep_methods(
    make_client: Callable[..., TestClient], tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite3"
    source = "public static int Twice(int x) => 2 * x;"
    first = make_client(store=store)
    assert deploy(first, "f", source).status_code == 201
    second = make_client(store=store)
    assert second.post("/functions/f/Twice", json={"x": 4}).json() == 8
    assert second.get("/functions/f/source").text == source
    assert deploy(first, "f", source.replace("2", "3")).status_code == 200
    assert first.post("/admin/reload").status_code == 202
    assert first.post("/functions/f/Twice", json={"x": 4}).json() == 12
    assert first.delete("/functions/f").status_code == 204


def test_a_store_that_lost_the_parts_serves_the_same(
    make_client: Callable[..., TestClient], tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite3"
    deploy(make_client(store=path), "f", "public static int Twice(int x) => 2 * x;")
    store = SqliteStore(path)
    with store._transaction() as sql:
        sql.execute("DELETE FROM parts")
    store.close()
    client = make_client(store=path)
    assert client.post("/functions/f/invoke", json={"x": 4}).json() == 8
    assert client.get("/functions/f/source").status_code == 404


def test_bundles_and_assemblies_have_methods_too(client: TestClient) -> None:
    library = dwh.compile_csharp(
        'namespace Words { public static class Say { public static string It() => "said"; } }',
        assembly_name="Words",
    )
    main = dwh.compile_csharp(
        "namespace App; public static class Talk { "
        "public static string Twice() => Words.Say.It() + Words.Say.It(); }",
        references=[library],
        assembly_name="Talker",
    )
    written = io.BytesIO()
    comments = (
        '<doc><members><member name="M:App.Talk.Twice"><summary>Says it.</summary></member>'
        "</members></doc>"
    )
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("Words.dll", library.data)
        archive.writestr("Talker.dll", main.data)
        archive.writestr("Talker.xml", comments)
    answer = client.put("/functions/talk", content=written.getvalue())
    assert answer.status_code == 201, answer.text
    assert answer.json()["assembly_name"] == "Talker"
    assert client.post("/functions/talk/invoke").json() == "saidsaid"
    assert client.post("/functions/talk/App.Talk.Twice").json() == "saidsaid"
    described = client.get("/functions/talk/signature").json()
    assert described["methods"][0]["description"] == "Says it."
    alone = client.put("/functions/alone", content=main.data)
    assert alone.status_code == 422
    assert "Words" in alone.json()["detail"]


def test_a_deploy_between_reading_and_calling_is_seen(client: TestClient) -> None:
    """A call that was made for one version is never given to another one."""
    deploy(client, "f", "public static int First(int x) => x;")
    service = client.app.state.worker  # type: ignore[attr-defined]
    stale = service.find("f")
    deploy(client, "f", "public static string Second(string text) => text;")
    payload = stale.methods.methods[0].payload({"x": 1})
    assert client.portal is not None
    with pytest.raises(dwh.InvocationError, match="MissingMethodException"):
        client.portal.call(service.invoke, "f", payload)


def test_nothing_to_call_is_refused(client: TestClient) -> None:
    for source, word in (
        ("public class X { }", "public static"),
        ("public class X { } public static X F() => new();", "stay in .NET"),
    ):
        answer = deploy(client, "x", source)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("handler-not-found")
        assert word in answer.json()["detail"]
    assert deploy(client, "x", "public static int F() => 1;", handler="X").status_code == 422


def test_the_original_routes_refuse_methods(client: TestClient) -> None:
    deploy(client, "f", "public static int F() => 1;")
    answer = client.post("/invoke", json={"functionId": "f", "payload": [1]})
    assert answer.json()["success"] is False
    assert "JSON" in answer.json()["error"]
