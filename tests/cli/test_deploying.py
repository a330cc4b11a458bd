"""``deploy``: what people have goes to a worker that runs, and what is wrong has a code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import dotnet_wasm_host as dwh
from dotnet_wasm_host.cli.console import ProgramExit
from dotnet_wasm_host.cli.main import app
from dotnet_wasm_host.errors import DotnetHostError, MarshallingError
from dotnet_wasm_host.programs.projects import read_project
from dotnet_wasm_host.programs.uploads import read_upload
from tests.nuget.made import put
from tests.worker.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "correct horse battery staple"
ADD = "public static int Add(int a, int b) => a + b;"
LIBRARY = 'namespace Words; public static class Say { public static string It() => "said"; }'
CALLER = "namespace App; public static class Talk { public static string It() => Words.Say.It(); }"
PROJECT = """<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>
<TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
<AssemblyName>Talker</AssemblyName><DefineConstants>$(DefineConstants);LOUD</DefineConstants>
</PropertyGroup><ItemGroup>%s</ItemGroup></Project>"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("worker")
    with Server(folder / "store.sqlite3", "--compile-seconds", "300", token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def words() -> dwh.Assembly:
    return dwh.compile_csharp(LIBRARY, assembly_name="Words")


@pytest.fixture(scope="module")
def caller(words: dwh.Assembly) -> dwh.Assembly:
    return dwh.compile_csharp(CALLER, references=[words], assembly_name="Talker")


def deploy(server: Server, file: Path, *arguments: str, token: str = TOKEN) -> tuple[int, str]:
    """The exit code and what was printed."""
    done = CliRunner().invoke(
        app,
        ["deploy", str(file), "--to", server.url, *arguments],
        env={"DOTNET_WASM_HOST_TOKEN": token},
    )
    if isinstance(done.exception, ProgramExit):
        return done.exception.code, done.output
    if isinstance(done.exception, DotnetHostError):
        return 1, str(done.exception)
    return done.exit_code, done.output


def call(server: Server, name: str) -> object:
    answer = server.client.post(f"/functions/{name}/invoke")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_source_is_deployed_and_replaced(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "add.cs"
    file.write_text(ADD)
    code, said = deploy(server, file)
    assert (code, "POST" in said, "{Add}" in said) == (0, True, True), said
    added = server.client.post("/functions/add/Add", json={"a": 1, "b": 2})
    assert added.json() == 3
    code, said = deploy(server, file, "--new")
    assert (code, "412" in said) == (6, True), said
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    code, said = deploy(
        server, file, "--id", "a/b", "--token-file", str(token), "--json", "--timeout", "2",
        token="wrong wrong wrong wrong",
    )  # fmt: skip
    assert code == 0, said
    assert '"timeout": 2.0' in said


def test_folders_archives_and_dlls(
    server: Server, tmp_path: Path, words: dwh.Assembly, caller: dwh.Assembly
) -> None:
    folder = tmp_path / "talk"
    folder.mkdir()
    (folder / "Words.dll").write_bytes(words.data)
    (folder / "Talker.dll").write_bytes(caller.data)
    assert deploy(server, folder) == (0, deploy(server, folder)[1])
    assert call(server, "talk") == "said"
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    (tmp_path / "zipped.zip").write_bytes(written.getvalue())
    assert deploy(server, tmp_path / "zipped.zip")[0] == 0
    assert call(server, "zipped") == "said"
    alone = tmp_path / "Talker.dll"
    alone.write_bytes(caller.data)
    code, said = deploy(server, alone)
    assert (code, "Words" in said) == (4, True), said
    assert deploy(server, alone, "-d", str(folder / "Words.dll"))[0] == 0
    assert call(server, "Talker") == "said"
    (folder / "Talker.deps.json").write_text("{}")
    assert deploy(server, folder / "Talker.dll", "--id", "built")[0] == 0
    assert call(server, "built") == "said"


def test_what_publish_writes(tmp_path: Path, words: dwh.Assembly, caller: dwh.Assembly) -> None:
    for name, content in (
        ("function/Talker.dll", caller.data),
        ("function/Words.dll", words.data),
        ("guest/System.Private.CoreLib.dll", b"MZ"),
        ("manifest.json", b"{}"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    upload = read_upload(tmp_path)
    with zipfile.ZipFile(io.BytesIO(upload.content)) as archive:
        assert set(archive.namelist()) == {"Talker.dll", "Words.dll"}


def test_projects_are_compiled_here(server: Server, tmp_path: Path, words: dwh.Assembly) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    put(packages, "Words", "1.0.0", {"lib/net8.0/Words.dll": words.data})
    project = tmp_path / "talk"
    (project / "More").mkdir(parents=True)
    (project / "obj").mkdir()
    (project / "obj" / "Broken.cs").write_text("not C#")
    (project / "More" / "Part.cs").write_text(
        'static class Part { public const string End = "!"; }'
    )
    (project / "Talk.cs").write_text(
        "public static class Talk { public static string It() {\n#if LOUD\n"
        "return Words.Say.It() + Part.End;\n#endif\n} }"
    )
    reference = '<PackageReference Include="Words" Version="1.0.0" />'
    (project / "talk.csproj").write_text(PROJECT % reference)
    code, said = deploy(server, project, "-s", str(packages))
    assert code == 0, said
    assert call(server, "talk") == "said!"
    assert server.client.get("/functions").json()["functions"]
    (project / "talk.csproj").write_text(PROJECT % '<ProjectReference Include="../x.csproj" />')
    code, said = deploy(server, project / "talk.csproj")
    assert (code, "dotnet publish" in said) == (1, True)


@pytest.mark.parametrize(
    "group",
    [
        "<PropertyGroup><Nullable Condition=\"'$(A)' == ''\">enable</Nullable></PropertyGroup>",
        "<PropertyGroup Condition=\"'$(A)' == ''\"><Nullable>enable</Nullable></PropertyGroup>",
        '<ItemGroup Condition="true"><PackageReference Include="A" Version="1.0.0" /></ItemGroup>',
        "<Choose><Otherwise><PropertyGroup><NoWarn>CS1</NoWarn></PropertyGroup></Otherwise></Choose>",
    ],
)
def test_conditions_of_projects_are_refused(tmp_path: Path, group: str) -> None:
    (tmp_path / "a.cs").write_text(ADD)
    (tmp_path / "a.csproj").write_text(f"<Project>{group}</Project>")
    with pytest.raises(MarshallingError, match=r"the condition of <\w+> cannot be decided"):
        read_upload(tmp_path)


def test_a_property_may_have_several_lines(tmp_path: Path) -> None:
    (tmp_path / "a.cs").write_text("")
    (tmp_path / "a.csproj").write_text(
        "<Project><PropertyGroup Condition=\"'$(A)' == ''\"><Title>T</Title></PropertyGroup>"
        "<PropertyGroup><NoWarn>\n  CS0168;\n  CS0169\n</NoWarn></PropertyGroup></Project>"
    )
    texts = read_project(tmp_path).texts
    assert texts["a.Project.g.cs"] == "#:property NoWarn=CS0168; CS0169\n"


@pytest.mark.parametrize(
    ("name", "content", "arguments", "code", "said"),
    [
        ("bad.cs", "public static int F() => missing;", (), 3, "bad.cs(1,26)"),
        ("none.cs", "class X { }", (), 4, "public static"),
        ("none.dll", "no DLL", (), 4, "none"),
        ("a.txt", "text", (), 1, "expected a .cs"),
        ("f.cs", "#:package Words@1.0.0\n" + ADD, (), 3, "takes no packages"),
        ("f.cs", ADD, ("--concurrency", "1000"), 4, "concurrency"),
    ],
)
def test_what_is_wrong_has_a_code(
    server: Server,
    tmp_path: Path,
    name: str,
    content: str,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    file = tmp_path / name
    file.write_text(content)
    got, printed = deploy(server, file, *arguments)
    assert (got, said in printed) == (code, True), printed


def test_the_way_to_the_worker(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "f.cs"
    file.write_text(ADD)
    code, said = deploy(server, file, token="wrong wrong wrong wrong")
    assert (code, "--token-file" in said) == (6, True), said
    code, said = deploy(server, file, "--to", "http://127.0.0.1:9")
    assert (code, "no worker answers" in said) == (6, True), said
    code, said = deploy(server, file, "--to", f"{server.url}/elsewhere")
    assert code == 6, said
    assert deploy(server, file, "--to", "ftp://x")[0] == 2


def test_nothing_to_send_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MarshallingError, match=r"no \.cs file"):
        read_upload(tmp_path)
