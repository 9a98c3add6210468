"""Slices that are about to be taken for one are told, and ordinary tissue brings no line."""

from __future__ import annotations

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import semst
from semst._doubts import warn_of_bare_glass, warn_of_control_probes
from semst._joined import USUAL_KEYS, warn_of_joined_slices

QUICK = {"n_clusters": 3, "epochs": 2, "semantics_key": None, "progress": False}


@pytest.fixture(scope="module")
def together(one_slice):
    return ad.concat({"left": one_slice(0), "right": one_slice(1)}, label="slice", index_unique="-", merge="same")


def of_slices(table, **options):
    return lambda: warn_of_joined_slices(table, np.asarray(table.obsm["spatial"]), where="cluster", **options)


@pytest.mark.parametrize("platform", ["visium", "cells"])
def test_ordinary_tissue_brings_no_line(one_slice, platform, told):
    table = one_slice(platform=platform)

    def everything():
        semst.tl.cluster(table, **QUICK)
        semst.metrics.score(table)
        semst.metrics.semantic_drift(table, key="X_semst")

    assert [line for line in told(everything) if "groups" not in line] == []


@pytest.mark.parametrize("name", ["dlpfc_151673", "osmfish_ssc", "starmap_mpfc_BZ5", "her2st_H1"])
def test_real_tissue_brings_no_line(real_file, name, told):
    """A fifth of the cells of osmFISH have the rounded coordinates of another."""
    table = ad.read_h5ad(real_file(name))

    def everything():
        of_slices(table)()
        warn_of_control_probes(table, where="cluster")
        warn_of_bare_glass(table, where="cluster")

    assert told(everything) == []


def test_slices_that_use_the_same_array_are_told_unless_batch_key_tells_them_apart(together, told):
    nameless = together.copy()
    del nameless.obs["slice"]
    lines = told(lambda: semst.tl.cluster(nameless, **QUICK))
    assert len(lines) == 1
    assert re.match(r"cluster: \d+ of 400 spots share their position on the array .* as `batch_key`\.$", lines[0])
    assert not [
        line
        for line in told(lambda: semst.tl.cluster(together, copy=True, batch_key="slice", **QUICK))
        if "slices" in line
    ]


def test_most_coordinates_twice_are_told(one_slice, told):
    cells = one_slice(platform="cells")
    twice = ad.concat({"a": cells, "b": cells}, label="donor", index_unique="-", merge="same")
    assert "400 of 400 spots have the very coordinates of another" in told(of_slices(twice))[0]


def test_the_usual_names_of_slices_are_known_and_parts_of_one_tissue_are_not_slices(one_slice, told):
    cells = {"a": one_slice(0, platform="cells"), "b": one_slice(1, platform="cells")}
    table = ad.concat(cells, label="donor", index_unique="-", merge="same")
    assert told(of_slices(table)) == []
    for key in ("slice", "library_id", "batch"):
        assert key in USUAL_KEYS
        named = table.copy()
        named.obs[key] = named.obs.pop("donor")
        lines = told(of_slices(named))
        assert [f"spots of 2 names in obs[{key!r}] ('a', 'b') overlap, so" in line for line in lines] == [True]
        assert f"pass {key!r} as `batch_key`" in lines[0]
    halves = cells["a"].copy()
    halves.obs["section"] = np.where(halves.obsm["spatial"][:, 0] < np.median(halves.obsm["spatial"][:, 0]), "l", "r")
    assert told(of_slices(halves)) == []
    halves.obs["section"] = halves.obs_names  # a name for each spot is that of no slice
    assert told(of_slices(halves)) == []


def test_who_asks_joined_slices_is_told_unless_batch_key_tells_them_apart(together, told):
    def ask(**options):
        asked = {"one": list(together.var_names[:3])}
        return told(lambda: semst.tl.query(together.copy(), asked, n_permutations=19, **options))

    assert any(line.startswith("query: ") and "as `batch_key`" in line for line in ask())
    assert not any("slices" in line for line in ask(batch_key="slice"))


def test_the_control_of_semantics_is_told_as_well(together, told):
    table = together.copy()
    table.obs["in_tissue"] = np.r_[0, np.ones(table.n_obs - 1, dtype=int)]
    options = {"n_clusters": 2, "seeds": 2, "epochs": 1, "progress": False}
    lines = told(lambda: semst.tl.semantic_control(table, **options))
    assert sum(line.startswith("semantic_control: ") and "as `batch_key`" in line for line in lines) == 1
    assert sum(line.startswith("semantic_control: 1 spot does not lie in the tissue") for line in lines) == 1


@pytest.fixture(scope="module")
def donors(one_slice):
    """Two slices of cells, told apart by a key that is not a usual one."""
    cells = {"a": one_slice(0, platform="cells"), "b": one_slice(1, platform="cells")}
    return ad.concat(cells, label="donor", index_unique="-", merge="same")


def cluster(table):
    semst.tl.cluster(table, batch_key="donor", **QUICK)


