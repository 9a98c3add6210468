from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SEMST_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def real_file():
    """Give the path of a labelled real tissue file, or skip and say how to get it."""

    def find(name: str) -> Path:
        path = DATA / f"{name}.h5ad"
        if not path.exists():
            pytest.skip(f"{path.name} not found: set SEMST_TEST_DATA to a folder that holds it (see datasets/README.md)")
        return path

    return find
