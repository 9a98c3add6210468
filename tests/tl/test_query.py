"""Asking a tissue: what is written, what must not matter, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import semst
from semst.pp._graphs import spatial_graph
from semst.semantics._vocabulary import packaged_vocabulary
from semst.tl import _query as asking
from semst.tl._query import query

MYELIN = "myelin sheath of oligodendrocytes"
NAME = "myelin_sheath_of_oligodendrocytes"
FEW = {"n_permutations": 49}
KEY = "gene_semantics"


class Letters:
    """Knows letters only; texts of genes below are written so that this is enough."""

    def __init__(self, name="letters-1"):
        self.name = name

    def encode(self, texts):
        return np.array([[text.lower().count(letter) for letter in "aeioxyz"] for text in texts], dtype=np.float32)


@pytest.fixture(scope="module")
def bare() -> ad.AnnData:
    return semst.datasets.simulated(n_spots=400, n_genes=300, n_domains=3, random_state=1, progress=False)


@pytest.fixture(scope="module")
def tissue(bare) -> ad.AnnData:
    adata = bare.copy()
    semst.pp.gene_semantics(adata)
    return adata


@pytest.fixture(scope="module")
def asked(tissue) -> tuple[ad.AnnData, pd.DataFrame]:
    adata = tissue.copy()
    return adata, query(adata, {"myelin": MYELIN, "glia": ["MBP", "PLP1", "MOBP", "nobody"], "MBP": "MBP"})


def scores(adata, name=NAME, key="query"):
    return adata.obs[f"{key}_{name}"].to_numpy()


# What is written


def test_it_writes_what_it_says_and_nothing_else(tissue, asked):
    adata, genes = asked
    names = ["myelin", "glia", "MBP"]
    assert list(adata.obs) == [
        *tissue.obs,
        *(f"query_{name}{end}" for name in names for end in ("", "_pval")),
    ]
    assert list(genes) == ["query", "gene", "contribution", "likeness"]
    assert list(genes["query"].unique()) == names
    assert list(adata.uns["query"]) == names
    for name in names:
        score, p = adata.obs[f"query_{name}"], adata.obs[f"query_{name}_pval"]
        assert score.dtype == p.dtype == np.float32
        assert np.isfinite(score).all()
        assert p.between(1 / 1000 - 1e-9, 1).all()
        result = adata.uns["query"][name]
        entries = {"asked", "order", "p_value", "genes", "read_as", "nearness", "params", "versions", "called"}
        assert set(result) == entries
        assert isinstance(result["p_value"], float)
        pd.testing.assert_frame_equal(result["genes"], genes[genes["query"] == name].reset_index(drop=True))
        contribution = result["genes"]["contribution"]
        assert contribution.is_monotonic_decreasing
        assert contribution.between(0, 1, inclusive="right").all()
        assert (contribution.sum() < 0.999) == (name == "myelin")
        assert len(contribution) == {"myelin": 20, "glia": 3, "MBP": 1}[name]
        assert result["params"] == {
            "smooth": True,
            "n_permutations": 999,
            "semantics_key": KEY,
            "n_neighbors": 6,
            "random_state": 0,
        }
    assert adata.uns["query"]["myelin"]["asked"] == MYELIN
    assert adata.uns["query"]["glia"]["asked"] == "MBP, PLP1, MOBP"
    _assert_same(adata, tissue, but="query")


def test_words_find_their_domain_and_their_genes(asked):
    adata, genes = asked
    in_white = (adata.obs["ground_truth"] == "WM").to_numpy()
    for name in ("myelin", "glia", "MBP"):
        inside, outside = scores(adata, name)[in_white], scores(adata, name)[~in_white]
        assert (inside[:, None] > outside).mean() > 0.9, name
    own = genes[genes["query"] == "myelin"]
    assert {"MBP", "PLP1", "MOBP"} & set(own["gene"][:5])
    assert own["likeness"].between(-1, 1).all()
    assert own["likeness"].iloc[0] > 0.2
    assert "oligodendrocytes" in " ".join(adata.uns["query"]["myelin"]["read_as"])
    assert adata.uns["query"]["myelin"]["p_value"] < 0.05
    p = adata.obs["query_myelin_pval"].to_numpy()
    assert np.median(p[in_white]) < 0.05
    assert np.median(p[~in_white]) > 0.5


def test_genes_need_neither_vectors_nor_a_model(bare, asked, monkeypatch):
    def never(encoder):
        raise AssertionError(encoder)

    monkeypatch.setattr("semst.semantics._words._open", never)
    adata = bare.copy()
    found = query(adata, {"glia": ["MBP", "PLP1", "MOBP"]})
    assert KEY not in adata.varm
    assert found["likeness"].isna().all()
    assert adata.uns["query"]["glia"]["read_as"].size == 0
    np.testing.assert_array_equal(scores(adata, "glia"), scores(asked[0], "glia"))


def test_a_name_of_a_gene_is_the_set_of_that_gene(tissue):
    adata = tissue.copy()
    query(adata, {"one": "MBP", "other": ["MBP"]}, **FEW)
    np.testing.assert_array_equal(scores(adata, "one"), scores(adata, "other"))
    assert adata.uns["query"]["one"]["genes"]["gene"][0] == "MBP"


@pytest.mark.parametrize("gene", ["MBP", "RPL13"])
def test_a_single_gene_has_nothing_in_common_with_itself(tissue, caplog, gene):
    adata = tissue.copy()
    with caplog.at_level(logging.WARNING, logger="semst"):
        query(adata, {"one": gene, "several": ["MBP", "PLP1"]}, **FEW)
    assert np.isnan(adata.uns["query"]["one"]["p_value"])
    assert 0 < adata.uns["query"]["several"]["p_value"] <= 1
    assert "'one'" not in caplog.text


def test_missing_vectors_are_made_announced_and_kept(bare, asked, caplog):
    adata = bare.copy()
    with caplog.at_level(logging.INFO, logger="semst"):
        query(adata, {"myelin": MYELIN})
    assert "no gene vectors in varm['gene_semantics']" in caplog.text
    assert adata.varm[KEY].shape == (adata.n_vars, 128)
    assert adata.obsm[KEY].shape == (adata.n_obs, 128)
    assert set(adata.uns[KEY]) == {"params", "coverage", "center", "versions"}
    np.testing.assert_array_equal(scores(adata, "myelin"), scores(asked[0], "myelin"))


def test_what_semst_did_not_write_is_not_replaced(tissue):
    adata = tissue.copy()
    adata.uns["neighbors"] = {"params": {"n_neighbors": 15}}
    adata.obs["expert_MBP"] = 1.0
    with pytest.raises(ValueError, match=r"take the place of uns\['neighbors'\], which is no earlier result of semst"):
        query(adata, "MBP", key_added="neighbors", **FEW)
    del adata.uns["spatial"]
    with pytest.raises(ValueError, match="key_added='spatial' is a name that coordinates or semantics have"):
        query(adata, "MBP", key_added="spatial", **FEW)
    for there in ({}, 5, np.arange(3), "text"):
        adata.uns["images"] = there
        with pytest.raises(ValueError, match=r"take the place of uns\['images'\]"):
            query(adata, "MBP", key_added="images", **FEW)
    with pytest.raises(ValueError, match=r"take the place of obs\['expert_MBP'\]"):
        query(adata, "MBP", key_added="expert", **FEW)
    assert adata.uns["neighbors"] == {"params": {"n_neighbors": 15}}
    assert (adata.obs["expert_MBP"] == 1).all()


@pytest.mark.parametrize("key", ["query", "mine"])
def test_the_same_can_be_asked_again(tissue, key):
    adata = tissue.copy()
    query(adata, "MBP", key_added=key, **FEW)
    query(adata, ["MBP", "PLP1"], key_added=key, **FEW)
    assert set(adata.uns[key]) == {"MBP", "PLP1"}
    del adata.uns["query" if key == "query" else "gene_semantics"]  # as anndata.concat does
    query(adata, "MBP", key_added=key, **FEW)
    assert "MBP" in adata.uns[key]


def test_earlier_queries_stay(tissue):
    adata = tissue.copy()
    query(adata, MYELIN, **FEW)
    first = scores(adata).copy()
    query(adata, ["neurons", "MBP"], **FEW)
    assert list(adata.uns["query"]) == [NAME, "neurons", "MBP"]
    np.testing.assert_array_equal(scores(adata), first)
    query(adata, MYELIN, random_state=3, **FEW)
    assert list(adata.uns["query"]) == [NAME, "neurons", "MBP"]
    assert adata.uns["query"][NAME]["params"]["random_state"] == 3
    query(adata, MYELIN, key_added="mine", **FEW)
    assert set(adata.uns["mine"]) == {NAME}
    assert f"mine_{NAME}_pval" in adata.obs


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_can_be_written_and_read(asked, tmp_path, form):
    adata = asked[0].copy()
    query(adata, {"all": list(adata.var_names)}, **FEW)  # weighs no gene more than another: an empty list
    path = tmp_path / f"result.{form}"
    getattr(adata, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path)
    assert set(back.uns["query"]) == {"myelin", "glia", "MBP", "all"}
    for name, here in adata.uns["query"].items():
        there = back.uns["query"][name]
        for column in ("query", "gene", "contribution", "likeness"):
            assert np.array_equal(
                there["genes"][column].to_numpy(), here["genes"][column].to_numpy(), equal_nan=column == "likeness"
            )
        assert there["asked"] == here["asked"]
        np.testing.assert_equal(float(there["p_value"]), here["p_value"])
        assert list(there["read_as"]) == list(here["read_as"])
        assert {key: str(value) for key, value in there["params"].items()} == {
            key: str(value) for key, value in here["params"].items()
        }
        np.testing.assert_array_equal(scores(back, name), scores(adata, name))
    query(back, "neurons", **FEW)  # goes on where it was left
    assert set(back.uns["query"]) == {"myelin", "glia", "MBP", "all", "neurons"}


def test_spatialdata(tissue, as_spatialdata):
    cells = tissue.copy()
    del cells.uns["spatial"]
    cells.obsp["spatial_connectivities"] = spatial_graph(cells, cells.obsm["spatial"])
    sdata = as_spatialdata(cells)
    found, expected = query(sdata, MYELIN, **FEW), query(cells, MYELIN, **FEW)
    pd.testing.assert_frame_equal(found, expected)
    np.testing.assert_array_equal(scores(sdata["table"]), scores(cells))
    assert NAME in sdata["table"].uns["query"]


def test_spatialdata_without_a_graph_takes_the_centroids(tissue, as_spatialdata):
    cells = tissue.copy()
    del cells.uns["spatial"], cells.obs["array_row"], cells.obs["array_col"]
    sdata = as_spatialdata(cells)
    query(sdata, MYELIN, n_neighbors=4, **FEW)
    query(cells, MYELIN, n_neighbors=4, **FEW)
    np.testing.assert_allclose(scores(sdata["table"]), scores(cells), atol=1e-4)


# Options


def test_smoothing_averages_over_neighbours(tissue):
    adata = tissue.copy()
    query(adata, {"smooth": MYELIN}, **FEW)
    query(adata, {"alone": MYELIN}, smooth=False, **FEW)
    graph = spatial_graph(adata, adata.obsm["spatial"])
    around = np.asarray(graph.sum(axis=1)).ravel()
    assert adata.uns["query"]["alone"]["params"]["smooth"] is False

    def unlike_its_neighbours(name):
        score = scores(adata, name)
        return np.std(score - graph @ score / around) / np.std(score)

    assert unlike_its_neighbours("smooth") < 0.7 * unlike_its_neighbours("alone")
    without = tissue.copy()
    del without.obsm["spatial"]
    query(without, {"alone": MYELIN}, smooth=False, **FEW)
    np.testing.assert_array_equal(scores(without, "alone"), scores(adata, "alone"))


def test_number_of_genes_and_of_permutations(tissue):
    adata = tissue.copy()
    found = query(adata, MYELIN, n_genes=3, n_permutations=19)
    assert len(found) == 3
    assert adata.obs[f"query_{NAME}_pval"].min() == pytest.approx(0.05)
    longer = query(adata, MYELIN, n_genes=10_000, n_permutations=19)
    assert (longer["contribution"] > 0).all()
    assert 20 < len(longer) < adata.n_vars
    pd.testing.assert_frame_equal(longer[:3], found)


def test_counts_from_a_layer(tissue):
    moved, plain = tissue.copy(), tissue.copy()
    moved.layers["counts"] = moved.X.copy()
    moved.X = moved.X * 0.5
    query(moved, MYELIN, layer="counts", **FEW)
    query(plain, MYELIN, **FEW)
    np.testing.assert_array_equal(scores(moved), scores(plain))
    assert moved.uns["query"][NAME]["params"]["layer"] == "counts"


@pytest.mark.parametrize("form", [np.asarray, sparse.csc_matrix, lambda x: sparse.csr_matrix(x, dtype=np.int64)])
def test_form_of_the_matrix_does_not_matter(tissue, form):
    other, plain = tissue.copy(), tissue.copy()
    other.X = form(tissue.X.toarray())
    query(other, MYELIN, **FEW)
    query(plain, MYELIN, **FEW)
    np.testing.assert_allclose(scores(other), scores(plain), rtol=1e-4, atol=1e-4)


# What must not matter


def test_gene_vectors_may_be_sparse(tissue):
    adata = tissue.copy()
    adata.varm[KEY] = sparse.csr_matrix(adata.varm[KEY])
    expected = tissue.copy()
    for each in (adata, expected):
        query(each, MYELIN, **FEW)
    np.testing.assert_array_equal(scores(adata), scores(expected))


def test_same_seed_same_bytes(tissue):
    one, same, other = (tissue.copy() for _ in range(3))
    for adata, seed in ((one, 0), (same, 0), (other, 1)):
        query(adata, MYELIN, random_state=seed, **FEW)
    np.testing.assert_array_equal(scores(one), scores(same))
    np.testing.assert_array_equal(one.obs[f"query_{NAME}_pval"], same.obs[f"query_{NAME}_pval"])
    assert (scores(one) != scores(other)).any()
    assert np.corrcoef(scores(one), scores(other))[0, 1] > 0.999  # the seed moves the unit, not the map


def test_one_query_does_not_touch_another(tissue):
    together, alone = tissue.copy(), tissue.copy()
    query(together, ["neurons", MYELIN, "MBP"], **FEW)
    query(alone, MYELIN, **FEW)
    np.testing.assert_allclose(scores(together), scores(alone), rtol=0.02, atol=0.02)  # the model reads in batches


def test_order_of_spots_and_genes_does_not_matter(tissue):
    plain = tissue.copy()
    rng = np.random.default_rng(0)
    spots, genes = rng.permutation(plain.n_obs), rng.permutation(plain.n_vars)
    moved = plain[spots][:, genes].copy()
    found, expected = query(moved, MYELIN), query(plain, MYELIN)
    there = pd.Series(scores(moved), index=moved.obs_names)[plain.obs_names].to_numpy()
    # Thirty components are found by a random search, and the null deals in another order.
    assert np.corrcoef(there, scores(plain))[0, 1] > 0.995
    assert there.std() == pytest.approx(scores(plain).std(), rel=0.1)
    assert set(found["gene"][:3]) == set(expected["gene"][:3])


@pytest.mark.parametrize("factor", [2, 8])
def test_twice_the_counts_give_the_same_bytes(tissue, factor):
    plain, deeper = tissue.copy(), tissue.copy()
    depth = np.random.default_rng(0).choice([1.0, factor], size=tissue.n_obs)
    deeper.X = sparse.csr_matrix(sparse.diags(depth) @ tissue.X, dtype=np.float32)
    query(plain, MYELIN, **FEW)
    query(deeper, MYELIN, **FEW)
    np.testing.assert_array_equal(scores(deeper), scores(plain))


def test_a_gene_nobody_expresses_changes_nothing(tissue):
    """Genes without a count are left in ordinary tables by filtered spots."""
    plain = tissue[:, tissue.var_names != "MOBP"].copy()
    with_zero = tissue.copy()
    counts = tissue.X.tolil()
    counts[:, tissue.var_names.get_loc("MOBP")] = 0
    with_zero.X = counts.tocsr()
    glia = {"glia": ["MBP", "PLP1"]}
    found, expected = query(with_zero, glia), query(plain, glia)
    np.testing.assert_allclose(scores(with_zero, "glia"), scores(plain, "glia"), atol=1e-3)
    assert list(found["gene"][:5]) == list(expected["gene"][:5])
    only_zero = query(with_zero, {"lost": ["MOBP"]}, **FEW)
    assert only_zero.empty
    assert not scores(with_zero, "lost").any()


# Words that mean nothing


def test_words_far_from_biology_are_warned_of(tissue, caplog):
    adata = tissue.copy()
    with caplog.at_level(logging.WARNING, logger="semst"):
        query(adata, ["the stock market", MYELIN], **FEW)
    far = [record.getMessage() for record in caplog.records if "far from all terms" in record.getMessage()]
    assert len(far) == 1
    assert far[0].startswith("query: 'the stock market' is far from all terms of biology that semst knows (nearest: '")
    assert f"nearest: '{adata.uns['query']['the_stock_market']['read_as'][0]}'" in far[0]
    assert adata.uns["query"]["the_stock_market"]["nearness"] < 0.45 < adata.uns["query"][NAME]["nearness"] < 1


def test_a_term_is_as_near_as_can_be_and_genes_are_nowhere(tissue):
    adata = tissue.copy()
    query(adata, {"term": packaged_vocabulary().terms[7], "genes": ["MBP", "PLP1"]}, **FEW)
    assert adata.uns["query"]["term"]["nearness"] == pytest.approx(1, abs=1e-3)
    assert np.isnan(adata.uns["query"]["genes"]["nearness"])


@pytest.mark.parametrize(
    ("p_value", "told"),
    [(0.05, ""), (0.055, "only a weak pattern"), (0.2, "only a weak"), (0.21, "do not read its map")],
)
def test_a_weak_pattern_is_told_from_none(tissue, monkeypatch, caplog, p_value, told):
    answer = asking.answer
    monkeypatch.setattr(asking, "answer", lambda *a, **b: replace(answer(*a, **b), coherence=p_value))
    with caplog.at_level(logging.WARNING, logger="semst"):
        query(tissue.copy(), {"glia": ["MBP", "PLP1"]}, **FEW)
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)


def test_genes_without_a_common_pattern_are_warned_of(tissue, caplog):
    adata = tissue.copy()
    # Each gene dealt anew over the spots: nothing goes together any more.
    rng = np.random.default_rng(0)
    adata.X = sparse.csr_matrix(rng.permuted(tissue.X.toarray(), axis=0) + np.eye(*adata.shape, dtype=np.float32))
    with caplog.at_level(logging.WARNING, logger="semst"):
        query(adata, {"noise": list(adata.var_names[::9]), "all": list(adata.var_names)}, **FEW)
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "the map of 'all' is empty" in told
    assert "the genes of 'all'" not in told
    assert ("genes of 'noise'" in told) == (adata.uns["query"]["noise"]["p_value"] > 0.05)
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="semst"):
        query(tissue.copy(), {"glia": ["MBP", "PLP1", "MOBP", "MOG"]})
    assert not caplog.records


# Encoders of one's own


def _told(caplog, adata, asked):
    with caplog.at_level(logging.WARNING, logger="semst"):
        genes = query(adata, asked, **FEW)
    return genes, "\n".join(record.getMessage() for record in caplog.records)


@pytest.fixture
def still(tissue):
    """Give a tissue with two genes that no spot shows."""
    adata = tissue.copy()
    two = [place for place, name in enumerate(adata.var_names) if name not in {"MBP", "PLP1"}][:2]
    counts = adata.X.toarray()
    counts[:, two] = 0
    adata.X = sparse.csr_matrix(counts)
    names = adata.var_names.to_numpy(dtype=object, copy=True)
    names[two] = ["still", "silent"]
    adata.var_names = names
    return adata


@pytest.mark.parametrize("asked", ["still", {"one": ["still"]}, {"both": ["still", "silent"]}])
def test_that_nothing_asked_for_varies_is_said(still, caplog, asked):
    genes, told = _told(caplog, still, asked)
    (name,) = still.uns["query"]
    assert genes.empty
    assert (scores(still, name) == 0).all()
    assert (still.obs[f"query_{name}_pval"] == 1).all()
    listed = "'still', 'silent'" if name == "both" else "'still'"
    assert told == (
        f"query: the map of {name!r} is empty (score 0 and p-value 1 everywhere): what it asks for does not vary from "
        f"spot to spot ({listed})."
    )


@pytest.mark.parametrize(("asked", "warned"), [("mbp", True), ("ENSG00000197971", True), ("MBP", False)])
def test_a_word_that_is_taken_for_a_gene_of_another_spelling_is_told(tissue, caplog, asked, warned):
    adata = tissue.copy()
    genes, told = _told(caplog, adata, asked)
    assert list(genes["gene"]) == ["MBP"]
    assert (f"query: {asked!r} is read as the gene MBP; if it is meant as a word" in told) == warned


def test_genes_that_are_left_out_are_named(still, caplog):
    genes, told = _told(caplog, still, {"glia": ["MBP", "still", "PLP1", "nobody"]})
    assert set(genes["gene"]) == {"MBP", "PLP1"}
    assert "query: 'glia' leaves out genes that are not in var_names: 'nobody'." in told
    assert "query: 'glia' leaves out genes that do not vary from spot to spot: 'still'." in told
    assert "empty" not in told


def test_a_set_of_all_genes_of_like_expression_has_an_empty_map(tissue, caplog):
    adata = tissue[:, :12].copy()  # so few that all of them are of like expression
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    genes, told = _told(caplog, adata, {"all": list(adata.var_names)})
    assert genes.empty
    assert "the map of 'all' is empty" in told
    assert "all genes of like expression were asked for, and none is left to compare with" in told
    assert adata.var_names[0] in told


def test_words_that_no_gene_fits_better_have_an_empty_map(tissue, caplog):
    adata = tissue.copy()
    adata.varm[KEY][:] = adata.varm[KEY][adata.var_names.get_loc("MBP")]
    assert "no gene fits the words better than others" in _told(caplog, adata, MYELIN)[1]


@pytest.mark.parametrize("key", ["query", "mine"])
def test_names_of_earlier_calls_count_too(tissue, key):
    adata = tissue.copy()
    query(adata, {"x_pval": ["MBP"], "Abc": ["MBP"]}, key_added=key, **FEW)
    before = adata.copy()
    with pytest.raises(ValueError, match="(?s)2 problems.*another spelling: 'Abc'.*would be called 'x_pval' as well"):
        query(adata, {"x": ["PLP1"], "abc": ["PLP1"]}, key_added=key, **FEW)
    _assert_same(adata, before)
    query(adata, {"x_pval": ["PLP1"], "Abc": ["PLP1"]}, key_added=key, **FEW)
    assert adata.uns[key]["Abc"]["asked"] == "PLP1"


def test_own_encoder_from_end_to_end(bare, tmp_path):
    """Genes of myelin are said to be full of z: words full of z find them."""
    adata = bare.copy()
    glia = ["MBP", "PLP1", "MOBP", "MAG", "MOG", "CNP"]
    rng = np.random.default_rng(0)
    text = {name: "".join(rng.choice(list("aeioxy"), 12)) + "zzzz" * (name in glia) for name in adata.var_names}
    semst.pp.gene_semantics(adata, encoder=Letters(), gene_text=text, cache_dir=tmp_path, progress=False)
    assert adata.uns[KEY]["params"]["source"] == "letters-1"
    found = query(adata, {"buzz": "zzzz zzzz"}, encoder=Letters(), cache_dir=tmp_path)
    assert set(found["gene"][:4]) < set(glia)
    assert found["likeness"].iloc[0] > 0.5
    in_white = (adata.obs["ground_truth"] == "WM").to_numpy()
    buzz = scores(adata, "buzz")
    assert (buzz[in_white][:, None] > buzz[~in_white]).mean() > 0.9
    assert adata.uns["query"]["buzz"]["p_value"] < 0.05
    before = adata.copy()
    with pytest.raises(ValueError, match="were made by 'letters-1', not by 'letters-2'"):
        query(adata, "zzz", encoder=Letters("letters-2"), cache_dir=tmp_path)
    with pytest.raises(ValueError, match="come from 'letters-1'.*give it with `encoder`"):
        query(adata, "zzz", cache_dir=tmp_path)
    _assert_same(adata, before)
    query(adata, "MBP", cache_dir=tmp_path, **FEW)  # genes by name need no encoder


def test_another_encoder_than_that_of_the_packaged_vectors(tissue):
    adata = tissue.copy()
    with pytest.raises(ValueError, match="(?s)semst.tl.query.*all-MiniLM-L6-v2.*'letters-1'"):
        query(adata, MYELIN, encoder=Letters())
    with pytest.raises(ValueError, match="semst.tl.query: encoder must be.*got int"):
        query(adata, MYELIN, encoder=5)
    _assert_same(adata, tissue)


def test_vectors_under_another_name(tissue, asked):
    adata = tissue.copy()
    semst.pp.gene_semantics(adata, key_added="own")
    query(adata, {"myelin": MYELIN}, semantics_key="own")
    np.testing.assert_array_equal(scores(adata, "myelin"), scores(asked[0], "myelin"))


def test_vectors_of_spots_alone_are_no_vectors_of_genes(bare, tmp_path):
    adata = bare.copy()
    semst.pp.gene_semantics(adata, mode="spots", encoder=Letters(), cache_dir=tmp_path, progress=False)
    before = adata.copy()
    with pytest.raises(KeyError, match=r"varm\['gene_semantics'\] is missing.*='genes'.*semantics_key='genes'"):
        query(adata, MYELIN)
    _assert_same(adata, before)
    query(adata, "MBP", **FEW)


# What is refused


@pytest.mark.parametrize(
    ("asked_for", "options", "kind", "message"),
    [
        ([], {}, ValueError, "the query must be words"),
        ("  ", {}, ValueError, "holds no words"),
        ({"lost": ["nobody", "else"]}, {}, ValueError, "none of the 2 genes of the query 'lost' is in var_names"),
        (["fat", "Fat!"], {}, ValueError, "different names"),
        ("MBP", {"n_genes": 0}, ValueError, "n_genes must be a whole number of at least 1, got 0"),
        ("MBP", {"n_permutations": 18}, ValueError, "n_permutations must be a whole number of at least 19, got 18"),
        ("MBP", {"n_permutations": 50.0}, ValueError, "n_permutations must be a whole number"),
        ("MBP", {"n_neighbors": True}, ValueError, "n_neighbors must be a whole number of at least 1, got True"),
        ("MBP", {"random_state": -1}, ValueError, "random_state must be a whole number from 0"),
        ("MBP", {"key_added": "a/b"}, ValueError, "key_added must be made of letters"),
        ("MBP", {"layer": "raw"}, KeyError, "no layer 'raw'"),
        ("MBP", {"spatial_key": "X_umap"}, KeyError, r"obsm\['X_umap'\] is missing"),
        ("MBP", {"table_key": "table"}, ValueError, "only applies to SpatialData"),
        ("fat", {"semantics_key": "mine"}, KeyError, "gene_semantics.adata, key_added='mine'"),
    ],
)
def test_wrong_arguments(tissue, asked_for, options, kind, message):
    adata = tissue.copy()
    with pytest.raises(kind, match=message):
        query(adata, asked_for, **options)
    _assert_same(adata, tissue)


def _normalised(adata):
    adata.X = adata.X * 0.5


def _nan_counts(adata):
    adata.X.data[0] = np.nan


def _empty_spot(adata):
    counts = adata.X.tolil()
    counts[5] = 0
    adata.X = counts.tocsr()


def _nan_coordinates(adata):
    adata.obsm["spatial"][3, 0] = np.nan


def _infinite_vectors(adata):
    adata.varm[KEY][0, 0] = np.inf


def _no_vectors(adata):
    adata.varm[KEY][:] = 0


def _duplicated_genes(adata):
    adata.var_names = ["same", "same", *adata.var_names[2:]]


def _nothing_varies(adata):
    adata.X = sparse.csr_matrix(np.ones(adata.shape, dtype=np.float32))


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_normalised, "does not hold whole numbers"),
        (_nan_counts, "NaN or infinite"),
        (_empty_spot, "1 spot has no counts at all"),
        (_nan_coordinates, "1 spot has NaN or infinite coordinates"),
        (_infinite_vectors, r"varm\['gene_semantics'\] must be a finite matrix"),
        (_no_vectors, r"no gene has a vector \(varm\['gene_semantics'\] holds zeros alone\).*symbols or Ensembl ids"),
        (_duplicated_genes, "1 name in var_names occurs more than once"),
        (_nothing_varies, "no gene varies"),
    ],
)
def test_spoilt_data(tissue, spoil, message):
    adata = tissue.copy()
    spoil(adata)
    before = adata.copy()
    with pytest.raises(ValueError, match=message):
        query(adata, MYELIN)
    _assert_same(adata, before)


def test_nobody_known(bare):
    adata = bare.copy()
    adata.var_names = [f"thing-{number}" for number in range(adata.n_vars)]
    before = adata.copy()
    with pytest.raises(ValueError, match="no gene has a vector"):
        query(adata, MYELIN)
    _assert_same(adata, before)


def test_the_way_out_of_normalised_counts_is_an_argument_of_query(tissue):
    adata = tissue.copy()
    adata.layers["counts"] = adata.X.copy()
    _normalised(adata)
    with pytest.raises(ValueError, match=r"with `layer=` \(layers has 'counts'\)\.$"):
        query(adata, MYELIN)
    query(adata, MYELIN, layer="counts", **FEW)


@pytest.mark.parametrize("stored", [True, False])
def test_names_that_mean_nothing(bare, stored):
    """One of them is an alias of a gene; of a single vector nothing is left when the mean is removed."""
    adata = bare.copy()
    adata.var_names = [f"gene{number}" for number in range(adata.n_vars)]
    if stored:
        adata.varm["gene_semantics"] = np.zeros((adata.n_vars, 4), dtype=np.float32)
    before = adata.copy()
    with pytest.raises(ValueError, match="no gene has a vector") as caught:
        query(adata, MYELIN)
    assert "'gene0', 'gene1', 'gene2'" in str(caught.value)
    assert "'gene5'" not in str(caught.value)
    assert "symbols or Ensembl ids" in str(caught.value)
    with pytest.raises(ValueError, match="no gene has a vector"):
        semst.tl.describe(adata, key="ground_truth")
    _assert_same(adata, before)


def test_all_problems_in_one_error(tissue):
    adata = tissue.copy()
    _nan_coordinates(adata)
    _infinite_vectors(adata)
    _normalised(adata)
    before = adata.copy()
    with pytest.raises(
        ValueError, match="(?s)6 problems.*key_added.*n_genes.*'lost'.*whole numbers.*coordinates.*finite matrix"
    ):
        query(adata, {"lost": ["nobody"], "words": "fat"}, n_genes=0, key_added="a b")
    _assert_same(adata, before)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_very_few_spots(tissue, n):
    adata = tissue[:n].copy()
    if n == 1:
        with pytest.raises(ValueError, match="at least 2 spots are needed"):
            query(adata, MYELIN)
        return
    query(adata, {"glia": ["MBP", "PLP1"], "words": MYELIN}, **FEW)
    for name in ("glia", "words"):
        assert np.isfinite(scores(adata, name)).all()


def test_very_few_genes(tissue):
    adata = tissue[:, ["MBP", "SNAP25", "GFAP", "PLP1"]].copy()
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    query(adata, {"glia": ["MBP", "PLP1"], "words": MYELIN})
    # Of six pairs of four genes, one is the pair that was asked for.
    assert adata.obs["query_glia_pval"].min() > 0.1
    assert np.isfinite(scores(adata, "words")).all()


def test_not_anndata():
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got DataFrame"):
        query(pd.DataFrame(), MYELIN)


def test_a_model_that_cannot_be_loaded(tissue, tmp_path):
    adata = tissue.copy()
    with pytest.raises(OSError, match="holds no model that can be loaded"):
        query(adata, MYELIN, encoder=tmp_path)
    _assert_same(adata, tissue)


def test_through_the_accessor(tissue):
    one, other = tissue.copy(), tissue.copy()
    pd.testing.assert_frame_equal(one.semst.query(MYELIN, **FEW), query(other, MYELIN, **FEW))
    np.testing.assert_array_equal(scores(one), scores(other))


def _assert_same(adata, before, *, but=None):
    np.testing.assert_array_equal(adata.X.toarray(), before.X.toarray())
    mine = [name for name in adata.obs if but is None or not name.startswith(but)]
    pd.testing.assert_frame_equal(adata.obs[mine], before.obs)
    pd.testing.assert_frame_equal(adata.var, before.var)
    for name in ("obsm", "varm", "obsp", "layers", "uns"):
        assert [key for key in getattr(adata, name) if key != but] == list(getattr(before, name))
    for name in ("obsm", "varm"):
        for key in getattr(before, name):
            np.testing.assert_array_equal(getattr(adata, name)[key], getattr(before, name)[key])


# Several slices


@pytest.fixture(scope="module")
def slices(tissue) -> ad.AnnData:
    """Two pieces of tissue at the same places; in the second the genes of myelin are read three times as often."""
    other = semst.datasets.simulated(n_spots=400, n_genes=300, n_domains=3, random_state=2, progress=False)
    more = np.where(other.var_names.isin(["MBP", "PLP1", "MOBP", "CNP"]), 3, 1)
    other.X = other.X.multiply(more).tocsr()
    pieces = {"a": tissue[:, other.var_names], "b": other}
    joined = ad.concat(pieces, label="slice", index_unique="-", merge="same")
    semst.pp.gene_semantics(joined)
    return joined


def test_slices_are_asked_each_by_its_own_means(slices):
    table = slices.copy()
    query(table, {"myelin": ["MBP", "PLP1", "MOBP", "CNP"]}, batch_key="slice", **FEW)
    by_slice = pd.Series(scores(table, "myelin")).groupby(table.obs["slice"].to_numpy()).mean()
    query(table, {"myelin": ["MBP", "PLP1", "MOBP", "CNP"]}, **FEW)
    joined = pd.Series(scores(table, "myelin")).groupby(table.obs["slice"].to_numpy()).mean()
    assert abs(by_slice["b"] - by_slice["a"]) < 0.01 < 0.2 < joined["b"] - joined["a"]


def test_nothing_is_averaged_over_slices(slices):
    """Where a slice lies is its own affair, so slices at the same places and far apart are answered alike."""
    near, far = slices.copy(), slices.copy()
    far.obsm["spatial"] = far.obsm["spatial"] + 1e5 * (far.obs["slice"] == "b").to_numpy()[:, None]
    for table in (near, far):
        query(table, MYELIN, batch_key="slice", **FEW)
    np.testing.assert_array_equal(scores(near), scores(far))
    assert near.uns["query"][NAME]["params"]["batch_key"] == "slice"


def test_large_slices_are_sampled_and_answered_for_all(slices, large_above):
    whole, sampled = slices.copy(), slices.copy()
    query(whole, MYELIN, batch_key="slice", **FEW)
    large_above(300)
    query(sampled, MYELIN, batch_key="slice", **FEW)
    assert np.corrcoef(scores(whole), scores(sampled))[0, 1] > 0.98
    means = pd.Series(scores(sampled)).groupby(sampled.obs["slice"].to_numpy()).mean()
    assert abs(means["a"] - means["b"]) < 0.01


def test_slices_that_are_missing_or_joined_by_the_graph_are_refused(slices):
    table = slices.copy()
    with pytest.raises(KeyError, match=r"no obs\['sample'\], which `batch_key` names"):
        query(table, MYELIN, batch_key="sample")
    table.obsp["spatial_connectivities"] = spatial_graph(slices, np.random.default_rng(0).random((800, 2)))
    with pytest.raises(ValueError, match="edges between slices"):
        query(table, MYELIN, batch_key="slice")
    assert "query" not in table.uns


# Names


def test_other_words_with_the_same_short_name_do_not_take_its_place(tissue):
    adata = tissue.copy()
    query(adata, "CD8+ T cells", **FEW)
    before = adata.copy()
    with pytest.raises(
        ValueError, match=r"under which the answer to 'CD8\+ T cells' is kept; give it a name of its own"
    ):
        query(adata, "CD8- T cells", **FEW)
    _assert_same(adata, before)
    query(adata, "cd8+ T cells", **FEW)
    query(adata, {"without": "CD8- T cells"}, **FEW)
    assert list(adata.uns["query"]) == ["cd8_t_cells", "without"]


def test_columns_of_others_stay_also_under_the_default_key(tissue):
    adata = tissue.copy()
    adata.obs["query_myelin"] = "mine"
    with pytest.raises(ValueError, match=r"take the place of obs\['query_myelin'\]"):
        query(adata, {"myelin": MYELIN}, **FEW)
    query(adata, {"sheath": ["MBP", "PLP1"]}, key_added="query_white", **FEW)
    with pytest.raises(ValueError, match=r"take the place of obs\['query_white_sheath'\]"):
        query(adata, {"white_sheath": MYELIN}, **FEW)


def test_columns_whose_account_is_lost_may_be_written_anew(tissue):
    adata = tissue.copy()
    query(adata, {"glia": ["MBP", "PLP1"]}, **FEW)
    del adata.uns["query"]
    query(adata, {"glia": ["MBP", "PLP1"]}, **FEW)
    assert list(adata.uns["query"]) == ["glia"]


def test_one_by_one_as_well(tissue):
    adata = tissue.copy()
    query(adata, {"glia": ["MBP", "PLP1"], "myelin": MYELIN}, **FEW)
    del adata.uns["query"]
    query(adata, {"glia": ["MBP", "PLP1"]}, **FEW)
    query(adata, {"myelin": MYELIN}, **FEW)
    assert list(adata.uns["query"]) == ["glia", "myelin"]


def test_words_do_not_take_the_place_of_genes_that_bear_their_name(tissue):
    adata = tissue.copy()
    query(adata, {"myelin": ["MBP", "PLP1"]}, **FEW)
    with pytest.raises(ValueError, match="answer to 'MBP, PLP1' is kept; give it a name of its own"):
        query(adata, "myelin", **FEW)
    query(adata, {"myelin": ["MBP"]}, **FEW)  # whoever names it, says that it is to be replaced
    assert adata.uns["query"]["myelin"]["asked"] == "MBP"


def test_a_reserved_key_is_told_once(tissue):
    with pytest.raises(ValueError, match="name that coordinates or semantics have") as told:
        query(tissue.copy(), ["MBP"], key_added="spatial", **FEW)
    assert "delete" not in str(told.value)


def test_a_key_of_another_kind_is_told(tissue):
    with pytest.raises(ValueError, match="key_added must be made of letters"):
        query(tissue.copy(), ["MBP"], key_added=["query"], **FEW)


@pytest.mark.parametrize("key", ["gene_semantics", "spatial", "mine"])
def test_names_of_coordinates_and_semantics_are_not_for_queries(tissue, key):
    adata = tissue.copy()
    adata.varm["mine"] = adata.varm[KEY]
    with pytest.raises(ValueError, match="is a name that coordinates or semantics have"):
        query(adata, ["MBP"], key_added=key, semantics_key="mine", **FEW)


def test_spot_vectors_from_elsewhere_are_not_replaced(bare):
    adata = bare.copy()
    adata.obsm[KEY] = np.random.default_rng(0).random((adata.n_obs, 7), dtype=np.float32)
    before = adata.copy()
    for ask in (lambda: query(adata, MYELIN, **FEW), lambda: semst.tl.describe(adata, key="ground_truth")):
        with pytest.raises(ValueError, match=r"obsm\['gene_semantics'\] holds spot vectors that are not those of"):
            ask()
    _assert_same(adata, before)
    joined = bare.copy()
    semst.pp.gene_semantics(joined)
    del joined.uns[KEY], joined.varm[KEY]  # as anndata.concat does
    query(joined, MYELIN, **FEW)
    assert KEY in joined.varm


def test_vectors_whose_account_is_lost_are_to_be_made_again(tissue):
    adata = tissue.copy()
    del adata.uns[KEY]
    with pytest.raises(ValueError, match=r"as uns\['gene_semantics'\] is lost .*run `semst.pp.gene_semantics` again"):
        query(adata, MYELIN, **FEW)


def test_an_interrupt_leaves_all_or_nothing(tissue, monkeypatch):
    import semst.asking._results as results

    adata = tissue.copy()
    before = adata.copy()
    calls = []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return results.genes_of(*args)

    monkeypatch.setattr("semst.tl._query.genes_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        query(adata, ["MBP", "PLP1"], **FEW)
    _assert_same(adata, before)


def test_a_gene_that_does_not_vary_makes_no_pattern(tissue):
    adata = tissue.copy()
    adata.X = sparse.csr_matrix(adata.X.multiply(adata.var_names != "PLP1"))
    query(adata, {"two": ["MBP", "PLP1"], "one": ["MBP"]}, **FEW)
    assert np.isnan([adata.uns["query"][name]["p_value"] for name in ("one", "two")]).all()


def test_a_view_of_a_file_is_refused_before_the_work(tissue, tmp_path):
    tissue.write_h5ad(tmp_path / "tissue.h5ad")
    view = ad.read_h5ad(tmp_path / "tissue.h5ad", backed="r")[:100]
    for ask in (lambda: query(view, ["MBP"], **FEW), lambda: semst.tl.describe(view, key="ground_truth")):
        with pytest.raises(ValueError, match=r"view of a backed AnnData.*to_memory"):
            ask()
