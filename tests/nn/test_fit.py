from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from semst.nn import (
    Architecture,
    Plan,
    Section,
    SemSTNetwork,
    _precision,
    edge_pairs,
    fit,
    latent,
    normalised_adjacency,
)
from semst.nn._fit import TERMS, _sample, descend
from semst.nn._observed import Observed

SIDE, GENES = 8, 30


@pytest.fixture(scope="module")
def toy():
    """A square of 64 spots in two halves that express different genes."""
    generator = np.random.default_rng(0)
    line = sparse.diags([np.ones(SIDE - 1)], [1], shape=(SIDE, SIDE))
    unit = sparse.identity(SIDE)
    graph = sparse.csr_matrix(sparse.kron(line, unit) + sparse.kron(unit, line))
    half = np.repeat([0, 1], SIDE * SIDE // 2)
    rate = np.where((np.arange(GENES) % 2)[None, :] == half[:, None], 4.0, 0.5)
    counts = generator.poisson(rate).astype(np.float32)
    features = np.log1p(counts)[:, :10]
    alike = sparse.csr_matrix(np.corrcoef(features) > 0.6)
    return Section(
        torch.from_numpy(features - features.mean(axis=0)),
        normalised_adjacency(graph),
        normalised_adjacency(alike),
        edge_pairs(graph),
        sparse.csr_matrix(counts),
        torch.from_numpy(generator.normal(size=(SIDE * SIDE, 5)).astype(np.float32)),
    )


def make_network(section, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SemSTNetwork(
            Architecture(10, GENES, 5, hidden_features=16, branch_features=10, latent_features=6, **options)
        )
    network.start_linear(section)
    return network


def run(section, plan, seed=0, **options):
    network = make_network(section, **options)
    return network, fit(network, section, plan, generator=np.random.default_rng(seed))


def test_same_seed_same_bytes_and_other_seed_other_bytes(toy):
    plan = Plan(epochs=4, spots_per_step=20, genes_per_step=7)
    first, second, other = run(toy, plan)[1], run(toy, plan)[1], run(toy, plan, seed=1)[1]
    assert first.latents[4].tobytes() == second.latents[4].tobytes()
    assert all(first.history[term].tobytes() == second.history[term].tobytes() for term in TERMS)
    assert first.latents[4].tobytes() != other.latents[4].tobytes()


def test_global_generators_are_left_alone(toy):
    network = make_network(toy)
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    fit(network, toy, Plan(epochs=2), generator=np.random.default_rng(0))
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


@pytest.mark.parametrize("likelihood", ["zinb", "nb", "gaussian"])
@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
@pytest.mark.parametrize("shortcut", [True, False])
def test_the_loss_falls(toy, likelihood, convolution, shortcut):
    plan = Plan(epochs=30, learning_rate=5e-3)
    _, fitted = run(toy, plan, likelihood=likelihood, convolution=convolution, shortcut=shortcut)
    total = fitted.history["total"]
    assert total[-5:].mean() < total[:3].mean() - 0.02


def test_each_term_falls_when_it_is_trained_alone(toy):
    for term, weights in {"reconstruction": (1, 0, 0), "spatial": (0, 1, 0), "dicr": (0, 0, 1)}.items():
        names = ("reconstruction_weight", "spatial_weight", "dicr_weight")
        plan = Plan(epochs=30, learning_rate=5e-3, **dict(zip(names, weights, strict=True)))
        history = run(toy, plan)[1].history
        np.testing.assert_allclose(history["total"], history[term], rtol=1e-6)
        assert history[term][-5:].mean() < history[term][:3].mean()
        assert all(not history[other].any() for other in TERMS if other not in ("total", term))


def test_history_has_every_term_weighted_and_they_sum_to_the_total(toy):
    history = run(toy, Plan(epochs=3))[1].history
    assert tuple(history) == TERMS
    assert all(values.shape == (3,) and values.dtype == np.float64 for values in history.values())
    np.testing.assert_allclose(sum(history[term] for term in TERMS[1:]), history["total"], rtol=1e-6)
    doubled = run(toy, Plan(epochs=1, dicr_weight=0.2))[1].history
    assert doubled["dicr"][0] == pytest.approx(2 * history["dicr"][0])


def test_snapshots_are_the_states_at_their_epochs(toy):
    network, fitted = run(toy, Plan(epochs=5, snapshots=(2, 4)))
    assert sorted(fitted.latents) == [2, 4, 5]
    assert all(values.shape == (64, 6) and values.dtype == np.float32 for values in fitted.latents.values())
    np.testing.assert_array_equal(fitted.latents[5], latent(network, toy))
    # Looking does not disturb: the state after two epochs is that of a training that ends there.
    np.testing.assert_array_equal(run(toy, Plan(epochs=2))[1].latents[2], fitted.latents[2])
    assert np.abs(fitted.latents[2] - fitted.latents[4]).max() > 0


def test_on_epoch_is_called_after_every_epoch(toy):
    calls = []
    fit(
        make_network(toy),
        toy,
        Plan(epochs=3),
        generator=np.random.default_rng(0),
        on_epoch=lambda: calls.append(1),
    )
    assert len(calls) == 3


def test_nan_in_the_input_is_an_error(toy):
    network = make_network(toy)
    features = toy.features.clone()
    features[3, 2] = torch.nan
    with pytest.raises(FloatingPointError, match="no longer finite after 0 epochs; look for extreme values"):
        fit(network, replace(toy, features=features), Plan(epochs=2), generator=np.random.default_rng(0))


@pytest.mark.parametrize("epochs", [1, 2, 8])
def test_training_that_diverges_never_returns_what_is_not_finite(toy, epochs):
    with pytest.raises(FloatingPointError, match="look for extreme values"):
        run(toy, Plan(epochs=epochs, learning_rate=1e38))


def test_a_section_without_edges_is_pulled_nowhere(toy):
    """A tile of sparse tissue may have none."""
    lonely = replace(toy, neighbours=torch.zeros((2, 0), dtype=torch.int64))
    history = fit(make_network(toy), lonely, Plan(epochs=1), generator=np.random.default_rng(0)).history
    assert all(np.isfinite(values).all() for values in history.values())


def test_weights_do_not_move_at_learning_rate_zero(toy):
    network = make_network(toy)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    fit(network, toy, Plan(epochs=2, learning_rate=0.0), generator=np.random.default_rng(0))
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_sampled_steps_expect_the_loss_of_the_full_step(toy):
    """Batch norm sees the sampled spots, so the two agree up to that and the noise of 60 draws."""
    frozen = {"learning_rate": 0.0, "reconstruction_weight": 1.0}
    full = run(toy, Plan(epochs=1, spots_per_step=0, genes_per_step=0, **frozen))[1].history["reconstruction"]
    sampled = run(toy, Plan(epochs=60, spots_per_step=32, genes_per_step=10, **frozen))[1].history["reconstruction"]
    error = sampled.std() / np.sqrt(60)
    assert sampled.std() > 0
    assert abs(sampled.mean() - full[0]) < 4 * error + 0.01 * abs(full[0])


def test_sampled_genes_alone_are_unbiased(toy):
    frozen = {"learning_rate": 0.0, "spots_per_step": 0}
    full = run(toy, Plan(epochs=1, genes_per_step=0, **frozen))[1].history["reconstruction"][0]
    sampled = run(toy, Plan(epochs=100, genes_per_step=5, **frozen))[1].history["reconstruction"]
    assert abs(sampled.mean() - full) < 4 * sampled.std() / 10


def test_sampled_pairs_are_unbiased_and_fewer(toy):
    still = {"learning_rate": 0.0, "spots_per_step": 0}
    every = run(toy, Plan(epochs=200, pairs_per_spot=0, **still))[1].history["spatial"]
    some = run(toy, Plan(epochs=200, pairs_per_spot=1, **still))[1].history["spatial"]
    assert toy.neighbours.shape[1] == 112  # of 64 spots
    assert some.std() > 1.1 * every.std()  # which varies with the strangers alone
    assert abs(some.mean() - every.mean()) < 4 * np.hypot(some.std(), every.std()) / np.sqrt(200)


def test_more_pairs_than_neighbours_are_all_of_them(toy):
    first, second = (run(toy, Plan(epochs=3, pairs_per_spot=pairs))[1] for pairs in (0, 2))
    np.testing.assert_array_equal(first.history["total"], second.history["total"])


def test_sample():
    generator = torch.Generator().manual_seed(0)
    for wanted in (0, 5, 9):
        assert _sample(5, wanted, generator).tolist() == [0, 1, 2, 3, 4]
    drawn = [_sample(10, 4, generator) for _ in range(300)]
    assert all(values.unique().numel() == 4 for values in drawn)
    share = torch.bincount(torch.cat(drawn), minlength=10) / 300
    assert share.sub(0.4).abs().max() < 0.12


def test_a_step_on_two_sections_is_one_on_their_mean_loss(toy):
    """Twice the same section, all spots and genes: nothing is drawn but strangers, and the mean is the loss itself."""
    plan = Plan(epochs=3, spatial_weight=0.0, spots_per_step=0, genes_per_step=0)
    options = {"plan": plan, "share": toy.share(), "after": lambda _: None}
    one, two = make_network(toy), make_network(toy)
    expected = descend(one, lambda _: toy, generator=np.random.default_rng(0), **options)
    asked = []
    found = descend(
        two,
        lambda number: asked.append(number) or toy,
        generator=np.random.default_rng(0),
        sections_per_step=2,
        **options,
    )
    assert asked == list(range(6))
    for term in TERMS:
        np.testing.assert_allclose(found[term], expected[term], rtol=1e-5)
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_half_the_digits_lead_to_nearly_the_same(toy, monkeypatch):
    """As on a GPU with bfloat16; the latents that are kept are computed in float32."""
    plan = Plan(epochs=20)
    expected, full = run(toy, plan)
    monkeypatch.setattr(_precision, "has_mixed_precision", lambda _: True)
    found, mixed = run(toy, plan)
    assert all(parameter.dtype == torch.float32 for parameter in found.parameters())
    assert mixed.latents[20].dtype == np.float32
    assert not np.array_equal(mixed.history["total"], full.history["total"])
    np.testing.assert_allclose(mixed.history["total"], full.history["total"], rtol=0.01)
    difference = mixed.latents[20] - full.latents[20]
    assert np.square(difference).sum() < 1e-3 * np.square(full.latents[20]).sum()
    assert all(parameter.grad.dtype == torch.float32 for parameter in expected.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 2.5, "snapshots": (1,)}, "epochs must be a whole number of at least 1, got 2.5"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number of at least 0, got -1.0"),
        ({"learning_rate": np.nan}, "learning_rate must be a finite number of at least 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be a finite number of at least 0"),
        ({"reconstruction_weight": -0.1}, "reconstruction_weight must be"),
        ({"spatial_weight": -0.1}, "spatial_weight must be"),
        ({"dicr_weight": np.inf}, "dicr_weight must be"),
        ({"spots_per_step": 1}, "spots_per_step must be .* at least 2, got 1: one spot alone has no batch norm"),
        ({"genes_per_step": -1}, "genes_per_step must be a whole number of at least 0"),
        ({"pairs_per_spot": -1}, "pairs_per_spot must be a whole number of at least 0"),
        ({"epochs": 3, "snapshots": (1, 4)}, r"snapshots must be whole numbers between 1 and epochs \(3\)"),
        ({"weight_decay": -1, "spots_per_step": -1}, "(?s)2 problems.*weight_decay.*spots_per_step"),
    ],
)
def test_a_plan_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Plan(**options)


