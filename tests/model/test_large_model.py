"""Models of tissue with more spots than are fitted at once; here that many is made small."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import semst
from semst.model import _keep


@pytest.fixture
def large(large_above):
    large_above(600, tile=300)


@pytest.mark.usefixtures("large")
def test_a_model_of_large_tissue_gives_its_latent_and_labels_back():
    cells = semst.datasets.simulated(
        n_spots=1200, n_genes=200, n_domains=4, platform="cells", random_state=1, progress=False
    )
    model = semst.SemST.train(cells, n_clusters=4, epochs=5, progress=False)
    again = semst.tl.transfer(model, cells, center=False, key_added="again", copy=True)
    assert adjusted_rand_score(again.obs["semst"], again.obs["again"]) > 0.9
    embedded = model.embed(cells, center=False, key_added="again", copy=True)
    # Rounding swaps a neighbour of like expression here and there.
    assert np.isclose(embedded.obsm["X_again"], cells.obsm["X_semst"], atol=1e-3).mean() > 0.99


@pytest.mark.usefixtures("large")
def test_every_domain_has_spots_to_learn_from():
    places = np.random.default_rng(0).uniform(size=(6000, 2))
    numbers = np.where(np.arange(6000) < 3000, 1, 2)
    numbers[[17, 4000]] = 3
    numbers[100:110] = 4
    tiles = _keep._tiles(SimpleNamespace(places=places), numbers, 0)
    spots = np.concatenate(tiles)
    assert np.unique(spots).size == spots.size < 1300
    assert np.bincount(numbers[spots]).tolist()[3:] == [2, 10]
    assert all((np.diff(each) > 0).all() for each in tiles)
