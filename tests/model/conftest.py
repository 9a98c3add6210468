from __future__ import annotations

import pytest

import semst

FEW = {"n_clusters": 4, "epochs": 6, "progress": False}


@pytest.fixture(scope="session")
def tissue():
    return semst.datasets.simulated(n_spots=500, n_genes=400, n_domains=4, random_state=1, progress=False)


@pytest.fixture(scope="session")
def trained(tissue):
    """Give a tissue with its results, and the model that was trained on it."""
    table = tissue.copy()
    return table, semst.SemST.train(table, **FEW)


@pytest.fixture
def folder(trained, tmp_path):
    """Give a folder with that model."""
    trained[1].save(tmp_path / "model")
    return tmp_path / "model"
