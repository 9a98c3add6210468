from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from semst.pp._graphs import expression_graph, on_hexagons, spatial_graph, widen

SIDE = 10


def make_table(n, **obs):
    return AnnData(np.ones((n, 1), dtype=np.float32), obs=pd.DataFrame(obs, index=[f"s{i}" for i in range(n)]))


def hexagons(side=SIDE):
    """A Visium grid: every other column in each row; pixels 100 apart."""
    row, half = np.divmod(np.arange(side * side), side)
    col = 2 * half + row % 2
    pixels = np.stack([col * 50.0, row * 50.0 * np.sqrt(3)], axis=1)
    return make_table(side * side, array_row=row, array_col=col), pixels


def is_plain(graph):
    assert graph.dtype == np.float32
    assert set(np.unique(graph.data)) <= {1.0}
    assert (graph != graph.T).nnz == 0
    assert graph.diagonal().sum() == 0


def test_interior_hexagons_have_their_six_known_neighbours():
    table, pixels = hexagons()
    graph = spatial_graph(table, pixels)
    is_plain(graph)
    place = {(r, c): i for i, (r, c) in enumerate(zip(table.obs["array_row"], table.obs["array_col"], strict=True))}
    steps = [(0, 2), (0, -2), (1, 1), (1, -1), (-1, 1), (-1, -1)]
    for (row, col), i in place.items():
        expected = {place[row + r, col + c] for r, c in steps if (row + r, col + c) in place}
        assert set(graph[i].indices) == expected
    degree = np.asarray(graph.sum(axis=1)).ravel()
    inside = [i for (row, col), i in place.items() if 0 < row < SIDE - 1 and 2 <= col <= 2 * SIDE - 3]
    assert (degree[inside] == 6).all()


@pytest.mark.parametrize("angle", [0.3, 2.0])
@pytest.mark.parametrize("stretch", [(1, 1), (0.01, 0.01), (1, 3.0)])
def test_hexagons_do_not_depend_on_the_picture(angle, stretch):
    table, pixels = hexagons()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = pixels * stretch @ turn.T + [500, -200]
    assert (spatial_graph(table, moved) != spatial_graph(table, pixels)).nnz == 0


def test_a_hole_in_the_tissue_is_not_bridged():
    table, pixels = hexagons()
    row = table.obs["array_row"].to_numpy()
    keep = (row < 4) | (row > 5)
    graph = spatial_graph(table[keep], pixels[keep])
    n_parts, part = sparse.csgraph.connected_components(graph)
    assert n_parts == 2
    np.testing.assert_array_equal(part == part[0], row[keep] < 4)


def test_two_rings_of_hexagons_are_the_18_nearest():
    table, pixels = hexagons()
    wide = widen(spatial_graph(table, pixels))
    is_plain(wide)
    distance = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
    centre = 5 * SIDE + 5
    nearest = np.argsort(distance[centre], kind="stable")[1:19]
    assert set(wide[centre].indices) == set(nearest)


