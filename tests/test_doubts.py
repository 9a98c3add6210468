"""What can be worked with but is hardly what was meant is told; ordinary tissue is looked at by test_joined."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import semst
from semst._doubts import CONTROL_PROBES, warn_of_bare_glass, warn_of_control_probes

QUICK = {"n_clusters": 3, "epochs": 2, "semantics_key": None, "progress": False}


@pytest.fixture(scope="module")
def alone(one_slice):
    return one_slice()


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
