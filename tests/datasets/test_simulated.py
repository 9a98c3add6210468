"""simulated: what the tissue looks like, and that it is neither trivial nor impossible."""

from __future__ import annotations

import tracemalloc

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from semst.datasets import simulated
from semst.datasets._cell_types import CORTEX, CORTEX_MARKERS, TUMOUR, TUMOUR_MARKERS
from semst.datasets._expression import choose_genes, symbol_table
from semst.datasets._shapes import CELL_PITCH_UM, Outline, thin_out, visium_array


def rates(adata: ad.AnnData) -> pd.DataFrame:
    """Share of each gene in the counts of each domain."""
    table = pd.DataFrame(adata.X.toarray(), columns=adata.var_names).groupby(adata.obs["ground_truth"].to_numpy()).sum()
    return table.div(table.sum(axis=1), axis=0)


def smoothed_ari(adata: ad.AnnData, *, neighbours: int) -> float:
    """Agreement with the truth of the simplest way: log, mean over neighbours, PCA, one mixture; mean of 3 starts."""
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_rand_score
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    counts = adata.X.toarray()
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * np.median(counts.sum(axis=1)))
    # the genes that vary more than counting makes them, as a choice of variable genes would find them
    excess = counts.var(axis=0) / (counts.mean(axis=0) + 1e-9)
    logged = logged[:, np.sort(np.argsort(-excess)[:800])]
    scaled = (logged - logged.mean(axis=0)) / (logged.std(axis=0) + 1e-9)
    if neighbours:
        near = cKDTree(adata.obsm["spatial"]).query(adata.obsm["spatial"], neighbours + 1)[1]
        scaled = sum(scaled[column] for column in near.T) / near.shape[1]
    truth = adata.obs["ground_truth"]
    mixtures = [GaussianMixture(truth.nunique(), covariance_type="tied", random_state=seed) for seed in range(3)]
    # matrices this small are several times slower on two threads when the cores are shared
    with threadpool_limits(1):
        features = PCA(20, svd_solver="randomized", random_state=0).fit_transform(scaled)
        return float(np.mean([adjusted_rand_score(truth, mixture.fit_predict(features)) for mixture in mixtures]))


@pytest.fixture(scope="module")
def cortex() -> ad.AnnData:
    return simulated()


@pytest.fixture(scope="module")
def tumour_cells() -> ad.AnnData:
    return simulated(layout="patches", platform="cells", species="mouse", random_state=3)


def test_default_is_a_visium_slice_of_cortex(cortex):
    assert cortex.shape == (3000, 2000)
    assert isinstance(cortex.X, csr_matrix)
    assert cortex.X.dtype == np.float32
    assert cortex.X.has_canonical_format
    assert (cortex.X.data % 1 == 0).all()
    assert cortex.X.data.min() >= 1
    assert cortex.obs_names.is_unique
    assert cortex.var_names.is_unique
    assert list(cortex.obs["ground_truth"].cat.categories) == [*(f"Layer{n}" for n in range(1, 7)), "WM"]
    assert cortex.obs["ground_truth"].notna().all()
    assert cortex.uns["notes"]["random_state"] == 0
    assert "says nothing about accuracy" in cortex.uns["notes"]["warning"]


def test_visium_geometry(cortex):
    row, column, spatial = cortex.obs["array_row"], cortex.obs["array_col"], cortex.obsm["spatial"]
    assert ((row + column) % 2 == 0).all()
    assert row.between(0, 77).all()
    assert column.between(0, 127).all()
    assert not pd.MultiIndex.from_arrays([row, column]).has_duplicates
    # pitch 100 um at 1.4 pixels a um: an inner spot has six neighbours at 140 pixels, and none nearer
    distance = cKDTree(spatial).query(spatial, 7)[0][:, 1:]
    assert distance.min() == pytest.approx(140)
    assert np.median(distance[:, 5]) == pytest.approx(140)
    # spots of 55 um
    assert cortex.uns["spatial"]["simulated"]["scalefactors"]["spot_diameter_fullres"] == pytest.approx(77)


def test_cells_are_jittered_and_of_uneven_density(tumour_cells):
    assert tumour_cells.shape == (3000, 300)
    assert "spatial" not in tumour_cells.uns
    assert set(tumour_cells.obs) == {"ground_truth", "cell_type"}
    nearest = cKDTree(tumour_cells.obsm["spatial"]).query(tumour_cells.obsm["spatial"], 7)[0]
    assert len(np.unique(nearest[:, 1].round(6))) > 1000  # no lattice
    crowding = pd.Series(nearest[:, 6]).groupby(tumour_cells.obs["ground_truth"].to_numpy()).median()
    assert crowding["Adipose"] > 1.3 * crowding["Tumour"]
    assert 0.5 * CELL_PITCH_UM < np.median(nearest[:, 1]) < 2 * CELL_PITCH_UM


