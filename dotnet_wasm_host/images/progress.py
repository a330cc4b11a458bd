"""Saying what takes longer than a moment: the first use on a machine compiles .NET for it."""

from __future__ import annotations

import logging
import sys

__all__ = ["announce"]

_log = logging.getLogger("dotnet_wasm_host.images")


def announce(text: str) -> None:
    """Log a line at INFO. If no handler takes it, show it on a terminal.

    Nothing is written to a standard error that is not a terminal.
    """
    if _log.isEnabledFor(logging.INFO):
        _log.info("%s", text)
    elif sys.stderr is not None and sys.stderr.isatty():
        print(f"dotnet_wasm_host: {text}", file=sys.stderr, flush=True)  # noqa: T201
