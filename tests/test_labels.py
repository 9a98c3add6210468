"""An empty string is no label, wherever labels are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import semst
from semst._labels import empty_as_missing
from semst.metrics import agreement, chaos, pas


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_empty_strings_are_missing_and_the_dtype_stays(dtype):
    column = pd.Series(["a", "", None, "b"], dtype=dtype)
    read = empty_as_missing(column)
    assert read.isna().tolist() == [False, True, True, False]
    assert read.dtype == column.dtype
    assert column.isna().sum() == 1  # the user's own is as it was


@pytest.mark.parametrize(
    "column", [pd.Series([0, 1]), pd.Series([True, False]), pd.Series([0.5, None]), pd.Series(["a"])]
)
def test_what_holds_none_is_given_back(column):
    assert empty_as_missing(column) is column


@pytest.mark.parametrize("form", [list, np.array, pd.Series, pd.Categorical, pd.Index])
def test_metrics_leave_empty_labels_out(form):
    rng = np.random.default_rng(0)
    truth = rng.choice(["a", "b", ""], size=60).tolist()
    found = [label or str(number % 5) for number, label in enumerate(truth)]
    places = rng.random((60, 2))
    missing = [label or None for label in truth]
    assert agreement(form(truth), found) == agreement(missing, found)
    assert agreement(form(truth), found)["ari"] == 1
    assert pas(places, form(truth)) == pas(places, missing)
    assert chaos(places, form(truth)) == chaos(places, missing)


@pytest.mark.parametrize("dtype", [object, "category"])
def test_pictures_and_descriptions_know_no_empty_domain(dtype):
    plt.switch_backend("agg")
    adata = semst.datasets.simulated(n_spots=200, n_genes=100, n_domains=2, progress=False)
    labels = adata.obs["ground_truth"].astype(str)
    labels.iloc[:40] = ""
    adata.obs["labels"] = labels.astype(dtype)
    names = sorted(set(labels) - {""})
    ax = semst.pl.domains(adata, color="labels")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [*names, "unlabelled"]
    plt.close("all")
    semst.tl.describe(adata, key="labels", n_permutations=9)
    assert adata.uns["labels_description"]["names"].index.tolist() == names


def test_a_slice_without_a_name_is_refused_where_it_is_read():
    adata = semst.datasets.simulated(n_spots=200, n_genes=100, n_domains=2, progress=False)
    adata.obs["slice"] = [""] * 50 + ["b"] * (adata.n_obs - 50)
    with pytest.raises(ValueError, match=r"50 spots have no slice in obs\['slice'\]"):
        semst.tl.cluster(adata, n_clusters=2, batch_key="slice")
    with pytest.raises(ValueError, match=r"50 spots have no slice in obs\['slice'\]"):
        semst.pl.domains(adata, color="ground_truth", batch_key="slice")
