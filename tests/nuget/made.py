"""Packages and folders of packages, assembled by tests."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Id and range, for each target framework.
Groups = "Mapping[str, Sequence[tuple[str, str]]]"
SCHEMA = "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"


def nuspec(
    name: str,
    version: str,
    needs: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    more: str = "",
) -> bytes:
    groups = "".join(
        f'<group targetFramework="{framework}">'
        + "".join(f'<dependency id="{item}" version="{wanted}" />' for item, wanted in items)
        + "</group>"
        for framework, items in (needs or {}).items()
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><package xmlns="{SCHEMA}"><metadata>'
        f"<id>{name}</id><version>{version}</version><authors>tests</authors>{more}"
        f"<dependencies>{groups}</dependencies></metadata></package>"
    ).encode()


def zipped(entries: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as target:
        for entry, content in entries.items():
            target.writestr(zipfile.ZipInfo(entry), content, zipfile.ZIP_DEFLATED)
    return output.getvalue()


def package(
    name: str,
    version: str,
    files: Mapping[str, bytes] | None = None,
    needs: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    more: str = "",
) -> bytes:
    return zipped({f"{name}.nuspec": nuspec(name, version, needs, more), **(files or {})})


def put(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes] | None = None,
    needs: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    more: str = "",
) -> Path:
    """Write a package into a flat folder."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{version}.nupkg"
    path.write_bytes(package(name, version, files, needs, more))
    return path


def needs(*items: tuple[str, str]) -> dict[str, Sequence[tuple[str, str]]]:
    """Dependencies for every framework."""
    return {"": items}


def library(name: str, value: int = 42) -> bytes:
    """An assembly with a class of its name that has a number."""
    return dwh.compile_csharp(
        f"public static class {name.replace('.', '_')} {{ public static int V => {value}; }}",
        assembly_name=name,
    ).data
