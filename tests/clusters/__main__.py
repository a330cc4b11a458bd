"""``python -m tests.clusters``: functions on local clusters. Needs the extra ``clusters``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), "-m", "long", *sys.argv[1:]]))