def test_layers_follow_in_order(cortex):
    depth = pd.Series(cortex.obsm["spatial"][:, 1]).groupby(cortex.obs["ground_truth"].to_numpy()).median()
    assert depth.is_monotonic_increasing
    # thin layers are thin, thick layers thick
    share = cortex.obs["ground_truth"].value_counts(normalize=True)
    assert share["Layer3"] > 2 * share["Layer2"]
    # a border is no straight line: the first row of layer 3 lies deeper on one side than elsewhere
    layer3 = cortex.obs["ground_truth"] == "Layer3"
    edge = pd.Series(cortex.obsm["spatial"][layer3, 1]).groupby(cortex.obsm["spatial"][layer3, 0] // 800).min()
    assert edge.max() - edge.min() > 3 * 140


def test_patches_come_in_several_pieces():
    from scipy.sparse.csgraph import connected_components

    adata = simulated(layout="patches", n_genes=50)
    place = adata.obsm["spatial"]
    pairs = cKDTree(place).sparse_distance_matrix(cKDTree(place), 145).tocsr()
    pieces = [
        connected_components(pairs[inside][:, inside])[0]
        for domain in adata.obs["ground_truth"].cat.categories
        if (inside := np.flatnonzero(adata.obs["ground_truth"] == domain)).size
    ]
    assert len(pieces) == 6
    assert max(pieces) >= 2
    assert sum(pieces) < 40  # patches, not salt and pepper


def test_depth_is_realistic(cortex, tumour_cells):
    depth = cortex.X.sum(axis=1).A1
    assert 2600 < np.median(depth) < 3400
    assert 0.3 < np.log(depth).std() < 0.6
    depth = tumour_cells.X.sum(axis=1).A1
    assert 160 < np.median(depth) < 240
    assert depth.min() >= 1


def test_counts_are_overdispersed_and_zeros_follow_from_depth(cortex):
    inside = (cortex.obs["ground_truth"] == "Layer3").to_numpy()
    counts = cortex.X[inside].toarray()
    depth = counts.sum(axis=1)
    even = (depth > np.quantile(depth, 0.4)) & (depth < np.quantile(depth, 0.6))
    mean, variance = counts[even].mean(axis=0), counts[even].var(axis=0)
    plenty = mean > 3
    # gamma-Poisson: (variance - mean) / mean^2 is the dispersion, 0.15 and a little for what else varies
    dispersion = (variance[plenty] - mean[plenty]) / mean[plenty] ** 2
    assert 0.1 < np.median(dispersion) < 0.35
    # no zeros beyond those of that law
    expected = (1 + 0.15 * mean) ** (-1 / 0.15)
    assert abs((counts[even] == 0).mean() - expected.mean()) < 0.02


def test_mitochondrial_and_ribosomal_genes_lead(cortex):
    share = pd.Series(cortex.X.sum(axis=0).A1, index=cortex.var_names) / cortex.X.sum()
    mitochondrial = share[share.index.str.startswith("MT-")]
    assert len(mitochondrial) == 11
    assert 0.05 < mitochondrial.sum() < 0.3
    assert share.nlargest(5).index.str.startswith("MT-").any()


@pytest.mark.parametrize(
    ("gene", "domain"),
    [("PLP1", "WM"), ("MBP", "WM"), ("PCP4", "Layer5"), ("RORB", "Layer4"), ("NTNG2", "Layer6"), ("AQP4", "Layer1"),
     ("LAMP5", "Layer2"), ("ENC1", "Layer3")],
)  # fmt: skip
def test_markers_mark_their_layer(cortex, gene, domain):
    assert rates(cortex)[gene].idxmax() == domain


@pytest.mark.parametrize(
    ("gene", "domain"),
    [("Erbb2", "Tumour"), ("Col1a1", "Stroma"), ("Cd3d", "Immune"), ("Adipoq", "Adipose"), ("Krt5", "Ducts")],
)
def test_markers_mark_their_patch_in_mouse(tumour_cells, gene, domain):
    assert rates(tumour_cells)[gene].idxmax() == domain


def test_neuron_markers_tell_grey_from_white_matter(cortex):
    share = rates(cortex)["SNAP25"]
    assert share["WM"] < 0.5 * share[["Layer2", "Layer3", "Layer4", "Layer5", "Layer6"]].min()


def test_cell_types_carry_their_markers(tumour_cells):
    kinds = tumour_cells.obs["cell_type"]
    assert list(kinds.cat.categories) == list(TUMOUR_MARKERS)
    share = pd.DataFrame(tumour_cells.X.toarray(), columns=tumour_cells.var_names).groupby(kinds.to_numpy()).mean()
    assert share["Col1a1"].idxmax() == "Fibroblast"
    assert share["Adipoq"].idxmax() == "Adipocyte"
    assert tumour_cells.var.loc["Adipoq", "marker_of"] == "Adipocyte"
    assert tumour_cells.var["marker_of"].isna().any()


@pytest.mark.parametrize(
    ("layout", "platform"), [("layers", "visium"), ("patches", "visium"), ("layers", "cells"), ("patches", "cells")]
)
def test_neither_trivial_nor_impossible(layout, platform):
    adata = simulated(layout=layout, platform=platform, random_state=1)
    alone = smoothed_ari(adata, neighbours=0)
    together = smoothed_ari(adata, neighbours=6 if platform == "visium" else 18)
    assert alone < 0.45
    assert 0.55 < together < 0.95
    assert together - alone > 0.25


def test_same_seed_same_bytes():
    one, two, other = (simulated(n_spots=300, n_genes=100, random_state=seed) for seed in (5, 5, 6))
    for part in ("data", "indices", "indptr"):
        assert getattr(one.X, part).tobytes() == getattr(two.X, part).tobytes()
    assert one.obsm["spatial"].tobytes() == two.obsm["spatial"].tobytes()
    pd.testing.assert_frame_equal(one.obs, two.obs)
    assert not np.array_equal(one.X.toarray(), other.X.toarray())
    assert list(one.var_names) == list(other.var_names)


def test_nobody_elses_random_numbers_are_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is looked at
    simulated(n_spots=200, n_genes=50)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("platform", ["visium", "cells"])
@pytest.mark.parametrize(("layout", "most"), [("layers", 7), ("patches", 8)])
def test_every_number_of_domains(layout, most, platform):
    for n_domains in range(2, most + 1):
        for seed in range(3):
            adata = simulated(
                n_spots=20 * n_domains,
                n_genes=20,
                n_domains=n_domains,
                layout=layout,
                platform=platform,
                random_state=seed,
            )
            assert adata.obs["ground_truth"].nunique() == n_domains
            assert adata.n_obs == 20 * n_domains
            assert adata.X.sum(axis=1).min() >= 1


def test_fewer_layers_are_the_deepest():
    adata = simulated(n_spots=200, n_genes=50, n_domains=5)
    assert list(adata.obs["ground_truth"].cat.categories) == ["Layer3", "Layer4", "Layer5", "Layer6", "WM"]


@pytest.mark.parametrize("n_spots", [4992, 6000])
def test_array_grows_at_need(n_spots):
    adata = simulated(n_spots=n_spots, n_genes=20)
    assert adata.n_obs == n_spots
    assert (adata.obs["array_row"].max() <= 77) == (n_spots == 4992)


def test_memory_grows_with_the_counts_and_not_with_the_dense_matrix():
    simulated(n_spots=200, platform="cells")  # imports are not to be counted
    peaks = {}
    for n_spots in (40_000, 80_000):
        tracemalloc.start()
        adata = simulated(n_spots=n_spots, platform="cells", progress=False)
        peaks[n_spots] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    held = adata.X.data.nbytes + adata.X.indices.nbytes
    assert peaks[80_000] < peaks[40_000] + 1.5 * held
    assert peaks[80_000] - peaks[40_000] < 40_000 * 300 * 8


@pytest.mark.parametrize("platform", ["visium", "cells"])
def test_result_can_be_written_and_read(platform, tmp_path):
    adata = simulated(n_spots=200, n_genes=50, platform=platform)
    adata.write_h5ad(tmp_path / "tissue.h5ad")
    back = ad.read_h5ad(tmp_path / "tissue.h5ad")
    pd.testing.assert_frame_equal(back.obs, adata.obs)
    pd.testing.assert_frame_equal(back.var, adata.var)
    np.testing.assert_array_equal(back.X.toarray(), adata.X.toarray())
    assert back.uns["notes"]["platform"] == platform


def test_all_problems_at_once():
    with pytest.raises(
        ValueError, match=r"(?s)n_domains must be from 2 to 7.*got 9.*n_genes must be from 20 to 3000, got 5.*n_spots"
    ):
        simulated(n_spots=10, n_genes=5, n_domains=9)
    with pytest.raises(
        ValueError, match=r"layout must be one of 'layers', 'patches'; got 'rings'.*species .* got 'rat'"
    ):
        simulated(layout="rings", species="rat")
    with pytest.raises(ValueError, match=r"layout must be one of 'layers', 'patches'; got \['layers'\]"):
        simulated(layout=["layers"])
    with pytest.raises(ValueError, match=r"layout must be one of .* n_spots must be at least 40 .* got 1\."):
        simulated(layout="rings", n_spots=1)
    with pytest.raises(ValueError, match="n_genes must be from 20 to 2913, got 3000"):
        simulated(platform="cells", n_genes=3000)
    with pytest.raises(ValueError, match="n_spots must be at least 140 "):
        simulated(n_spots=139)
    with pytest.raises(ValueError, match="random_state must not be negative"):
        simulated(random_state=-1)
    with pytest.raises(TypeError, match=r"n_spots must be a whole number, got 1000\.0\. n_genes .* got True"):
        simulated(n_spots=1000.0, n_genes=True)


def test_symbols_are_real_in_both_species():
    table = pd.DataFrame(symbol_table(), columns=["human", "mouse"])
    assert len(table) == 3000
    assert table["human"].is_unique
    assert table["mouse"].is_unique
    assert not table.apply(lambda column: column.str.contains(r"\s|^$")).any().any()
    # HGNC writes capitals, but for the "orf" of genes without a name; MGI a capital first, but for mitochondrial genes
    assert table["human"].str.fullmatch(r"[A-Z0-9-]+(orf[0-9]+[A-Z]?)?").all()
    assert table["mouse"].str.fullmatch(r"(mt-)?[A-Z0-9][A-Za-z0-9-]*").all()
    pairs = dict(table.to_numpy())
    assert [pairs[gene] for gene in ("MT-CYB", "PLP1", "CA9")] == ["mt-Cytb", "Plp1", "Car9"]


@pytest.mark.parametrize("tissue", [CORTEX, TUMOUR])
def test_tissues_are_sound(tissue):
    human = {gene for gene, _ in symbol_table()}
    for kind, genes in tissue.markers.items():
        assert set(genes) <= human, kind
        assert len(set(genes)) == len(genes) >= 6
    for name, mixture in tissue.domains.items():
        assert sum(mixture.values()) == pytest.approx(1), name
        assert set(mixture) <= set(tissue.markers)
    assert set(tissue.size) == set(tissue.density) == set(tissue.domains)
    # no two domains are alike
    mixtures = tissue.composition(list(tissue.domains))
    assert len(np.unique(mixtures, axis=0)) == len(mixtures)


def test_few_genes_are_shared_out_over_the_cell_types():
    genes = choose_genes(CORTEX_MARKERS, n_genes=20, species="human", panel=True)
    assert set(genes.marker_of) >= set(CORTEX_MARKERS) - {None}
    assert genes.symbols == sorted(genes.symbols)


def test_a_gene_has_the_same_level_however_many_are_chosen():
    few = choose_genes(CORTEX_MARKERS, n_genes=100, species="human", panel=False)
    many = choose_genes(CORTEX_MARKERS, n_genes=1500, species="human", panel=False)
    place = [many.symbols.index(gene) for gene in few.symbols]
    np.testing.assert_array_equal(few.levels, many.levels[:, place])


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 4992), seed=st.integers(0, 1000), squareness=st.sampled_from([2.0, 3.0, 6.0]))
def test_outline_keeps_exactly_so_many(n, seed, squareness):
    places = visium_array(n)[2]
    outline = Outline.draw(np.random.default_rng(seed), squareness=squareness)
    chosen = outline.innermost(places, n)
    assert len(chosen) == n
    assert (np.diff(chosen) > 0).all()


def test_thinning_follows_the_density():
    density = np.repeat([1.0, 0.25], 20_000)
    chosen = thin_out(np.random.default_rng(0), density, 5_000)
    assert len(np.unique(chosen)) == 5_000
    assert (chosen < 20_000).mean() == pytest.approx(0.8, abs=0.03)
    assert list(thin_out(np.random.default_rng(0), np.ones(3), 3)) == [0, 1, 2]


def test_a_panel_may_have_all_genes_that_panels_have():
    assert simulated(platform="cells", n_genes=2913, n_spots=150, progress=False).shape == (150, 2913)