@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
def test_half_the_digits_with_every_convolution(toy, monkeypatch, convolution):
    monkeypatch.setattr(_precision, "has_mixed_precision", lambda _: True)
    total = run(toy, Plan(epochs=30, learning_rate=5e-3), convolution=convolution)[1].history["total"]
    assert total[-5:].mean() < total[:3].mean() - 0.02


def test_counts_on_a_gpu_are_those_in_main_memory(toy):
    """The dense copy that a GPU holds is asked in the same way; the device "meta" has memory of its own but no GPU."""
    observed = Observed(toy, torch.device("cpu"))
    spots, genes = torch.tensor([7, 2]), torch.tensor([3, 1, 0])
    expected = torch.from_numpy(toy.counts.toarray())[spots][:, genes]
    assert torch.equal(observed.counts(spots, genes), expected)
    observed._dense = torch.from_numpy(toy.counts.toarray())
    assert torch.equal(observed.counts(spots, genes), expected)
    assert Observed(toy, torch.device("meta"))._dense.device.type == "meta"


def test_moving_to_a_device_keeps_everything(toy):
    moved = toy.to("cpu")
    assert torch.equal(moved.features, toy.features)
    assert moved.spatial.layout == torch.sparse_csr
    assert moved.counts is toy.counts
    assert replace(toy, semantics=None).to("cpu").semantics is None
