from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semst.nn import Architecture, Section, SemSTNetwork, edge_pairs
from semst.nn._adjacency import as_tensor, normalise
from semst.nn._tiles import cut, deal, halo, part


def random_graph(generator, n, degree):
    ends = generator.integers(0, n, size=(2, n * degree))
    return sparse.csr_matrix((np.ones(n * degree), ends), shape=(n, n))


def whole_and_tile(generator, n, degree, own):
    """A section, and the tile of some of its spots; no edge of the expression graph leaves the tile."""
    adjacency = normalise(random_graph(generator, n, degree))
    inside = np.isin(np.arange(n), own)
    alike = random_graph(generator, n, 3).tocoo()
    keep = inside[alike.row] == inside[alike.col]
    alike = normalise(sparse.csr_matrix((alike.data[keep], (alike.row[keep], alike.col[keep])), shape=(n, n)))
    features = torch.from_numpy(generator.normal(size=(n, 6)).astype(np.float32))
    counts = sparse.csr_matrix(generator.poisson(1.0, size=(n, 9)).astype(np.float32))
    semantics = torch.from_numpy(generator.normal(size=(n, 4)).astype(np.float32))
    whole = Section(features, as_tensor(adjacency), as_tensor(alike), edge_pairs(adjacency), counts, semantics)

    def tile(hops):
        read = halo(adjacency, own, hops)
        inner = np.searchsorted(read, own)
        near = part(adjacency, read)
        return Section(
            features[torch.from_numpy(read)],
            as_tensor(near),
            as_tensor(part(alike, own)),
            edge_pairs(part(near, inner)),
            counts[own],
            semantics[torch.from_numpy(own)],
            torch.from_numpy(inner),
        )

    return whole, tile


def network(convolution, *, shortcut):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = SemSTNetwork(
            Architecture(
                6,
                9,
                4,
                hidden_features=8,
                branch_features=6,
                latent_features=5,
                convolution=convolution,
                shortcut=shortcut,
            )  # fmt: skip
        )
        for parameter in made.parameters():  # also those that start at zero
            torch.nn.init.normal_(parameter, std=0.5)
    return made.eval()


HOPS = {"gcn": 2, "gat": 2, "sage": 3}


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("convolution", HOPS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60), degree=st.integers(1, 3), share=st.floats(0.05, 1.0))
def test_inside_a_tile_all_is_as_on_the_whole_tissue(convolution, shortcut, seed, n, degree, share):
    generator = np.random.default_rng(seed)
    own = np.sort(generator.choice(n, max(int(share * n), 1), replace=False))
    whole, tile = whole_and_tile(generator, n, degree, own)
    model = network(convolution, shortcut=shortcut)
    with torch.no_grad():
        expected, found = model.encode(whole), model.encode(tile(HOPS[convolution]))
    for name in ("latent", "spatial_view", "expression_view"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name)[own], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("convolution", HOPS)
def test_with_a_narrower_halo_it_is_not(convolution):
    """The test above can fail: on a long path the outermost spots matter."""
    generator = np.random.default_rng(0)
    own = np.arange(10, 20)
    whole, tile = whole_and_tile(generator, 60, 1, own)
    model = network(convolution, shortcut=False)
    with torch.no_grad():
        expected, found = model.encode(whole).latent[own], model.encode(tile(HOPS[convolution] - 1)).latent
    assert (found - expected).abs().max() > 1e-3


def test_gradients_are_those_of_the_whole_tissue():
    generator = np.random.default_rng(1)
    own = np.arange(15)
    whole, tile = whole_and_tile(generator, 50, 2, own)
    model = network("gcn", shortcut=True)
    gradients = []
    for section, rows in ((whole, own), (tile(2), slice(None))):
        model.zero_grad()
        model.encode(section).latent[rows].square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


@given(seed=st.integers(0, 1000), n=st.integers(1, 300), n_patches=st.integers(1, 40))
@settings(max_examples=50)
def test_patches_hold_every_spot_once_and_are_of_one_size(seed, n, n_patches):
    n_patches = min(n, n_patches)
    places = np.random.default_rng(seed).normal(size=(n, 2))
    patches = cut(places, n_patches)
    assert len(patches) == n_patches
    np.testing.assert_array_equal(np.sort(np.concatenate(patches)), np.arange(n))
    sizes = [len(patch) for patch in patches]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1 + np.ceil(np.log2(n_patches))


def test_patches_are_compact():
    """A strip of 4 x 1 in four patches: four squares side by side."""
    generator = np.random.default_rng(0)
    places = generator.uniform(size=(4000, 2)) * [4, 1]
    for number, patch in enumerate(cut(places, 4)):
        low, high = places[patch].min(axis=0), places[patch].max(axis=0)
        assert abs(low[0] - number) < 0.1
        assert abs(high[0] - number - 1) < 0.1


def test_places_that_are_all_the_same_can_be_cut():
    assert [len(patch) for patch in cut(np.zeros((10, 2)), 5)] == [2] * 5


def test_every_tile_has_a_patch_of_every_part_of_the_tissue():
    patches = [np.array([number]) for number in range(12)]
    tiles = deal(patches, 3, generator=np.random.default_rng(0))
    assert sorted(np.concatenate(tiles)) == list(range(12))
    for tile in tiles:
        np.testing.assert_array_equal(tile // 3, [0, 1, 2, 3])
    assert len({tuple(tile % 3) for tile in tiles}) == 3


def test_part_is_the_matrix_cut_in_both_directions():
    generator = np.random.default_rng(0)
    matrix = normalise(random_graph(generator, 40, 3))
    for spots in (np.array([3]), np.array([0, 5, 39]), np.arange(40)):
        cut_out = part(matrix, spots)
        np.testing.assert_array_equal(cut_out.toarray(), matrix.toarray()[np.ix_(spots, spots)])
        assert cut_out.has_sorted_indices


def test_the_halo_of_a_path():
    path = normalise(sparse.diags([np.ones(9)], [1], shape=(10, 10)))
    assert halo(path, np.array([4]), 0).tolist() == [4]
    assert halo(path, np.array([4]), 2).tolist() == [2, 3, 4, 5, 6]
    assert halo(path, np.array([0, 9]), 1).tolist() == [0, 1, 8, 9]


def test_a_section_that_is_no_tile_owns_all_that_it_reads():
    whole, tile = whole_and_tile(np.random.default_rng(0), 20, 2, np.arange(5))
    assert whole.own(whole.features) is whole.features
    assert whole.n_spots == 20
    assert tile(2).n_spots == 5
    torch.testing.assert_close(tile(2).own(tile(2).features), whole.features[:5])
    assert replace(tile(1)).to("cpu").inner is not None
