"""What the comparisons rest on; run by hand: ``pytest --import-mode=prepend benchmarks/designs``."""

import os
from pathlib import Path

import numpy as np
import pytest
import related
import torch
from _bench import SEMANTICS
from backbones import ContrastiveGCN, GraphAttentionAutoencoder, Semantics
from networks import min_cut
from scipy import sparse

from semst.nn import Architecture, Plan, SemSTNetwork, fit, latent, normalised_adjacency
from semst.training._sections import _smooth

TISSUE = Path(os.environ.get("SEMST_TEST_DATA", "../shared/data")) / "her2st_B1.h5ad"


@pytest.fixture
def path() -> Path:
    if not TISSUE.exists():
        pytest.skip(f"{TISSUE} is missing; set SEMST_TEST_DATA to the folder with the labelled tissue")
    return TISSUE


def ring(n: int) -> torch.Tensor:
    return normalised_adjacency(sparse.csr_matrix(np.roll(np.eye(n), 1, axis=1)))


def test_min_cut_of_two_separate_pairs_is_zero() -> None:
    pairs = normalised_adjacency(sparse.block_diag([np.ones((2, 2))] * 2, format="csr"))
    right = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert min_cut(right, pairs).item() == pytest.approx(0, abs=1e-6)
    crossed = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])  # every community keeps its loops: half of its edges
    assert min_cut(crossed, pairs).item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("backbone", [GraphAttentionAutoencoder, ContrastiveGCN])
def test_untrained_fsm_changes_no_backbone(backbone: type) -> None:
    adjacency, x = ring(20), torch.randn(20, 6)
    graph = adjacency if backbone is ContrastiveGCN else adjacency.to_sparse_coo().indices()
    latents = []
    for width in (0, 5):
        torch.manual_seed(3)
        semantics = Semantics(torch.randn(20, 5, generator=torch.Generator().manual_seed(1)), adjacency)
        latents.append(backbone(6, width).latent(x, graph, semantics if width else None))
    torch.testing.assert_close(*latents)


def test_semantics_are_averaged_as_in_the_recipe() -> None:
    adjacency, values = ring(20), torch.randn(20, 5)
    semantics = Semantics(values, adjacency)
    torch.testing.assert_close(semantics.smooth, _smooth(values, adjacency))
    torch.testing.assert_close(semantics.shuffled(torch.arange(20)), semantics.smooth)


def test_training_is_that_of_semst(path: Path) -> None:
    prepared = related._sections(path, 0)[0]
    ours, theirs = (SemSTNetwork(Architecture(50, prepared.counts.shape[1])) for _ in range(2))
    ours.load_state_dict(theirs.state_dict())
    plan = Plan(epochs=3, snapshots=(2, 3))
    expected = fit(theirs, prepared, plan, generator=np.random.default_rng(1)).latents
    found = related._fit(ours, prepared, plan, np.random.default_rng(1))
    for latents, epoch in zip(found, (2, 3), strict=True):
        np.testing.assert_array_equal(latents, expected[epoch])


@pytest.mark.parametrize("design", [name for name in related.DESIGNS if name != related.PRESENT])
def test_designs_start_from_the_linear_path(path: Path, design: str) -> None:
    prepared = related._sections(path, 0)[0]
    meaning = related._smooth_semantics(path, SEMANTICS, 0)[0]
    prepared = type(prepared)(**{**vars(prepared), "semantics": meaning})
    network = related.DESIGNS[design](Architecture(50, 3000, meaning.shape[1]), 4)
    network.start_linear(prepared)
    x = prepared.features
    views = [prepared.spatial @ x, prepared.expression @ x, prepared.regions @ x]
    if design == related.MERGED:
        joined = 0.5 * (views[0] + views[1])
    else:
        joined = torch.cat(views if "three" in design else views[:2], dim=1)
    variance = torch.linalg.svdvals(joined - joined.mean(dim=0))[:32]
    np.testing.assert_allclose(np.linalg.norm(latent(network, prepared), axis=0), variance, rtol=1e-3)