def transfer(table):
    model = semst.SemST.train(table[table.obs["donor"] == "a"].copy(), **QUICK)
    semst.tl.transfer(model, table, batch_key="donor")


@pytest.mark.parametrize("find", [cluster, transfer])
def test_slices_that_domains_were_found_in_are_remembered(find, donors, told):
    table = donors.copy()
    assert told(of_slices(table)) == []  # nothing tells them apart yet
    find(table)
    names = {"one": list(table.var_names[:3])}
    for smooth in (True, False):
        lines = told(lambda: semst.tl.query(table, names, n_permutations=19, smooth=smooth))  # noqa: B023
        asked = [line for line in lines if line.startswith("query: domains were found with batch_key='donor'")]
        assert len(asked) == 1
        assert asked[0].endswith("pass 'donor' as `batch_key`.")
    apart = table[table.obs["donor"] == "a"]
    assert told(lambda: semst.metrics.score(apart)) == []


def test_borders_of_domains_of_slices_are_judged_slice_by_slice_however_slices_lie(donors, told):
    table = donors.copy()
    cluster(table)
    for far in (0, 1e6):
        table.obsm["spatial"][table.obs["donor"] == "b"] += far
        lines = told(lambda: semst.metrics.score(table))
        assert [line.split(";")[0] for line in lines] == [
            "score: the domains obs['semst'] were found with batch_key='donor'"
        ]
        assert told(lambda: semst.metrics.score(table, batch_key="donor")) == []


@pytest.mark.parametrize(
    "draw", [semst.pl.domains, semst.pl.query, semst.pl.modulation], ids=["domains", "query", "modulation"]
)
def test_slices_drawn_one_upon_the_other_are_told(draw, donors, told):
    import matplotlib.pyplot as plt

    table = donors.copy()
    semst.tl.cluster(table, batch_key="donor", **QUICK | {"semantics_key": "gene_semantics"})
    semst.tl.query(table, {"one": list(table.var_names[:3])}, n_permutations=19, batch_key="donor")
    lines = told(lambda: draw(table))
    assert [line.startswith("pl: domains were found with batch_key='donor'") for line in lines] == [True]
    assert told(lambda: draw(table, batch_key="donor")) == []
    table.obsm["spatial"][table.obs["donor"] == "b"] += 1e6  # side by side they may well be drawn in one panel
    assert told(lambda: draw(table)) == []
    plt.close("all")


def test_maps_of_different_slices_are_told(donors, told):
    table = donors.copy()
    for name, key in (("one", "donor"), ("two", None), ("three", None)):
        semst.tl.query(table, {name: list(table.var_names[:3])}, n_permutations=19, batch_key=key)
    options = {"batch_key": "donor", "image": False}
    told_of = "query: 'one' with batch_key='donor' and 'three' without batch_key were asked of different slices"
    assert [line.startswith(told_of) for line in told(lambda: semst.pl.query(table, **options))] == [True]
    assert told(lambda: semst.pl.query(table, names=["two", "three"], **options)) == []


def test_genes_that_a_slice_lacks_are_told(donors, told):
    """As an outer join of tables with different genes leaves them."""
    apart = {name: donors[donors.obs["donor"] == name] for name in ("a", "b")}
    apart = {name: each[:, 10 * (name == "a") : 50 + 10 * (name == "b")].copy() for name, each in apart.items()}
    outer = ad.concat(apart, label="donor", join="outer", fill_value=0)
    outer.obsm["spatial"] = donors.obsm["spatial"]
    lines = told(lambda: cluster(outer))
    assert "20 of 60 genes are zero throughout a slice of obs['donor']" in lines[0]
    assert 'join="inner"' in lines[0]
    inner = ad.concat(apart, label="donor")
    assert not [line for line in told(lambda: cluster(inner)) if "genes" in line]


def test_a_graph_that_is_there_joins_nothing_anew(together, told):
    from scipy import sparse

    table = together.copy()
    table.obsp["spatial_connectivities"] = sparse.csr_matrix(np.eye(table.n_obs, k=1, dtype=np.float32))
    assert told(of_slices(table, by_graph=True)) == []
    assert len(told(of_slices(table))) == 1  # where more than neighbours is compared


def test_regions_that_overlap_are_told_and_fields_of_view_are_not(told):
    rng = np.random.default_rng(0)
    table = ad.AnnData(np.ones((200, 1), dtype=np.float32), obsm={"spatial": rng.random((200, 2))})
    table.obs["region"] = pd.Categorical(np.repeat(["first", "second"], 100))
    table.uns["spatialdata_attrs"] = {"region": ["first", "second"], "region_key": "region", "instance_key": "id"}
    lines = told(of_slices(table))
    assert "2 regions ('first', 'second') whose coordinates overlap" in lines[0]
    assert "pass 'region' as `batch_key`" in lines[0]
    table.obsm["spatial"][100:, 0] += 0.95  # side by side, with a seam
    assert told(of_slices(table)) == []
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)  # turned, their bounds overlap most
    table.obsm["spatial"] = table.obsm["spatial"] @ turn
    assert told(of_slices(table)) == []
