from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import semst
from semst.training._recipe import DEFAULT, epochs_for, recipe_for, starts_for


@pytest.mark.parametrize(("n_spots", "epochs"), [(1, 30), (1200, 30), (2000, 18), (3600, 10), (1_000_000, 10)])
def test_steps_by_size(n_spots, epochs):
    assert epochs_for(n_spots) == epochs
    assert recipe_for("default", epochs=None, gaussian=False, n_spots=n_spots).plan.epochs == epochs
    assert recipe_for("default", epochs=7, gaussian=False, n_spots=n_spots).plan.epochs == 7
    assert recipe_for("published", epochs=None, gaussian=False, n_spots=n_spots).plan.epochs == 200


@given(st.integers(2, 10**7))
def test_larger_tissue_never_takes_more_steps(n_spots):
    assert 10 <= epochs_for(n_spots) <= epochs_for(n_spots - 1) <= 30


@pytest.mark.parametrize(("n_spots", "starts"), [(1, 8), (1000, 8), (1600, 5), (4000, 2), (1_000_000, 2)])
def test_starts_by_size(n_spots, starts):
    assert starts_for(n_spots) == starts
    assert recipe_for("default", epochs=None, gaussian=True, n_spots=n_spots).starts == starts
    published = recipe_for("published", epochs=None, gaussian=False, n_spots=n_spots, partition="mixture")
    assert (published.starts, published.partition) == (10, "mixture")
    leiden = recipe_for("default", epochs=None, gaussian=False, n_spots=n_spots, partition="leiden")
    assert (leiden.starts, leiden.partition) == (2, "leiden")


def test_small_tissue_takes_the_steps_of_the_recipe():
    adata = semst.datasets.simulated(n_spots=150, n_genes=80, n_domains=3, progress=False)
    semst.tl.cluster(adata, n_clusters=3, semantics_key=None, progress=False)
    assert adata.uns["semst"]["history"]["total"].shape == (DEFAULT.plan.epochs,)
