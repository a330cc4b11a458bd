"""Errors as answers."""

from __future__ import annotations

import inspect
import logging

import pytest

from dotnet_wasm_host import errors
from dotnet_wasm_host.worker import StoreError
from dotnet_wasm_host.worker.problems import _KINDS, problem_of

#: What a caller of the worker can do nothing about, and neither can a function.
INTERNAL = {
    "DotnetHostError", "DescriptorError", "ExtraNotInstalled", "MemoryAccessError", "StackTooSmall",
    "StandaloneBuildError", "ThreadOccupied", "VersionMismatch",
}  # fmt: skip


def test_every_error_has_a_name_of_its_own() -> None:
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.DotnetHostError) and name not in INTERNAL:
            found = next(row for row in _KINDS if issubclass(kind, row[0]))
            assert found[2] != "internal-error", name


def test_a_base_class_does_not_hide_the_rows_after_it() -> None:
    for number, (kind, *_) in enumerate(_KINDS):
        assert not any(issubclass(kind, earlier) for earlier, *_ in _KINDS[:number]), kind


def test_strangers_are_not_told_about_the_host(caplog: pytest.LogCaptureFixture) -> None:
    error = StoreError("/srv/secret/functions.sqlite3: disk I/O error")
    with caplog.at_level(logging.ERROR):
        problem = problem_of(error)
    assert problem.status == 503
    assert "secret" not in problem.response().body.decode()  # type: ignore[union-attr]
    assert "/srv/secret" in caplog.text
    assert "/srv/secret" in problem_of(error, stack_traces=True).detail
