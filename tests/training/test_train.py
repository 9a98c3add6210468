from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import torch
from scipy import sparse

from semst.nn import Plan
from semst.pp._graphs import spatial_graph
from semst.training import _train_whole, _workers
from semst.training._recipe import DEFAULT, View
from semst.training._sections import Tissue
from semst.training._train import train

RECIPE = replace(
    DEFAULT, views=(View("log", 1), View("log10k", 1), View("sqrt", 2), View("scaled", 1)), plan=Plan(epochs=3)
)


@pytest.fixture(scope="module")
def tissue():
    import semst

    adata = semst.datasets.simulated(n_spots=150, n_genes=100, progress=False)
    graph = spatial_graph(adata, adata.obsm["spatial"])
    return Tissue(sparse.csr_matrix(adata.X, dtype=np.float32), graph, None, np.arange(adata.n_vars))


def run(tissue, recipe=RECIPE):
    return train(
        tissue,
        recipe,
        likelihood="zinb",
        convolution="gcn",
        device=torch.device("cpu"),
        random_state=0,
        progress=False,
    )


@pytest.fixture
def one_thread():
    """More threads in one product round differently; side by side each network has one anyway."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@contextmanager
def one_after_the_other(*, at_once):
    yield _workers._now, Event()


def test_after_an_interruption_nothing_further_is_begun():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.1)

    def interrupted():
        with _workers.pool() as executor:
            for number in range(1000):
                executor.submit(work, number)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(begun) < 900  # a few on a machine that does nothing else


@pytest.mark.usefixtures("one_thread")
def test_the_number_of_cores_does_not_change_a_byte(tissue, monkeypatch):
    results = []
    for cores in (1, 4):
        monkeypatch.setattr(_workers, "cores", lambda cores=cores: cores)
        results.append(run(tissue))
    monkeypatch.setattr(_train_whole, "workers", one_after_the_other)  # as on a GPU
    results.append(run(tissue))
    for other in results[1:]:
        for first, second in zip(results[0].latents, other.latents, strict=True):
            np.testing.assert_array_equal(first, second)


def test_smoothed_inputs_come_first_and_are_not_trained(tissue):
    short, long = (run(tissue, replace(RECIPE, plan=Plan(epochs=epochs))) for epochs in (1, 3))
    assert len(short.latents) == 2 * len(RECIPE.views)
    for first, second in zip(short.latents[:4], long.latents[:4], strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(short.latents[4], long.latents[4])


def test_an_error_in_one_network_stops_the_others(tissue, monkeypatch):
    finished, threads = [], torch.get_num_threads()

    def fit(network, section, plan, *, generator, on_epoch):
        if not finished:
            finished.append("failed")
            message = "training is no longer finite"
            raise FloatingPointError(message)
        for _ in range(400):
            time.sleep(0.02)
            on_epoch()
        finished.append("went on")

    monkeypatch.setattr(_train_whole, "fit", fit)
    with pytest.raises(FloatingPointError, match="no longer finite"):
        run(tissue)
    assert finished == ["failed"]
    assert torch.get_num_threads() == threads
