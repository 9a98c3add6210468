"""Pictures against pictures: what structure cannot tell, such as a mirrored image or spots drawn beneath it.

After a wanted change, look at the new pictures and keep them: ``SEMST_WRITE_IMAGES=1 pytest tests/pl/test_images.py``.
"""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import semst.pl

BASELINES = Path(__file__).parent / "images"
# Of 255. One spot of 144 in another colour makes 1.85; matplotlib 3.9, 3.10 and 3.11 draw spots and lines the same.
TOLERANCE = 0.5
# They resample images differently, by 1.7; a mirrored image makes 20 and more.
IMAGE_TOLERANCE = 2.5


def new_figure(n=1):
    """Axes at a fixed place: no layout engine, whose outcome depends on fonts."""
    figure = plt.figure(figsize=(2.4 * n, 2.2), dpi=50)
    axes = [figure.add_axes((0.04 + i / n, 0.1, 0.82 / n, 0.86)) for i in range(n)]
    return figure, axes


def save(figure, path):
    """Write without any text, since its shape depends on the version of the font renderer."""
    figure.canvas.draw()  # ticks come to be
    for text in figure.findobj(Text):
        text.set_visible(False)
    figure.savefig(path, dpi=50, metadata={"Software": None})


def difference(figure, name, tmp_path):
    """Root mean square difference from the picture that is kept.

    Each pixel is held against the most similar one of the nine around its place, since versions of matplotlib let the
    edges of images fall on either side of a pixel.
    """
    save(figure, tmp_path / f"{name}.png")
    if os.environ.get("SEMST_WRITE_IMAGES"):
        save(figure, BASELINES / f"{name}.png")
    kept, drawn = (plt.imread(folder / f"{name}.png")[:, :, :3] * 255 for folder in (BASELINES, tmp_path))
    assert kept.shape == drawn.shape
    height, width = drawn.shape[:2]
    around = np.pad(kept, ((1, 1), (1, 1), (0, 0)), mode="edge")
    shifts = [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return float(np.sqrt(np.min([((shift - drawn) ** 2).mean(axis=2) for shift in shifts], axis=0).mean()))


def test_visium_beside_labels(visium, tmp_path):
    figure, axes = new_figure(2)
    semst.pl.domains(visium, color=["ground_truth", "semst"], ax=axes, legend=False)
    assert difference(figure, "visium", tmp_path) < TOLERANCE


def test_tissue_image(visium_image, tmp_path):
    figure, axes = new_figure()
    semst.pl.domains(visium_image, alpha=0.8, ax=axes, legend=False)
    assert difference(figure, "tissue_image", tmp_path) < IMAGE_TOLERANCE


def test_cells(cells, tmp_path):
    figure, axes = new_figure()
    semst.pl.domains(cells, ax=axes, legend=False, scale_bar=1.0)
    assert difference(figure, "cells", tmp_path) < TOLERANCE


def test_confidence(visium, tmp_path):
    figure, axes = new_figure()
    semst.pl.domains(visium, color="semst_confidence", ax=axes)
    assert difference(figure, "confidence", tmp_path) < TOLERANCE


def test_spatialdata(spatialdata_circles, tmp_path):
    figure, axes = new_figure()
    semst.pl.domains(spatialdata_circles, ax=axes, legend=False)
    assert difference(figure, "spatialdata", tmp_path) < IMAGE_TOLERANCE


def test_query(visium, tmp_path):
    """Two of the same scores, the second pale because its words are far from biology."""
    x = visium.obsm["spatial"][:, 0]
    stored = {"p_value": 0.001, "genes": pd.DataFrame({"gene": ["MBP"]}), "read_as": np.array(["myelin sheath"])}
    visium.uns["query"] = {
        "myelin": stored | {"asked": "myelin", "nearness": 0.9},
        "taxes": stored | {"asked": "taxes", "nearness": 0.3},
    }
    visium.obs["query_myelin"] = visium.obs["query_taxes"] = x - x.mean()
    figure, axes = new_figure(2)
    semst.pl.query(visium, ax=axes)
    assert difference(figure, "query", tmp_path) < TOLERANCE


def test_training(visium, tmp_path):
    falling = np.exp(-np.arange(30) / 10)
    visium.uns["semst"] = {"history": {"total": 0.4 + falling, "zinb": 0.5 + 0.1 * falling, "dicr": falling}}
    figure, axes = new_figure()
    semst.pl.training(visium, ax=axes[0])
    assert difference(figure, "training", tmp_path) < TOLERANCE


spoils = pytest.mark.skipif("SEMST_WRITE_IMAGES" in os.environ, reason="would keep a spoiled picture")


@spoils
def test_one_wrong_spot_is_noticed(visium, tmp_path):
    visium.obs.iloc[80, visium.obs.columns.get_loc("semst")] = "1"
    figure, axes = new_figure(2)
    semst.pl.domains(visium, color=["ground_truth", "semst"], ax=axes, legend=False)
    assert difference(figure, "visium", tmp_path) > 3 * TOLERANCE


@spoils
@pytest.mark.parametrize("mirror", [np.s_[::-1], np.s_[:, ::-1]])
def test_a_mirrored_image_is_noticed(visium_image, tmp_path, mirror):
    images = visium_image.uns["spatial"]["slide"]["images"]
    images["hires"] = images["hires"][mirror]
    figure, axes = new_figure()
    semst.pl.domains(visium_image, alpha=0.8, ax=axes, legend=False)
    assert difference(figure, "tissue_image", tmp_path) > 8 * IMAGE_TOLERANCE
