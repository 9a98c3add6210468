"""The semantic control: arms that differ in meaning alone, measures worked out by hand, a verdict for each case."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import semst
from semst._problems import MOST_SEED
from semst.control import _arms as arms
from semst.control._arms import ARMS, deal, explained_unseen, permuted
from semst.control._verdict import MEASURES, differences, verdict
from semst.pp._graphs import spatial_graph
from semst.pp._pool import Pooling, pool
from semst.tl._semantic_control import semantic_control

DOMAINS = 3
FEW = {"n_clusters": DOMAINS, "seeds": 2, "epochs": 2, "progress": False}
KEY = "semantic_control"


@pytest.fixture(scope="module")
def tissue() -> ad.AnnData:
    adata = semst.datasets.simulated(n_spots=400, n_genes=200, n_domains=DOMAINS, random_state=1, progress=False)
    semst.pp.gene_semantics(adata)
    return adata


@pytest.fixture(scope="module")
def controlled(tissue) -> ad.AnnData:
    return semantic_control(tissue, labels="ground_truth", copy=True, **FEW)


@pytest.fixture
def seen(monkeypatch) -> list:
    """What every run is given; domains are bands of the tissue, drawn by the seed, so that nothing is trained."""
    given_to = []

    def bands(tissue, setting, *, seed):
        given_to.append((seed, tissue))
        x = setting.coordinates[:, 0] + np.random.default_rng(seed).normal(scale=20, size=len(setting.coordinates))
        return np.searchsorted(np.quantile(x, np.arange(1, setting.n_clusters) / setting.n_clusters), x)

    monkeypatch.setattr(arms, "domains", bands)
    return given_to


# The arms


def test_large_tissue_is_trained_in_tiles_and_judged_on_a_sample(tissue, large_above):
    large_above(150, tile=100)
    found = semantic_control(tissue, labels="ground_truth", copy=True, **FEW).uns[KEY]["runs"]
    assert list(found["arm"]) == [arm for arm in ARMS for _ in range(2)]
    assert np.isfinite(found[["stability", "held_out", "ari"]].to_numpy()).all()


def test_permuted_vectors_are_the_same_vectors_of_other_genes(tissue):
    vectors = tissue.varm["gene_semantics"].copy()
    vectors[::7] = 0  # genes without a vector
    meaning = Pooling(vectors.copy())
    dealt = permuted(meaning, 4)
    known = meaning.known
    assert 10 < known.sum() < known.size
    np.testing.assert_array_equal(dealt.known, known)
    assert sorted(map(bytes, dealt.vectors[known])) == sorted(map(bytes, meaning.vectors[known]))
    moved = (dealt.vectors[known] != meaning.vectors[known]).any(axis=1)
    assert moved.mean() > 0.95
    assert (dealt.vectors != permuted(meaning, 5).vectors).any()
    np.testing.assert_array_equal(dealt.vectors, permuted(meaning, 4).vectors)
    np.testing.assert_array_equal(meaning.vectors, vectors)


def test_the_permutation_is_that_of_the_benchmarks(tissue):
    vectors = tissue.varm["gene_semantics"].copy()
    known = np.flatnonzero(vectors.any(axis=1))
    vectors[known] = vectors[np.random.default_rng(1000 + 7).permutation(known)]
    np.testing.assert_array_equal(permuted(Pooling(tissue.varm["gene_semantics"]), 7).vectors, vectors)


def test_arms_of_a_seed_differ_in_meaning_alone(tissue, seen):
    semantic_control(tissue.copy(), **FEW)
    assert [seed for seed, _ in seen] == [0, 0, 0, 1, 1, 1]
    for first in (0, 3):
        true, permuted, none = (each for _, each in seen[first : first + 3])
        for other in (permuted, none):
            assert (true.counts != other.counts).nnz == 0
            assert (true.graph != other.graph).nnz == 0
            np.testing.assert_array_equal(true.genes, other.genes)
        assert none.semantics is None
        assert true.semantics.shape == permuted.semantics.shape == (tissue.n_obs, 128)
        assert not np.allclose(true.semantics, permuted.semantics)
        assert (tissue.X - true.counts).min() >= 0
        assert 0.85 < true.counts.sum() / tissue.X.sum() < 0.95
    assert (seen[0][1].counts != seen[3][1].counts).nnz > 0
    assert not np.allclose(seen[1][1].semantics, seen[4][1].semantics)


def test_spots_get_their_vectors_from_the_molecules_that_are_seen(tissue, seen):
    own = tissue.copy()
    semst.pp.gene_semantics(own, weights="raw", n_top=5, key_added="own")
    semantic_control(own, semantics_key="own", **FEW)
    training = seen[0][1]
    vectors = own.varm["own"]
    expected = pool(training.counts, vectors, vectors.any(axis=1), weights="raw", n_top=5)
    np.testing.assert_array_equal(training.semantics, expected)
    assert not np.allclose(training.semantics, own.obsm["own"])


def test_gene_vectors_may_be_sparse(tissue, seen):
    own = tissue.copy()
    own.varm["gene_semantics"] = sparse.csr_matrix(own.varm["gene_semantics"])
    for each in (own, tissue.copy()):
        semantic_control(each, **FEW)
    np.testing.assert_array_equal(seen[0][1].semantics, seen[len(seen) // 2][1].semantics)


def test_an_arm_finds_the_domains_of_cluster(tissue, monkeypatch):
    """The same counts and vectors, through the public verb."""
    found = {}
    original = arms.domains

    def keep(*args, **kwargs):
        labels = original(*args, **kwargs)
        found.setdefault((kwargs["seed"], len(found)), (args[0], labels))
        return labels

    monkeypatch.setattr(arms, "domains", keep)
    semantic_control(tissue, copy=True, random_state=3, **FEW)
    for (seed, number), (given_to, labels) in list(found.items())[:3]:
        seen_part = ad.AnnData(given_to.counts, obs=tissue.obs.copy(), var=tissue.var.copy())
        seen_part.obsm["spatial"] = tissue.obsm["spatial"]
        key = None
        if given_to.semantics is not None:
            key = "given"
            seen_part.obsm[key] = given_to.semantics
        semst.tl.cluster(seen_part, n_clusters=DOMAINS, semantics_key=key, epochs=2, random_state=seed, progress=False)
        assert adjusted_rand_score(labels, seen_part.obs["semst"]) == 1, ARMS[number]


def test_dealt_molecules_add_up_and_no_spot_is_left_empty():
    values = np.random.default_rng(0).poisson(0.1, (300, 8)).astype(np.float32)
    values[:, 0] = 1  # many spots have this one molecule
    counts = sparse.csr_matrix(values)
    before = counts.copy()
    training, unseen = deal(counts, 0.4, generator=np.random.default_rng(1))
    assert (training + unseen != before).nnz == 0
    assert (counts != before).nnz == 0
    assert training.sum(axis=1).min() > 0
    assert min(training.data.min(), unseen.data.min()) >= 1
    assert training.dtype == unseen.dtype == np.float32
    lone = values.sum(axis=1) == 1
    assert lone.sum() > 100
    assert unseen[lone].nnz == 0
    assert 0.2 < unseen[~lone].sum() / counts[~lone].sum() < 0.4  # less than 0.4: some kept what they would have lost


def test_held_out_counts_worked_out_by_hand():
    labels = np.array([0, 0, 1])
    training = sparse.csr_matrix(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 2.5]]))
    unseen = sparse.csr_matrix(np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0]]))
    # With half a count added: domain 0 has 2 and 1, domain 1 has 0.5 and 3; together 2.5 and 4 of 6.5.
    gain = 3 * np.log((2 / 3) / (2.5 / 6.5)) + np.log((1 / 3) / (4 / 6.5)) + 2 * np.log((3 / 3.5) / (4 / 6.5))
    assert explained_unseen(labels, training, unseen) == pytest.approx(gain / 6)


def test_domains_of_noise_explain_nothing_that_was_not_seen():
    """The measure of tl.cluster, which learns from what it judges, is fooled by few molecules of many genes."""
    from semst.partitions._judges import explained

    rng = np.random.default_rng(0)
    training, unseen = deal(sparse.csr_matrix(rng.poisson(0.2, (200, 500)).astype(np.float32)), 0.1, generator=rng)
    labels = rng.integers(4, size=200)
    assert explained(labels, unseen) > 0.05
    assert explained_unseen(labels, training, unseen) < 0


@given(st.integers(0, 1000), st.integers(1, 5))
@settings(max_examples=30)
def test_one_domain_explains_nothing_and_names_do_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    training, unseen = (sparse.csr_matrix(rng.poisson(2.0, (20, 4)).astype(np.float32)) for _ in range(2))
    assert explained_unseen(np.zeros(20, dtype=np.int64), training, unseen) == pytest.approx(0, abs=1e-12)
    labels = rng.integers(n, size=20)
    renamed = rng.permutation(n)[labels]
    assert explained_unseen(labels, training, unseen) == pytest.approx(explained_unseen(renamed, training, unseen))


def test_stability_and_agreement_are_over_other_seeds():
    runs = pd.DataFrame({"arm": ["semantics", "permuted"] * 3, "seed": [0, 0, 1, 1, 2, 2]})
    index = np.arange(36.0).reshape(6, 6)
    index = (index + index.T) / 100
    alike = arms._alike(runs, index)
    assert alike["stability"][0] == pytest.approx((index[0, 2] + index[0, 4]) / 2)
    assert alike["stability"][3] == pytest.approx((index[3, 1] + index[3, 5]) / 2)
    assert alike["agreement"][3] == pytest.approx((index[3, 0] + index[3, 4]) / 2)
    np.testing.assert_array_equal(alike["agreement"][::2], alike["stability"][::2])


# What is written


def test_it_writes_what_it_says_and_nothing_else(tissue, controlled):
    result = controlled.uns[KEY]
    assert set(result) == {
        *("verdict", "answer", "runs", "differences", "params", "n_permuted", "device", "versions"),
    }
    runs, table = result["runs"], result["differences"]
    columns = ["arm", "seed", "stability", "agreement", "held_out", "pas", "chaos", "ari"]
    assert list(runs) == columns
    assert list(runs["arm"]) == [arm for arm in ARMS for _ in range(2)]
    assert list(runs["arm"].cat.categories) == list(ARMS)
    assert list(runs["seed"]) == [0, 1] * 3
    assert runs["seed"].dtype == np.int64
    assert {str(runs[name].dtype) for name in columns[2:]} == {"float64"}
    assert np.isfinite(runs[columns[2:]]).all(axis=None)
    assert runs["ari"].min() > 0.3  # a broken arm would not find planted layers
    assert list(table["control"].astype(str)) == ["permuted"] * 5 + ["none"] * 5
    assert list(table["measure"].astype(str)) == list(MEASURES) * 2
    assert result["n_permuted"] == tissue.uns["gene_semantics"]["coverage"]["n_with_vector"]
    assert result["params"]["labels"] == "ground_truth"
    assert result["answer"] == "unclear"  # two seeds leave stability without an error
    assert verdict(runs) == (result["answer"], result["verdict"])
    _assert_same(controlled, tissue, but=KEY)


def test_same_seed_same_bytes_and_labels_only_score(tissue, controlled):
    expected = controlled.uns[KEY]["runs"]
    unlabelled = tissue.copy()
    del unlabelled.obs["ground_truth"]
    again = semantic_control(unlabelled, copy=True, **FEW)
    pd.testing.assert_frame_equal(again.uns[KEY]["runs"], expected.drop(columns="ari"), check_exact=True)


def test_the_first_seed_is_random_state(tissue, seen):
    result = semantic_control(tissue, copy=True, **{**FEW, "random_state": 5, "seeds": 3}).uns[KEY]
    assert list(result["runs"]["seed"]) == [5, 6, 7] * 3
    assert [seed for seed, _ in seen[::3]] == [5, 6, 7]


def test_missing_vectors_are_made_announced_and_not_kept(tissue, seen, caplog):
    bare = tissue.copy()
    del bare.varm["gene_semantics"], bare.obsm["gene_semantics"], bare.uns["gene_semantics"]
    with caplog.at_level(logging.INFO, logger="semst"):
        semantic_control(bare, **FEW)
    assert "no gene vectors in varm['gene_semantics']" in caplog.text
    assert "gene_semantics" not in bare.varm
    assert "gene_semantics" not in bare.obsm
    with_own = semantic_control(tissue, copy=True, **FEW)
    pd.testing.assert_frame_equal(bare.uns[KEY]["runs"], with_own.uns[KEY]["runs"])
    np.testing.assert_allclose(seen[0][1].semantics, seen[6][1].semantics, rtol=1e-6)


def test_genes_that_nobody_knows_are_told_by_the_verb_that_was_called(tissue):
    bare = ad.AnnData(tissue.X.copy(), obsm={"spatial": tissue.obsm["spatial"].copy()})
    with pytest.raises(
        ValueError, match=r"semst.tl.semantic_control: no gene has a vector.*there is nothing to test\."
    ):
        semantic_control(bare, **FEW)


def test_counts_from_a_layer(tissue, seen):
    moved = tissue.copy()
    moved.layers["counts"] = moved.X.copy()
    moved.X = moved.X * 0.5
    semst.pp.gene_semantics(moved, layer="counts")
    semantic_control(moved, layer="counts", **FEW)
    expected = semantic_control(tissue, copy=True, **FEW)
    pd.testing.assert_frame_equal(moved.uns[KEY]["runs"], expected.uns[KEY]["runs"])


def test_spatialdata(tissue, as_spatialdata, seen):
    cells = tissue.copy()
    del cells.uns["spatial"]
    cells.obsp["spatial_connectivities"] = spatial_graph(cells, cells.obsm["spatial"])
    sdata = as_spatialdata(cells)
    semantic_control(sdata, labels="ground_truth", key_added="control", **FEW)
    expected = semantic_control(cells, labels="ground_truth", copy=True, **FEW)
    pd.testing.assert_frame_equal(sdata["table"].uns["control"]["runs"], expected.uns[KEY]["runs"])
    copied = semantic_control(sdata, copy=True, **FEW)
    assert KEY in copied["table"].uns
    assert KEY not in sdata["table"].uns


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_can_be_written_and_read(controlled, tmp_path, form):
    path = tmp_path / f"result.{form}"
    getattr(controlled, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path).uns[KEY]
    here = controlled.uns[KEY]
    for name in ("runs", "differences"):
        pd.testing.assert_frame_equal(
            back[name].reset_index(drop=True), here[name], check_categorical=False, check_index_type=False
        )
    assert (back["verdict"], back["answer"]) == (here["verdict"], here["answer"])
    assert verdict(back["runs"]) == (here["answer"], here["verdict"])


# What is refused


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"n_clusters": None}, ValueError, "n_clusters must be a whole number of at least 2, got None"),
        ({"n_clusters": 1}, ValueError, "n_clusters must be a whole number of at least 2"),
        ({"seeds": 1}, ValueError, "seeds must be a whole number of at least 2, got 1; one run has no spread"),
        ({"seeds": 2.0}, ValueError, "seeds must be a whole number"),
        ({"seeds": True}, ValueError, "seeds must be a whole number"),
        ({"held_out": 0.9}, ValueError, "held_out must be a share of the molecules from 0.01 to 0.5, got 0.9"),
        ({"held_out": float("nan")}, ValueError, "held_out must be a share"),
        ({"held_out": 1}, ValueError, "held_out must be a share"),
        ({"labels": "layer"}, KeyError, r"no labels obs\['layer'\]"),
        ({"labels": "in_tissue"}, ValueError, "must hold at least two labels, got '1'"),
        ({"semantics_key": "mine"}, KeyError, "gene_semantics.adata, key_added='mine'"),
        ({"layer": "raw"}, KeyError, "no layer 'raw'"),
        ({"spatial_key": "X_umap"}, KeyError, r"obsm\['X_umap'\] is missing"),
        ({"epochs": 0}, ValueError, "epochs must be a whole number of at least 1"),
        ({"device": "abacus"}, ValueError, "device 'abacus' cannot be used here"),
        ({"key_added": "a/b"}, ValueError, "key_added must be made of letters"),
        ({"key_added": "spatial"}, ValueError, "is a name that coordinates or semantics have"),
        ({"random_state": MOST_SEED - 1, "seeds": 3}, ValueError, "leaves no room for 3 seeds.* take a lower one"),
        ({"random_state": np.int32(MOST_SEED)}, ValueError, "leaves no room for 2 seeds"),
        ({"random_state": -1}, ValueError, "random_state must be a whole number"),
        ({"table_key": "table"}, ValueError, "only applies to SpatialData"),
    ],
)
def test_wrong_arguments(tissue, options, kind, message):
    adata = tissue.copy()
    with pytest.raises(kind, match=message):
        semantic_control(adata, **{**FEW, **options})
    _assert_same(adata, tissue)


def _only_spots(adata):
    del adata.varm["gene_semantics"]


def _infinite_vectors(adata):
    adata.varm["gene_semantics"][0, 0] = np.inf


def _few_vectors(adata):
    adata.varm["gene_semantics"][9:] = 0


def _pooled_elsewhere(adata):
    adata.uns["gene_semantics"]["params"]["layer"] = "counts"


def _few_molecules(adata):
    adata.X = sparse.csr_matrix(np.eye(*adata.shape, dtype=np.float32) + np.eye(*adata.shape, k=-adata.n_vars))


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (_only_spots, KeyError, "nothing to permute among genes; make some with"),
        (_infinite_vectors, ValueError, r"varm\['gene_semantics'\] must be a finite matrix"),
        (_few_vectors, ValueError, "at least 10 genes with a vector are needed to permute them, got"),
        (_pooled_elsewhere, ValueError, r"was pooled from layers\['counts'\], but the counts are those of X"),
        (_few_molecules, ValueError, "about 0 molecules would be held out.*raise `held_out`"),
    ],
)
def test_spoilt_data(tissue, spoil, kind, message):
    adata = tissue.copy()
    spoil(adata)
    before = adata.copy()
    with pytest.raises(kind, match=message):
        semantic_control(adata, **FEW)
    _assert_same(adata, before)


def test_all_problems_in_one_error(tissue):
    adata = tissue.copy()
    adata.obsm["spatial"][3, 0] = np.nan
    _infinite_vectors(adata)
    with pytest.raises(ValueError, match="(?s)5 problems.*seeds.*labels.*finite matrix.*n_top_genes.*coordinates"):
        semantic_control(adata, n_clusters=3, seeds=0, labels="nobody", n_top_genes=0)


def test_too_small_tissue(tissue):
    with pytest.raises(ValueError, match="at least 11 spots are needed"):
        semantic_control(tissue[:10].copy(), **FEW)


def test_too_little_of_several_things_is_told_at_once(tissue):
    few = tissue[:10].copy()
    _few_vectors(few)
    few.X = few.X.minimum(1)
    with pytest.raises(ValueError, match="(?s)4 problems.*seeds.*11 spots.*molecules would be held out.*10 genes with"):
        semantic_control(few, **{**FEW, "seeds": 1, "held_out": 0.01})


def test_a_slice_too_small_is_told_beside_other_problems(slices):
    with pytest.raises(ValueError, match="(?s)2 problems.*seeds.*at least 11 spots .* in each slice .*, got 10"):
        semantic_control(slices[:410].copy(), batch_key="slice", **{**FEW, "seeds": 1})


def test_counts_that_cannot_be_are_not_counted(tissue):
    logged = tissue.copy()
    logged.X = logged.X * 1e-9
    with pytest.raises(ValueError, match="whole numbers") as told:
        semantic_control(logged, **FEW)
    assert "held out" not in str(told.value)


def test_the_highest_seed_may_be_the_last(tissue, seen):
    semantic_control(tissue, copy=True, **FEW, random_state=np.int32(MOST_SEED - 1))
    assert {seed for seed, _ in seen} == {MOST_SEED - 1, MOST_SEED}


def test_a_view_of_a_file_is_refused_before_any_work(tissue, seen, tmp_path):
    tissue.write_h5ad(tmp_path / "tissue.h5ad")
    part = ad.read_h5ad(tmp_path / "tissue.h5ad", backed="r")[:300]
    with pytest.raises(ValueError, match="(?s)2 problems.*seeds.*written into a view of a backed AnnData"):
        semantic_control(part, **{**FEW, "seeds": 1})
    assert seen == []
    assert KEY in semantic_control(part, copy=True, **FEW).uns


@pytest.mark.parametrize("key", ["gene_semantics", "own"])
def test_the_name_of_semantics_is_refused(tissue, key):
    """Also where `uns` has nothing under it."""
    adata = tissue.copy()
    adata.varm["own"] = adata.varm["gene_semantics"]
    del adata.varm["gene_semantics"], adata.obsm["gene_semantics"], adata.uns["gene_semantics"]
    options = {"semantics_key": "own"} if key == "own" else {}
    with pytest.raises(ValueError, match=f"key_added='{key}' is a name that coordinates or semantics have"):
        semantic_control(adata, key_added=key, **options, **FEW)
    assert key not in adata.uns


def test_not_anndata():
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got DataFrame"):
        semantic_control(pd.DataFrame(), n_clusters=2)


def test_interruption_leaves_the_object_alone(tissue, monkeypatch):
    runs = iter([np.arange(tissue.n_obs) % DOMAINS] * 4)

    def interrupted(*_, **__):
        for labels in runs:
            return labels
        raise KeyboardInterrupt

    monkeypatch.setattr(arms, "domains", interrupted)
    adata = tissue.copy()
    with pytest.raises(KeyboardInterrupt):
        semantic_control(adata, **FEW)
    _assert_same(adata, tissue)


# What is said


def table_of(n=4, *, shift=None, noise=0.002, agreement=None, random_state=0, labels=True):
    """Runs whose arms differ by ``shift[(arm, measure)]`` and a little noise."""
    rng = np.random.default_rng(random_state)
    level = {"stability": 0.8, "held_out": 0.1, "pas": 0.1, "chaos": 0.1, "ari": 0.5}
    rows = []
    for arm in ARMS:
        for seed in range(n):
            row = {"arm": arm, "seed": seed}
            for name, value in level.items():
                scale = value if MEASURES[name].relative else 1.0
                row[name] = value + scale * noise * rng.normal() + (shift or {}).get((arm, name), 0.0)
            row["agreement"] = row["stability"] if agreement is None or arm != "permuted" else agreement
            rows.append(row)
    runs = pd.DataFrame(rows)
    return runs if labels else runs.drop(columns="ari")


def test_no_change():
    answer, words = verdict(table_of())
    assert answer == "no change"
    assert words.startswith("meaning does not change the domains here: ")
    assert "rests on 4 seeds of this one tissue" in words
    assert "the intervals against one control hold together with 95 %" in words
    assert "never goes below p = 0.12" in words


@pytest.mark.parametrize("labels", [True, False])
def test_helps_and_harms(labels):
    for sign, answer in ((1, "helps"), (-1, "harms")):
        found, words = verdict(table_of(shift={("semantics", "held_out"): sign * 0.02}, labels=labels))
        assert found == answer
        assert words.startswith(f"meaning {answer}: held-out explained counts {'+' if sign > 0 else '-'}")
        assert "against permuted gene vectors, held-out" in words
        assert "PAS" not in words


@pytest.mark.parametrize("name", MEASURES)
def test_less_is_better_for_incoherence_alone(name):
    answer, _ = verdict(table_of(shift={("semantics", name): 0.2}))
    assert answer == ("harms" if name in {"pas", "chaos"} else "helps")


def test_better_than_wrong_meaning_but_not_than_none_is_no_help():
    answer, words = verdict(table_of(shift={("permuted", "held_out"): -0.02}))
    assert answer == "mixed"
    assert words.startswith("meaning changes the domains here, but neither plainly helps nor harms: held-out")
    assert "(better) against permuted gene vectors" in words


def test_better_than_none_with_any_vectors_is_no_meaning():
    assert verdict(table_of(shift={("none", "ari"): -0.2}))[0] == "no change"


def test_better_here_and_worse_there_is_mixed():
    shift = {("semantics", "held_out"): 0.02, ("semantics", "ari"): -0.1}
    answer, words = verdict(table_of(shift=shift))
    assert answer == "mixed"
    assert "(better)" in words
    assert "ARI -0.1" in words


def test_domains_that_differ_though_no_measure_does_are_unclear():
    assert verdict(table_of(agreement=0.4))[0] == "unclear"
    assert verdict(table_of(agreement=0.78))[0] == "no change"


def test_seeds_that_scatter_are_unclear():
    answer, words = verdict(table_of(noise=0.2))
    assert answer == "unclear"
    assert words.startswith("these seeds cannot tell whether meaning changes the domains here: ")


def test_two_seeds_never_say_no_change():
    answer, words = verdict(table_of(2))
    assert answer == "unclear"
    assert "stability" in words.split("held-out")[0]
    assert "±" not in words.split("held-out")[0]
    assert np.isnan(differences(table_of(2)).query("measure == 'stability'")["error"]).all()


def test_many_seeds_need_no_apology():
    assert "So few" not in verdict(table_of(6))[1]


def test_a_sure_difference_too_small_to_matter_is_none():
    runs = table_of(noise=0, shift={("semantics", "ari"): 0.015})
    row = differences(runs).query("control == 'permuted' and measure == 'ari'").iloc[0]
    assert row["low"] > 0
    assert row["says"] == "open"
    assert verdict(runs)[0] == "no change"


def test_the_order_of_rows_does_not_matter():
    runs = table_of(noise=0.05)
    shuffled = runs.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(differences(runs), differences(shuffled))
    assert verdict(runs) == verdict(shuffled)


def test_intervals_worked_out_by_hand():
    runs = table_of(3, labels=False)
    runs.loc[runs["arm"] == "semantics", "held_out"] = [0.13, 0.12, 0.14]
    runs.loc[runs["arm"] != "semantics", "held_out"] = 0.1
    row = differences(runs).query("control == 'permuted' and measure == 'held_out'").iloc[0]
    assert row["difference"] == pytest.approx(0.03)
    assert row["sd"] == pytest.approx(0.01)
    assert row["error"] == pytest.approx(0.01 / np.sqrt(3))
    # Two degrees of freedom, 0.05 / 4 in both tails: Student's quantile is (2 p - 1) / sqrt(2 p (1 - p)).
    p = 1 - 0.05 / 8
    half = (2 * p - 1) / np.sqrt(2 * p * (1 - p)) * 0.01 / np.sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx((0.03 - half, 0.03 + half))
    assert row["matters"] == pytest.approx(0.002)
    assert row["n_better"] == 3
    assert half > 0.03  # three seeds in a row are not enough for so many measures
    assert row["says"] == "open"


def test_the_error_of_stability_is_that_of_the_jackknife():
    """Leave out each seed with all pairs that it is in."""
    n = 5
    pairs = np.random.default_rng(0).random((2, n, n))
    pairs = np.triu(pairs, 1) + np.triu(pairs, 1).transpose(0, 2, 1)
    runs = table_of(n)
    for arm, values in zip(ARMS, pairs, strict=False):
        runs.loc[runs["arm"] == arm, "stability"] = values.sum(axis=1) / (n - 1)
    difference = pairs[0] - pairs[1]
    without = [np.delete(np.delete(difference, i, 0), i, 1).sum() / ((n - 1) * (n - 2)) for i in range(n)]
    jackknife = np.sqrt((n - 1) / n * np.square(without - np.mean(without)).sum())
    row = differences(runs).query("control == 'permuted' and measure == 'stability'").iloc[0]
    assert row["error"] == pytest.approx(jackknife)


def test_meaningless_vectors_are_seldom_said_to_help_or_harm():
    """All arms from one distribution whose scatter is far above what matters."""
    said = [verdict(table_of(3, noise=0.1, random_state=seed))[0] for seed in range(200)]
    assert np.isin(said, ["helps", "harms", "mixed"]).mean() <= 0.07


def test_real_tissue(real_file):
    adata = ad.read_h5ad(real_file("starmap_mpfc_BZ5"))
    semantic_control(adata, n_clusters=4, seeds=2, labels="ground_truth", epochs=2, progress=False)
    runs = adata.uns[KEY]["runs"]
    assert runs["ari"].min() > 0.6
    assert runs["held_out"].min() > 0.05
    assert adata.uns[KEY]["answer"] == "unclear"
    assert "gene_semantics" not in adata.varm


def _assert_same(adata, before, *, but=None):
    np.testing.assert_array_equal(adata.X.toarray(), before.X.toarray())
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    pd.testing.assert_frame_equal(adata.var, before.var)
    for name in ("obsm", "varm", "obsp", "layers", "uns"):
        assert [key for key in getattr(adata, name) if key != but] == list(getattr(before, name))
    for name in ("obsm", "varm"):
        for key in getattr(before, name):
            np.testing.assert_array_equal(getattr(adata, name)[key], getattr(before, name)[key])


def test_what_semst_did_not_write_is_not_replaced(tissue):
    adata = tissue.copy()
    adata.uns["notes"] = {"by": "me"}
    with pytest.raises(ValueError, match=r"take the place of uns\['notes'\], which is no earlier result of semst"):
        semantic_control(adata, key_added="notes", **FEW)
    assert adata.uns["notes"] == {"by": "me"}


def test_it_can_be_run_again(controlled, seen):
    adata = controlled.copy()
    semantic_control(adata, **FEW)
    assert "runs" in adata.uns["semantic_control"]


# Several slices


@pytest.fixture(scope="module")
def slices(tissue) -> ad.AnnData:
    """The tissue twice, at the same places; the second time some genes are read three times as often."""
    read_more = tissue.copy()
    read_more.X = read_more.X.multiply(np.where(np.arange(200) < 40, 3, 1)).tocsr()
    return ad.concat({"a": tissue, "b": read_more}, label="slice", index_unique="-", merge="same", uns_merge="first")


def test_slices_are_connected_trained_and_judged_apart(slices, seen):
    found = semantic_control(slices, batch_key="slice", labels="ground_truth", copy=True, **FEW).uns[KEY]
    assert found["params"]["batch_key"] == "slice"
    for _, tissue in seen:
        np.testing.assert_array_equal(tissue.slices, np.repeat([0, 1], 400))
        assert tissue.graph[:400, 400:].nnz == 0
        assert np.ptp(tissue.places[:, 0]) > 1.9 * np.ptp(tissue.places[:400, 0])  # side by side
    assert len(found["runs"]) == 6


def test_domains_that_only_tell_slices_apart_explain_nothing_unseen():
    rng = np.random.default_rng(0)
    shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])
    of = np.repeat([0, 1], 100)
    training, unseen = (sparse.csr_matrix(rng.poisson(50 * shares[of]).astype(np.float32)) for _ in range(2))
    assert explained_unseen(of, training, unseen) > 0.2
    assert abs(explained_unseen(of, training, unseen, of)) < 0.01
    halves = np.tile([0, 1], 100)  # of each slice
    assert explained_unseen(halves, training, unseen, of) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("n_slices", [1, 4, 40])
def test_chance_explains_nothing_unseen_in_however_many_slices(n_slices):
    rng = np.random.default_rng(0)
    rate = rng.gamma(2, 0.2, size=300)
    training, unseen = (sparse.csr_matrix(rng.poisson(rate, (800, 300)).astype(np.float32)) for _ in range(2))
    labels, slices = rng.integers(6, size=800), np.arange(800) % n_slices
    assert -0.01 < explained_unseen(labels, training, unseen, slices) < 0


def test_one_slice_is_judged_as_no_slice():
    rng = np.random.default_rng(0)
    training, unseen = (sparse.csr_matrix(rng.poisson(3, (40, 6)).astype(np.float32)) for _ in range(2))
    labels = rng.integers(3, size=40)
    alone = explained_unseen(labels, training, unseen, np.zeros(40, dtype=np.int64))
    assert alone == pytest.approx(explained_unseen(labels, training, unseen), abs=1e-12)


def test_a_slice_too_small_for_coherence_is_refused(slices):
    few = slices[:410].copy()
    with pytest.raises(ValueError, match="at least 11 spots are needed in each slice .*, got 10"):
        semantic_control(few, batch_key="slice", **FEW)
