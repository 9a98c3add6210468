"""What can be worked with but is hardly what was meant is told, and ordinary tissue brings no such line."""

from __future__ import annotations

import logging
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import semst
from semst._doubts import (
    CONTROL_PROBES,
    warn_of_bare_glass,
    warn_of_control_probes,
    warn_of_joined_slices,
)

QUICK = {"n_clusters": 3, "epochs": 2, "semantics_key": None, "progress": False}


def one_slice(seed=0, *, platform="visium"):
    return semst.datasets.simulated(
        n_spots=200, n_genes=60, n_domains=3, platform=platform, random_state=seed, progress=False
    )


@pytest.fixture(scope="module")
def alone():
    return one_slice()


@pytest.fixture(scope="module")
def together():
    return ad.concat({"left": one_slice(0), "right": one_slice(1)}, label="slice", index_unique="-", merge="same")


@pytest.fixture
def told(caplog):
    """Give a function that runs something and returns what was warned of."""

    def lines(run):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="semst"):
            run()
        return [record.getMessage() for record in caplog.records]

    return lines


def of_slices(table, **options):
    return lambda: warn_of_joined_slices(table, np.asarray(table.obsm["spatial"]), where="cluster", **options)


def test_slices_that_use_the_same_array_are_told_unless_batch_key_tells_them_apart(together, told):
    lines = told(lambda: semst.tl.cluster(together, copy=True, **QUICK))
    assert len(lines) == 1
    assert re.match(r"cluster: \d+ of 400 spots share their position on the array .* as `batch_key`\.$", lines[0])
    assert not [
        line
        for line in told(lambda: semst.tl.cluster(together, copy=True, batch_key="slice", **QUICK))
        if "slices" in line
    ]


@pytest.mark.parametrize("platform", ["visium", "cells"])
def test_ordinary_tissue_brings_no_line(platform, told):
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


def test_most_coordinates_twice_are_told(told):
    cells = one_slice(platform="cells")
    twice = ad.concat({"a": cells, "b": cells}, label="slice", index_unique="-", merge="same")
    assert "400 of 400 spots have the very coordinates of another" in told(of_slices(twice))[0]


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


def test_slices_that_domains_were_found_in_are_remembered(told):
    cells = {"a": one_slice(0, platform="cells"), "b": one_slice(1, platform="cells")}
    table = ad.concat(cells, label="slice", index_unique="-", merge="same")
    assert told(of_slices(table)) == []  # nothing tells them apart yet
    semst.tl.cluster(table, batch_key="slice", **QUICK)
    way_out = "pass 'slice' as `batch_key`."
    names = {"one": list(table.var_names[:3])}
    lines = told(lambda: semst.tl.query(table, names, n_permutations=19, smooth=True))
    assert [line for line in lines if line.startswith("query: domains were found with batch_key='slice'")]
    lines = told(lambda: semst.tl.query(table, names, n_permutations=19, smooth=False))
    assert [line for line in lines if line.startswith("query: domains were found with batch_key='slice'")]
    lines = told(lambda: semst.metrics.score(table))
    assert len(lines) == 1
    assert lines[0].startswith("score: ")
    assert lines[0].endswith(way_out)
    assert told(lambda: semst.metrics.score(table, batch_key="slice")) == []
    apart = table[table.obs["slice"] == "a"]
    assert told(lambda: semst.metrics.score(apart)) == []
    table.obsm["spatial"][table.obs["slice"] == "b"] += 1e6
    assert told(lambda: semst.metrics.score(table)) == []


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


@pytest.mark.parametrize(
    "name",
    [
        *("NegControlProbe_00042", "NegControlCodeword_0500", "UnassignedCodeword_0001", "DeprecatedCodeword_0321"),
        *("Intergenic_Region_7", "antisense_PROKR2", "BLANK_0006", "Blank-12", "NegPrb3", "Negative01"),
        *("SystemControl7", "FalseCode12", "DEPRECATED_ENSG00000000003"),
    ],
)
def test_control_probes_are_told_with_the_line_that_removes_them(alone, name, told):
    adata = alone[:, :10].copy()
    adata.var_names = [name, *alone.var_names[1:10]]
    lines = told(lambda: warn_of_control_probes(adata, where="cluster"))
    assert f"1 name is that of a control probe ({name!r})" in lines[0]
    namespace = {"adata": adata}
    exec(re.search(r"`(adata = .*)`", lines[0])[1], namespace)
    assert namespace["adata"].var_names.tolist() == alone.var_names[1:10].tolist()


def test_no_gene_is_a_control_probe():
    from semst.semantics._packaged import gene_index

    for species in ("human", "mouse"):
        symbols = pd.Index(gene_index(species).symbols)
        assert symbols[symbols.str.match("|".join(CONTROL_PROBES))].tolist() == []


def test_cluster_tells_control_probes(alone, told):
    adata = alone.copy()
    adata.var_names = ["BLANK_0001", "Blank-1", *alone.var_names[2:]]
    lines = told(lambda: semst.tl.cluster(adata, **QUICK))
    assert "cluster: 2 names are those of control probes ('BLANK_0001', 'Blank-1') and take part" in lines[0]


@pytest.mark.parametrize("dtype", [int, bool, float, str, "category"])
def test_spots_beside_the_tissue_are_told_with_the_line_that_leaves_them_out(alone, dtype, told):
    adata = alone.copy()
    marks = pd.Series(np.r_[0, 0, np.ones(adata.n_obs - 2, dtype=int)], index=adata.obs_names)
    adata.obs["in_tissue"] = marks.astype(str).astype("category") if dtype == "category" else marks.astype(dtype)
    lines = told(lambda: warn_of_bare_glass(adata, where="cluster"))
    assert lines[0].startswith("cluster: 2 spots do not lie in the tissue (obs['in_tissue'] is 0)")
    namespace = {"adata": adata}
    exec(re.search(r"`(adata = .*)`", lines[0])[1], namespace)
    assert namespace["adata"].n_obs == alone.n_obs - 2
    assert told(lambda: warn_of_bare_glass(namespace["adata"], where="cluster")) == []


def test_cluster_tells_spots_beside_the_tissue(alone, told):
    adata = alone.copy()
    adata.obs["in_tissue"] = np.r_[0, np.ones(adata.n_obs - 1, dtype=int)]
    assert told(lambda: semst.tl.cluster(adata, **QUICK))[0].startswith("cluster: 1 spot does not lie in the tissue")
