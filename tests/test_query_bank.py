"""Words against experts on real tissue: bounds under which something is broken; the bank is in benchmarks/queries."""

from __future__ import annotations

from functools import lru_cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import semst
from semst.asking._questions import short_name

# Section, query, region of the experts, least area under the ROC curve against all others that have a label.
FINDS = [
    ("dlpfc_151673", "myelin sheath of oligodendrocytes", "WM", 0.98),
    ("dlpfc_151673", "white matter", "WM", 0.98),
    ("starmap_mvc", "myelin sheath of oligodendrocytes", "CC", 0.96),
    ("starmap_mvc", "corpus callosum", "CC", 0.96),
    ("osmfish_ssc", "myelin sheath of oligodendrocytes", "White matter", 0.95),
    ("her2st_H1", "immune cells lymphocytes inflammation", "immune infiltrate", 0.93),
    ("her2st_H1", "adipose tissue fat cells", "adipose tissue", 0.90),
    ("her2st_B1", "invasive breast carcinoma", "invasive cancer", 0.90),
]
AVOIDS = [("dlpfc_151673", "synaptic transmission between neurons", "WM", 0.05)]

# Section, organs, region, and words of which its name must hold one.
NAMES = [
    ("dlpfc_151673", "brain", "WM", ("myelin", "oligodendrocyte")),
    ("starmap_mvc", "brain", "CC", ("myelin", "oligodendrocyte")),
    ("her2st_H1", ("breast", "immune"), "immune infiltrate", ("lymph", "immune", "T cell", "B cell")),
    ("her2st_H1", ("breast", "immune"), "adipose tissue", ("adipo", "fat")),
]


@lru_cache
def read(path) -> tuple[ad.AnnData, np.ndarray]:
    """Give a tissue without labels, so that nothing but the scoring sees them, and the labels."""
    whole = ad.read_h5ad(path)
    places = [name for name in ("array_row", "array_col") if name in whole.obs]
    tissue = ad.AnnData(whole.X, obs=whole.obs[places], var=whole.var[[]], obsm={"spatial": whole.obsm["spatial"]})
    semst.pp.gene_semantics(tissue, progress=False)
    return tissue, whole.obs["ground_truth"].astype(object).to_numpy()


@lru_cache
def asked(path) -> tuple[ad.AnnData, np.ndarray]:
    """Ask all queries of a section."""
    tissue, labels = read(path)
    tissue = tissue.copy()
    semst.tl.query(tissue, sorted({text for name, text, *_ in (*FINDS, *AVOIDS) if name == path.stem}))
    return tissue, labels


@lru_cache
def described(path, organs) -> tuple[ad.AnnData, pd.DataFrame]:
    """Name the regions of the experts."""
    tissue, labels = read(path)
    tissue = tissue.copy()
    tissue.obs["region"] = labels
    return tissue, semst.tl.describe(tissue, key="region", organs=organs, n_permutations=29)


def area(tissue, labels, text, region):
    known = ~pd.isna(labels)
    score = tissue.obs[f"query_{short_name(text)}"].to_numpy()
    return roc_auc_score(labels[known] == region, score[known])


@pytest.mark.parametrize(("name", "text", "region", "least"), FINDS)
def test_words_find_the_region(real_file, name, text, region, least):
    assert area(*asked(real_file(name)), text, region) >= least


@pytest.mark.parametrize(("name", "text", "region", "most"), AVOIDS)
def test_words_avoid_the_region(real_file, name, text, region, most):
    assert area(*asked(real_file(name)), text, region) <= most


@pytest.mark.parametrize("case", [FINDS[0], FINDS[5]], ids=["myelin", "immune"])
def test_the_null_knows_that_it_is_no_chance(real_file, case):
    name, text, region, _ = case
    tissue, labels = asked(real_file(name))
    found = tissue.uns["query"][short_name(text)]
    assert found["p_value"] < 0.01
    assert (found["genes"]["likeness"] > 0).mean() > 0.7
    p = tissue.obs[f"query_{short_name(text)}_pval"].to_numpy()
    assert np.mean(p[labels == region] < 0.05) > 0.9
    assert np.mean(p[labels != region] > 0.5) > 0.3


def test_permuted_vectors_find_nothing_in_particular(real_file):
    """Any one permutation may point anywhere, so it is their mean over twenty that is near a half."""
    tissue, labels = read(real_file("starmap_mvc"))
    tissue = tissue.copy()
    vectors = tissue.varm["gene_semantics"].copy()
    known = np.flatnonzero(vectors.any(axis=1))
    text, areas = "myelin sheath of oligodendrocytes", []
    for seed in range(20):
        tissue.varm["gene_semantics"][known] = vectors[np.random.default_rng(seed).permutation(known)]
        semst.tl.query(tissue, text, n_permutations=19)
        areas.append(area(tissue, labels, text, "CC"))
    assert 0.25 < np.mean(areas) < 0.75
    assert np.median(areas) < 0.9


@pytest.mark.parametrize(("name", "organs", "region", "words"), NAMES)
@pytest.mark.parametrize("told", [True, False], ids=["organs", "all organs"])
def test_regions_of_the_experts_are_named(real_file, name, organs, region, words, told):
    tissue, terms = described(real_file(name), organs if told else None)
    named = tissue.uns["region_description"]["names"].loc[region, "name"]
    assert any(word in named for word in words), named
    own = terms[(terms["domain"] == region) & (terms["term"] == named)].iloc[0]
    assert own["fdr"] < 0.05
    assert own["effect"] > 0.5


def test_shuffled_spots_of_real_tissue_have_no_names(real_file):
    """FDR 0.05 in each domain: of 35 of nothing, one or two may have a term; six or more are one case in a hundred."""
    tissue, labels = read(real_file("starmap_mvc"))
    tissue = tissue.copy()
    with_terms = 0
    for seed in range(5):
        tissue.obs["region"] = np.random.default_rng(seed).permutation(labels)
        with_terms += semst.tl.describe(tissue, key="region", n_permutations=29)["domain"].nunique()
    assert with_terms <= 5
