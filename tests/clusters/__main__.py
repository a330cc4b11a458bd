"""``python -m tests.clusters``: functions on local clusters of Dask, Ray, Spark and joblib.

Needs the extra ``clusters``, and Java for Spark. What is not there is said at the end; with
``DOTNET_WASM_HOST_REQUIRE_CLUSTERS=1`` it is a failure.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), "-m", "long", "-rs", *sys.argv[1:]]))
