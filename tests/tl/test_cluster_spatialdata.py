"""SpatialData, natively: table found, centroids taken, results in the table, and on disk and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import semst

FEW = {"epochs": 3, "progress": False}


@pytest.fixture(scope="module")
def tissue():
    return semst.datasets.simulated(
        n_spots=400, n_genes=200, n_domains=3, platform="cells", random_state=2, progress=False
    )


@pytest.fixture
def sdata(tissue, as_spatialdata):
    return as_spatialdata(tissue)


def test_same_domains_as_from_anndata(tissue, sdata):
    expected = semst.tl.cluster(tissue, n_clusters=3, copy=True, **FEW).obs["semst"]
    semst.pp.gene_semantics(sdata)
    semst.tl.cluster(sdata, n_clusters=3, **FEW)
    np.testing.assert_array_equal(sdata["table"].obs["semst"], expected)
    assert "gene_semantics" in sdata["table"].obsm


def test_copy_leaves_the_original_alone(sdata):
    result = semst.tl.cluster(sdata, n_clusters=3, copy=True, **FEW)
    assert "semst" in result["table"].obs
    assert "semst" not in sdata["table"].obs
    assert result["cells"] is sdata["cells"]


def test_other_coordinate_system(tissue, as_spatialdata):
    stretched = as_spatialdata(tissue, scale=3.0)
    semst.tl.cluster(stretched, n_clusters=3, coordinate_system="micrometre", **FEW)
    first = stretched["table"].obs["semst"].copy()
    semst.tl.cluster(stretched, n_clusters=3, coordinate_system="global", **FEW)
    np.testing.assert_array_equal(first, stretched["table"].obs["semst"])  # neighbours do not depend on the unit
    with pytest.raises(KeyError, match="no coordinate system 'elsewhere'"):
        semst.tl.cluster(stretched, n_clusters=3, coordinate_system="elsewhere", **FEW)


def test_samples_that_share_no_coordinate_system(as_spatialdata):
    """Slices never touch, so that it does not matter whether they are in one system."""
    from spatialdata import concatenate
    from spatialdata.transformations import get_transformation, set_transformation

    def both(*, apart):
        samples = {}
        for seed, name in enumerate(["first", "second"]):
            cells = semst.datasets.simulated(
                n_spots=200, n_genes=100, n_domains=3, platform="cells", random_state=seed, progress=False
            )
            cells.obs_names = name + cells.obs_names
            sample = as_spatialdata(cells, scale=2.0)
            if apart:
                known = get_transformation(sample["cells"], get_all=True)
                set_transformation(sample["cells"], {name: known["micrometre"]}, set_all=True)
            samples[name] = sample
        return concatenate(samples, concatenate_tables=True)

    together, apart = both(apart=False), both(apart=True)
    with pytest.raises(KeyError, match="do not share a coordinate system"):
        semst.tl.cluster(apart, n_clusters=3, **FEW)
    for sdata in (together, apart):
        semst.tl.cluster(sdata, n_clusters=3, batch_key="region", **FEW)
    np.testing.assert_array_equal(apart["table"].obs["semst"], together["table"].obs["semst"])
    model = semst.SemST.train(apart, n_clusters=3, batch_key="region", **FEW)
    for sdata in (together, apart):
        semst.tl.transfer(model, sdata, batch_key="region", key_added="again")
    np.testing.assert_array_equal(apart["table"].obs["again"], together["table"].obs["again"])


def test_a_key_of_obsm_that_would_not_be_read(sdata):
    sdata["table"].obsm["mine"] = np.random.default_rng(0).random((400, 2))
    for verb in (
        lambda **options: semst.tl.cluster(sdata, n_clusters=3, **FEW, **options),
        lambda **options: semst.tl.query(sdata, "neurons", **options),
        lambda **options: semst.metrics.semantic_drift(sdata, **options),
        lambda **options: semst.metrics.score(sdata, key="ground_truth", **options),
        lambda **options: semst.pl.domains(sdata, color="ground_truth", **options),
    ):
        with pytest.raises(ValueError, match="spatial_key='mine' is not read: spots lie at the centroids"):
            verb(spatial_key="mine")
    assert "semst" not in sdata["table"].obs


def test_table_that_does_not_match_its_element(sdata):
    sdata["table"].obs["cell_id"] = sdata["table"].obs["cell_id"] + 1000
    before = sdata["table"].copy()
    with pytest.raises(ValueError, match="does not match its element"):
        semst.tl.cluster(sdata, n_clusters=3, **FEW)
    pd.testing.assert_frame_equal(sdata["table"].obs, before.obs)
    assert list(sdata["table"].uns) == list(before.uns)


def test_written_and_read_again(sdata, tmp_path):
    from spatialdata import read_zarr

    semst.tl.cluster(sdata, n_clusters=3, **FEW)
    sdata.write(tmp_path / "tissue.zarr")
    back = read_zarr(tmp_path / "tissue.zarr")["table"]
    np.testing.assert_array_equal(back.obs["semst"].astype(str), sdata["table"].obs["semst"].astype(str))
    np.testing.assert_array_equal(back.obsm["X_semst"], sdata["table"].obsm["X_semst"])
    assert back.uns["semst"]["params"]["n_clusters"] == 3


def test_the_picture(sdata):
    import matplotlib.pyplot as plt

    semst.tl.cluster(sdata, n_clusters=3, **FEW)
    axes = semst.pl.domains(sdata)
    assert axes.get_aspect() == 1
    plt.close(axes.figure)
