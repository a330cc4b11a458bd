from __future__ import annotations

import inspect

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import errors


def test_all_is_sorted_and_complete() -> None:
    assert dwh.__all__ == sorted(dwh.__all__)
    public = {
        name
        for name in dir(dwh)
        if not name.startswith("_") and not inspect.ismodule(getattr(dwh, name))
    }
    assert public - {"TYPE_CHECKING"} == set(dwh.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        dwh.Nothing  # noqa: B018


def test_every_error_is_public_and_in_the_tree() -> None:
    for name in errors.__all__:
        assert getattr(dwh, name) is getattr(errors, name)
        assert issubclass(getattr(dwh, name), dwh.DotnetHostError)
        assert name in (errors.__doc__ or "")


def test_everything_public_says_what_it_is() -> None:
    for name in dwh.__all__:
        item = getattr(dwh, name)
        assert item.__doc__, name
        for member_name, member in inspect.getmembers(item, inspect.isroutine):
            module = getattr(member, "__module__", None) or ""
            if member_name.startswith("_") or not module.startswith("dotnet_wasm_host"):
                continue
            assert inspect.getdoc(member), f"{name}.{member_name}"
