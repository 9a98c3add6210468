from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

PITCH = 137.5  # pixels of the full-resolution image, as on a Visium slide


@pytest.fixture(autouse=True)
def clean_figures(monkeypatch):
    """Draw off screen in matplotlib's own style, forbid plt.show, and leave no figure behind."""

    def show(*_, **__):
        pytest.fail("plt.show was called")

    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", show)
    with mpl.rc_context(), plt.style.context("default"):
        yield
        plt.close("all")


def labels_by_band(x, names):
    band = np.minimum((x - x.min()) / np.ptp(x) * len(names), len(names) - 1).astype(int)
    return pd.Categorical.from_codes(band, categories=names)


@pytest.fixture
def visium():
    """12 x 12 hexagons in three bands; domains "1".."3" stand in another order than the layers."""
    row, col = np.divmod(np.arange(144), 12)
    col = 2 * col + row % 2
    places = np.column_stack([col * PITCH / 2, row * PITCH * np.sqrt(3) / 2]) + 500
    adata = AnnData(np.ones((144, 2), dtype=np.float32))
    adata.obsm["spatial"] = places
    adata.obs["array_row"], adata.obs["array_col"] = row, col
    layers = labels_by_band(places[:, 0], ["Layer1", "Layer2", "Layer10"])
    adata.obs["ground_truth"] = layers
    adata.obs.iloc[:3, adata.obs.columns.get_loc("ground_truth")] = np.nan
    domains = np.array(["3", "1", "2"])[layers.codes]
    domains[70:74] = "1"
    adata.obs["semst"] = pd.Categorical(domains, categories=["1", "2", "3"])
    adata.obs["semst_confidence"] = np.linspace(0.4, 0.9, 144, dtype=np.float32)
    return adata


@pytest.fixture
def visium_image(visium):
    """The same with a tissue image: a dark rectangle on a light ground, its upper left corner at pixel (500, 500)."""
    scale = 0.05
    image = np.full((120, 120, 3), 235, dtype=np.uint8)
    image[25:60, 25:75] = (150, 90, 140)
    visium.uns["spatial"] = {
        "slide": {
            "images": {"hires": image},
            "scalefactors": {"tissue_hires_scalef": scale, "spot_diameter_fullres": 90.0},
        }
    }
    return visium


@pytest.fixture
def cells():
    """300 cells scattered over four bands."""
    places = np.random.default_rng(0).random((300, 2)) * [2000, 1000]
    adata = AnnData(np.ones((300, 2), dtype=np.float32))
    adata.obsm["spatial"] = places
    adata.obs["semst"] = labels_by_band(places[:, 0], ["1", "2", "3", "4"])
    return adata


@pytest.fixture
def spatialdata_circles(visium_image):
    """The Visium slide as SpatialData: circles and image, both turned by 30 degrees into "global", rows shuffled."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Affine, Scale, Sequence

    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turn = Affine(np.array([[c, -s, 700.0], [s, c, -300.0], [0, 0, 1]]), ("x", "y"), ("x", "y"))
    places = visium_image.obsm["spatial"]
    names = np.arange(100, 100 + len(places))
    circles = ShapesModel.parse(places, geometry=0, radius=40.0, index=names, transformations={"global": turn})
    pixels = visium_image.uns["spatial"]["slide"]["images"]["hires"].transpose(2, 0, 1)
    image = Image2DModel.parse(
        pixels,
        dims=("c", "y", "x"),
        scale_factors=[2],
        transformations={"global": Sequence([Scale([20.0, 20.0], ("x", "y")), turn])},
    )
    table = AnnData(visium_image.X, obs=visium_image.obs.copy())
    table.obs["region"] = pd.Categorical(["spots"] * len(places))
    table.obs["instance"] = names
    table = table[np.random.default_rng(0).permutation(len(places))].copy()
    table = TableModel.parse(table, region="spots", region_key="region", instance_key="instance")
    return SpatialData(images={"he": image}, shapes={"spots": circles}, tables={"table": table})
