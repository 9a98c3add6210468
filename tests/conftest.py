from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a machine that does something else as well is no failure
settings.load_profile("patient")

DATA = Path(os.environ.get("SEMST_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def real_file():
    """Give the path of a labelled real tissue file, or skip and say how to get it."""

    def find(name: str) -> Path:
        path = DATA / f"{name}.h5ad"
        if not path.exists():
            pytest.skip(f"{path.name} not found: set SEMST_TEST_DATA to its folder (see datasets/README.md)")
        return path

    return find


@pytest.fixture
def large_above(monkeypatch):
    """Give a function that lets tissue count as large above so many spots; as many are fitted then, in such tiles."""
    from semst import _sample
    from semst.training import _tissue_tiles

    def above(n_spots: int, *, tile: int | None = None) -> None:
        monkeypatch.setattr(_sample, "ENOUGH", n_spots)
        if tile is not None:
            monkeypatch.setattr(_tissue_tiles, "TILE", tile)

    return above


@pytest.fixture
def as_spatialdata():
    """Give a function that puts the cells of a table into circles, in another order, with integer instances."""
    return _as_spatialdata


def _as_spatialdata(tissue, *, scale=1.0):
    """Put the cells of a table into circles, in another order, with integer instances."""
    import geopandas as gpd
    from shapely import Point
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    table = tissue.copy()
    places = table.obsm.pop("spatial")
    instances = np.arange(table.n_obs) + 7
    order = np.random.default_rng(0).permutation(table.n_obs)
    circles = gpd.GeoDataFrame(
        {"geometry": [Point(*place) for place in places[order]], "radius": 5.0}, index=instances[order]
    )
    transformations = {"global": Identity(), "micrometre": Scale([scale, scale], axes=("x", "y"))}
    table.obs["cell_id"] = instances
    table.obs["region"] = pd.Categorical(["cells"] * table.n_obs)
    return SpatialData(
        shapes={"cells": ShapesModel.parse(circles, transformations=transformations)},
        tables={"table": TableModel.parse(table, region="cells", region_key="region", instance_key="cell_id")},
    )


@pytest.fixture(scope="session")
def one_slice():
    """Give a function that makes a small slice of three domains."""
    import semst

    def make(seed=0, *, platform="visium"):
        return semst.datasets.simulated(
            n_spots=200, n_genes=60, n_domains=3, platform=platform, random_state=seed, progress=False
        )

    return make


@pytest.fixture
def told(caplog):
    """Give a function that runs something and returns what was warned of."""

    def lines(run):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="semst"):
            run()
        return [record.getMessage() for record in caplog.records]

    return lines
