"""``NuGet.Config``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.nuget.config import read_config
from tests.nuget.made import package, put
from tests.nuget.served import serving

if TYPE_CHECKING:
    from pathlib import Path


def config(folder: Path, text: str) -> Path:
    path = folder / "NuGet.Config"
    path.write_text(f"<configuration>{text}</configuration>", encoding="utf-8")
    return path


def test_sources_with_credentials_and_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_PASSWORD", "from the environment")
    path = config(
        tmp_path,
        """
        <packageSources>
          <add key="forgotten" value="x" />
          <clear />
          <add key="Nu Get" value="https://api.example/v3/index.json" protocolVersion="3" />
          <add key="local" value=".\\feed" />
          <add key="off" value="off" />
          <add key="plain" value="http://plain.example/index.json"
            allowInsecureConnections="True" />
        </packageSources>
        <disabledPackageSources><add key="Off" value="true" /></disabledPackageSources>
        <packageSourceCredentials>
          <Nu_x0020_Get>
            <add key="Username" value="ada" />
            <add key="ClearTextPassword" value="%FEED_PASSWORD%" />
          </Nu_x0020_Get>
        </packageSourceCredentials>
        <packageSourceMapping>
          <packageSource key="Nu Get"><package pattern="*" /></packageSource>
          <packageSource key="local"><package pattern="Acme.*" /></packageSource>
        </packageSourceMapping>""",
    )
    feed, local, plain = read_config(path)
    assert feed == dwh.PackageSource(
        "https://api.example/v3/index.json",
        "Nu Get",
        credentials=("ada", "from the environment"),
        patterns=("*",),
    )
    assert local == dwh.PackageSource(tmp_path / "feed", "local", patterns=("Acme.*",))
    assert (plain.allow_insecure, plain.patterns) == (True, ())


def test_a_config_is_a_source_where_it_is_named(tmp_path: Path) -> None:
    put(tmp_path / "feed", "A", "1.0.0")
    path = config(tmp_path, '<packageSources><add key="f" value="feed" /></packageSources>')
    assert dwh.resolve_packages(["A"], path).versions == {"A": "1.0.0"}
    assert dwh.resolve_packages(["A"], [str(path)]).versions == {"A": "1.0.0"}
    # It lies beside the folder and nobody names it.
    with pytest.raises(dwh.PackageError, match="no source of packages"):
        dwh.run_csharp("#:package A\nreturn;".replace("#:package A\n", ""), packages=["A"])


def test_credentials_of_a_config_reach_the_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as feed:
        feed.add("A", "1.0.0", package("A", "1.0.0"))
        feed.login = "ada:pw"
        text = f"""
            <packageSources><add key="mine" value="{feed.index}" /></packageSources>
            <packageSourceCredentials><mine>
              <add key="Username" value="ada" /><add key="ClearTextPassword" value="pw" />
            </mine></packageSourceCredentials>"""
        assert dwh.resolve_packages(["A"], config(tmp_path, text)).versions
        # The environment counts more, as with NuGet.
        monkeypatch.setenv("NuGetPackageSourceCredentials_mine", "Username=ada;Password=no")
        with pytest.raises(dwh.PackageError, match="not accepted"):
            dwh.resolve_packages(["A"], config(tmp_path, text))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><configuration>&b;</configuration>'


def around(*sections: str) -> str:
    return f"<configuration>{''.join(sections)}</configuration>"


def source(more: str) -> str:
    return f'<packageSources><add key="x" {more} /></packageSources>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not XML"),
        (BOMB, "has a DOCTYPE"),
        ("<project />", "found <project>"),
        ("<a>" * 100 + "</a>" * 100, "more than 64 in each other"),
        (around(source('value=""')), "'x' has no value"),
        (around(source('value="y" protocolVersion="2"')), "protocolVersion 3 of"),
        (around(source('value="http://a.example/index.json"')), "'x': .*not encrypted"),
        (
            around(
                '<config><add key="signatureValidationMode" value="require" /></config>',
            ),
            "requires signed packages",
        ),
        (
            around(
                source('value="y"'),
                "<packageSourceCredentials><x>",
                '<add key="Password" value="z" />',
                "</x></packageSourceCredentials>",
            ),
            "encrypted for Windows",
        ),
    ],
)
def test_what_cannot_be_kept_to_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "nuget.config"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(dwh.MarshallingError, match=message):
        read_config(path)


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(dwh.MarshallingError, match="cannot be read"):
        dwh.resolve_packages(["A"], tmp_path / "NuGet.Config")
