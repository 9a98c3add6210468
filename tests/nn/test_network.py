from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.decomposition import PCA

from semst.nn import Architecture, Decoder, Section, SemSTNetwork, edge_pairs, latent, normalised_adjacency
from semst.nn._decoder import RIDGE

N, WIDTH, GENES = 30, 6, 8


def make_section(seed=0, semantics=True):
    generator = np.random.default_rng(seed)
    near, alike = (sparse.csr_matrix(generator.random((N, N)) < share) for share in (0.08, 0.15))
    return Section(
        features=torch.from_numpy(generator.normal(size=(N, WIDTH)).astype(np.float32)),
        spatial=normalised_adjacency(near),
        expression=normalised_adjacency(alike),
        neighbours=edge_pairs(near),
        counts=sparse.csr_matrix(generator.poisson(1.0, size=(N, GENES)).astype(np.float32)),
        semantics=torch.from_numpy(generator.normal(size=(N, 3)).astype(np.float32)) if semantics else None,
    )


def make_network(seed=0, **options):
    values = {
        "in_features": WIDTH,
        "n_genes": GENES,
        "semantic_features": 3,
        "hidden_features": 10,
        "branch_features": WIDTH,
        "latent_features": 4,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SemSTNetwork(Architecture(**(values | options)))


def shake(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network


def permuted(section, order):
    def move(adjacency):
        return normalised_adjacency(sparse.csr_matrix(adjacency.to_dense()[order][:, order].numpy()))

    return Section(
        features=section.features[order],
        spatial=move(section.spatial),
        expression=move(section.expression),
        neighbours=torch.from_numpy(np.argsort(order))[section.neighbours],
        counts=section.counts[order],
        semantics=section.semantics[order],
    )


@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
def test_with_shortcut_the_start_is_pca_of_both_smoothed_views(convolution):
    section, network = make_section(), make_network(convolution=convolution)
    network.start_linear(section)
    x = section.features.numpy()
    both = np.concatenate([section.spatial.to_dense().numpy() @ x, section.expression.to_dense().numpy() @ x], axis=1)
    expected = PCA(4, svd_solver="full").fit_transform(both)
    got = latent(network, section)
    assert got.dtype == np.float32
    signs = np.sign((got * expected).sum(axis=0))
    np.testing.assert_allclose(got * signs, expected, atol=1e-4)


def test_the_linear_start_does_not_depend_on_the_weights_nor_on_signs():
    section = make_section()
    first, second = make_network(seed=0), make_network(seed=1)
    for network in (first, second):
        network.start_linear(section)
    np.testing.assert_allclose(latent(first, section), latent(second, section), atol=1e-6)
    weight = first.linear_fusion.weight
    largest = weight.gather(1, weight.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()


def test_a_latent_wider_than_the_views_is_filled_with_zeros():
    section, network = make_section(), make_network(latent_features=20)
    network.start_linear(section)
    values = latent(network, section)
    assert values.shape == (N, 20)
    assert (values[:, 2 * WIDTH :] == 0).all()
    assert (values[:, : 2 * WIDTH].std(axis=0) > 1e-3).all()


def test_the_published_network_has_the_published_widths():
    network = SemSTNetwork(
        Architecture(
            in_features=3000,
            n_genes=3000,
            semantic_features=2560,
            hidden_features=256,
            branch_features=128,
            latent_features=128,
            shortcut=False,
        )
    )
    for branch in (network.spatial_branch, network.expression_branch):
        assert (branch.first.in_channels, branch.first.out_channels) == (3000, 256)
        assert (branch.second.in_channels, branch.second.out_channels) == (256, 128)
    assert network.linear_fusion is None
    linear = [layer for layer in network.fsm.modules() if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(2560, 128), (128, 128), (128, 512)]
    assert [(m.in_features, m.out_features) for m in network.fusion if isinstance(m, torch.nn.Linear)] == [
        (256, 256),
        (256, 128),
    ]
    hidden = network.decoder.hidden
    assert (hidden[0].in_features, hidden[0].out_features) == (128, 256)
    assert isinstance(hidden[1], torch.nn.BatchNorm1d)
    assert network.decoder.eta.out_features == network.decoder.zeta.out_features == 3000


def test_without_shortcut_a_linear_start_changes_nothing():
    section, network = make_section(), make_network(shortcut=False)
    before = latent(network, section)
    network.start_linear(section)
    np.testing.assert_array_equal(latent(network, section), before)


@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
@pytest.mark.parametrize("shortcut", [True, False])
def test_permuting_spots_permutes_latents(convolution, shortcut):
    section = make_section()
    network = shake(make_network(convolution=convolution, shortcut=shortcut))
    order = np.random.default_rng(3).permutation(N)
    straight = latent(network, section)
    np.testing.assert_allclose(latent(network, permuted(section, order)), straight[order], atol=1e-4)
    assert np.abs(latent(network, permuted(section, order)) - straight).max() > 0.1


def test_semantics_move_the_latent_once_fsm_has_learnt():
    section = make_section()
    shuffled = permuted(section, np.arange(N))
    object.__setattr__(shuffled, "semantics", section.semantics.roll(1, 0))
    fresh, learnt = make_network(), shake(make_network())
    np.testing.assert_array_equal(latent(fresh, section), latent(fresh, shuffled))
    assert np.abs(latent(learnt, section) - latent(learnt, shuffled)).max() > 0.01


def test_without_semantics_there_is_no_fsm():
    assert make_network(semantic_features=0).fsm is None


def decode(decoder, section, genes):
    spots = torch.arange(N)
    library, share = section.library(), section.share()
    observed = section.observed(spots.numpy(), genes.numpy())
    return decoder(torch.zeros(N, 4), observed, library, share, genes)


@pytest.mark.parametrize("likelihood", ["zinb", "nb", "gaussian"])
def test_decoder_is_the_formula(likelihood):
    from scipy.stats import nbinom

    section = make_section()
    decoder = shake(Decoder(4, GENES, likelihood=likelihood, hidden_features=5)).eval()
    genes = torch.tensor([5, 0, 2])
    counts = section.counts.toarray()[:, [5, 0, 2]]
    with torch.no_grad():
        hidden = decoder.hidden(torch.zeros(1, 4))
        eta = decoder.eta(hidden).numpy()[:, [5, 0, 2]]
        got = decode(decoder, section, genes).item()
    if likelihood == "gaussian":
        assert got == pytest.approx(0.5 * np.square(counts - eta).mean(), rel=1e-4)
        return
    library = section.counts.toarray().sum(axis=1)
    share = section.counts.toarray().sum(axis=0) / library.sum()
    mean = library[:, None] * share[[5, 0, 2]] * np.exp(eta)
    theta = np.exp(decoder.log_dispersion.detach().numpy())[[5, 0, 2]]
    log_nb = nbinom.logpmf(counts, theta, theta / (theta + mean))
    if likelihood == "nb":
        assert got == pytest.approx(-log_nb.mean(), rel=1e-4)
        return
    zeta = decoder.zeta(hidden).detach().numpy()[:, [5, 0, 2]]
    pi = 1 / (1 + np.exp(-zeta))
    mixture = pi * (counts == 0) + (1 - pi) * np.exp(log_nb)
    assert got == pytest.approx(-np.log(mixture).mean() + RIDGE * np.square(pi).mean(), rel=1e-4)


def test_decoder_refuses_unknown_likelihoods():
    with pytest.raises(ValueError, match="likelihood must be 'zinb', 'nb' or 'gaussian', got 'poisson'"):
        Decoder(4, 3, likelihood="poisson")


def test_library_and_share_are_never_zero():
    counts = sparse.csr_matrix(np.array([[0, 0, 0], [4, 0, 2]], dtype=np.float32))
    section = Section(torch.zeros(2, 1), torch.zeros(2, 2), torch.zeros(2, 2), torch.zeros(2, 0), counts)
    assert section.library().tolist() == [1, 6]
    np.testing.assert_allclose(section.share(), [4 / 6, 0.5 / 6, 2 / 6], rtol=1e-6)
    empty = Section(*[torch.zeros(2, 2)] * 4, sparse.csr_matrix((2, 3), dtype=np.float32))
    assert (empty.library() > 0).all()
    assert (empty.share() > 0).all()


def test_observed_takes_the_spots_and_genes_in_the_order_asked_for():
    section = make_section()
    spots, genes = np.array([7, 2]), np.array([3, 1, 0])
    np.testing.assert_array_equal(section.observed(spots, genes), section.counts.toarray()[[7, 2]][:, [3, 1, 0]])


def test_a_step_on_20_000_spots_is_far_below_one_dense_matrix():
    """Dense, one float32 matrix of that many spots squared takes 1.6 GB; a step with all its gradients may take 0.5."""
    pytest.importorskip("resource")
    script = """
        import resource, sys, warnings
        import numpy as np, torch
        from scipy import sparse
        from semst.nn import Architecture, Plan, Section, SemSTNetwork, edge_pairs, fit, normalised_adjacency

        def peak():  # kilobytes on Linux, bytes on macOS
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)

        n = 20_000
        generator = np.random.default_rng(0)
        graph = sparse.diags([np.ones(n - k) for k in (1, 2, 3)], [1, 2, 3])
        adjacency = normalised_adjacency(graph)
        section = Section(
            torch.from_numpy(generator.normal(size=(n, 8)).astype(np.float32)), adjacency, adjacency,
            edge_pairs(graph), sparse.random(n, 40, density=0.2, format="csr", dtype=np.float32, rng=generator),
            torch.ones(n, 4),
        )
        network = SemSTNetwork(Architecture(8, 40, 4, hidden_features=8, branch_features=8, latent_features=8))
        before = peak()
        network.start_linear(section)
        fit(network, section, Plan(epochs=2), generator=generator)
        print(peak() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) < 500