@given(n=st.integers(2, 12), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_widen_connects_what_is_at_most_two_steps_apart(n, seed):
    dense = np.triu(np.random.default_rng(seed).random((n, n)) < 0.2, 1)
    dense = dense | dense.T
    steps = sparse.csgraph.shortest_path(dense.astype(float), unweighted=True)
    expected = (steps <= 2) & ~np.eye(n, dtype=bool)
    np.testing.assert_array_equal(widen(sparse.csr_matrix(dense, dtype=np.float32)).toarray() > 0, expected)


def test_what_is_a_hexagonal_grid():
    row, half = np.divmod(np.arange(16), 4)
    assert on_hexagons(make_table(16, array_row=row, array_col=2 * half + row % 2))
    assert on_hexagons(make_table(16, array_row=row, array_col=2 * half + 1 - row % 2))  # the other parity
    assert not on_hexagons(make_table(16, array_row=row, array_col=half))  # squares
    assert not on_hexagons(make_table(16, array_row=row))
    assert not on_hexagons(make_table(16))
    assert not on_hexagons(make_table(16, array_row=np.zeros(16), array_col=2 * np.arange(16)))  # a line
    missing = np.where(np.arange(16) == 3, np.nan, row)
    assert not on_hexagons(make_table(16, array_row=missing, array_col=2 * half + row % 2))


def test_two_slides_on_the_same_grid_are_not_connected():
    table, pixels = hexagons(5)
    both = make_table(50, array_row=np.tile(table.obs["array_row"], 2), array_col=np.tile(table.obs["array_col"], 2))
    assert not on_hexagons(both)
    graph = spatial_graph(both, np.concatenate([pixels, pixels + [1e5, 0]]))
    assert graph[:25][:, 25:].nnz == 0


def test_cells_are_connected_to_their_nearest_both_ways():
    places = np.random.default_rng(0).random((40, 2))
    graph = spatial_graph(make_table(40), places, n_neighbors=4)
    is_plain(graph)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.zeros((40, 40), dtype=bool)
    np.put_along_axis(nearest, np.argsort(distance, axis=1)[:, :4], values=True, axis=1)
    np.testing.assert_array_equal(graph.toarray() > 0, nearest | nearest.T)


def test_fewer_cells_than_neighbours_are_all_connected():
    graph = spatial_graph(make_table(4), np.random.default_rng(0).random((4, 2)), n_neighbors=6)
    np.testing.assert_array_equal(graph.toarray(), 1 - np.eye(4))


def test_cells_at_one_place_are_no_self_loops():
    places = np.repeat(np.random.default_rng(0).random((10, 2)), 2, axis=0)
    graph = spatial_graph(make_table(20), places, n_neighbors=3)
    is_plain(graph)
    assert np.asarray(graph.sum(axis=1)).min() >= 2


def test_the_graph_of_squidpy_is_taken_as_it_is():
    import squidpy as sq

    table, pixels = hexagons()
    table.obsm["spatial"] = pixels
    sq.gr.spatial_neighbors_radius(table, radius=175.0)
    theirs = table.obsp["spatial_connectivities"].copy()
    graph = spatial_graph(table, pixels)
    is_plain(graph)
    assert theirs.nnz > 6 * table.n_obs
    np.testing.assert_array_equal(graph.toarray() > 0, theirs.toarray() > 0)
    assert (table.obsp["spatial_connectivities"] != theirs).nnz == 0


def test_a_graph_one_way_with_weights_and_loops_is_mended_but_left_alone_in_the_table():
    table = make_table(3)
    mine = sparse.csr_matrix(np.array([[5.0, 0.2, 0], [0, 0, 0.7], [0, 0, 0]]))
    table.obsp["spatial_connectivities"] = mine.copy()
    graph = spatial_graph(table, np.zeros((3, 2)))
    np.testing.assert_array_equal(graph.toarray(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(table.obsp["spatial_connectivities"].toarray(), mine.toarray())


def by_cosine(features, k):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    nearest = np.zeros(cosine.shape, dtype=bool)
    np.put_along_axis(nearest, np.argsort(-cosine, axis=1)[:, :k], values=True, axis=1)
    return nearest | nearest.T


def test_expression_graph_by_brute_force():
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(50, 6)) * generator.uniform(0.1, 20, size=(50, 1))).astype(np.float32)
    graph = expression_graph(features, n_neighbors=5)
    is_plain(graph)
    np.testing.assert_array_equal(graph.toarray() > 0, by_cosine(features.astype(np.float64), 5))


def test_threads_do_not_decide_between_spots_that_are_alike():
    """Spots with the same neighbours in space have the same averages, of which 14 neighbours leave one out."""
    generator = np.random.default_rng(0)
    features = generator.permutation(generator.normal(size=(300, 20)).astype(np.float32).repeat(2, axis=0))
    graphs = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            graphs.append(expression_graph(features, n_neighbors=14))
    assert (graphs[0] != graphs[1]).nnz == 0


def test_expression_graph_survives_a_spot_without_expression_and_very_few_spots():
    features = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    features[2] = 0
    graph = expression_graph(features, n_neighbors=15)
    np.testing.assert_array_equal(graph.toarray(), 1 - np.eye(4))


def test_a_thinned_section_is_connected_by_nearness(caplog):
    table, pixels = hexagons(40)
    few = np.sort(np.random.default_rng(0).choice(table.n_obs, table.n_obs // 5, replace=False))
    with caplog.at_level("INFO", logger="semst"):
        graph = spatial_graph(table[few], pixels[few])
    assert "have no neighbour on Visium's grid" in caplog.text
    assert graph.getnnz(axis=1).min() >= 6
    most = np.sort(np.random.default_rng(0).choice(table.n_obs, table.n_obs * 4 // 5, replace=False))
    assert (spatial_graph(table[most], pixels[most]) != spatial_graph(table, pixels)[most][:, most]).nnz == 0
