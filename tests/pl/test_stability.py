from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

import semst


@pytest.fixture
def adata():
    adata = AnnData(np.ones((3, 2), dtype=np.float32))
    values = np.array([[0.2, 0.4], [0.9, 0.7], [0.6, 0.4]])
    adata.uns["semst"] = {"n_clusters": 3, "stability": {"n_clusters": np.array([2, 3, 4]), "values": values}}
    return adata


def test_it_draws_the_mean_each_split_and_the_choice(adata):
    _, ax = plt.subplots()
    assert semst.pl.stability(adata, ax=ax) is ax
    mean, first, second, near, chosen = ax.lines
    np.testing.assert_allclose(mean.get_xydata(), [[2, 0.3], [3, 0.8], [4, 0.5]])
    np.testing.assert_allclose(first.get_ydata(), [0.2, 0.9, 0.6])
    np.testing.assert_allclose(second.get_ydata(), [0.4, 0.7, 0.4])
    np.testing.assert_allclose(chosen.get_xydata(), [[3, 0.8]])
    assert near.get_xydata().size == 0
    assert [text.get_text() for text in ax.texts] == ["3 domains"]
    plt.close()


def test_numbers_that_another_split_might_have_preferred_are_marked(adata):
    adata.uns["semst"]["stability"]["values"] = np.array([[0.2, 0.7], [0.9, 0.7], [0.6, 0.69]])
    near = semst.pl.stability(adata).lines[-2]
    np.testing.assert_allclose(near.get_xydata(), [[2, 0.45]])
    assert near.get_markerfacecolor() == "white"
    plt.close()


def test_a_number_that_was_given_leaves_no_curve(adata):
    del adata.uns["semst"]["stability"]
    with pytest.raises(KeyError, match=r"semst.tl.cluster\(adata, n_clusters=None\)"):
        semst.pl.stability(adata)
    with pytest.raises(KeyError, match="no stability in uns\\['other'\\]"):
        semst.pl.stability(adata, key="other")


def test_a_curve_that_was_tampered_with_is_an_error(adata):
    adata.uns["semst"]["n_clusters"] = 9
    with pytest.raises(ValueError, match="9 among them"):
        semst.pl.stability(adata)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored.update(n_clusters="many"),
        lambda stored: stored["stability"].update(values=[[0.1, 0.2], [0.3]]),
        lambda stored: stored["stability"].update(n_clusters=["two", "three"]),
    ],
)
def test_a_curve_without_numbers_is_an_error(adata, spoil):
    spoil(adata.uns["semst"])
    with pytest.raises(ValueError, match=r"is no number. Run `semst.tl.cluster\(adata, n_clusters=None\)` again"):
        semst.pl.stability(adata)


@pytest.mark.parametrize(
    ("spoil", "lost"),
    [
        (lambda stored: stored.pop("n_clusters"), r"no uns\['semst'\]\['n_clusters'\]"),
        (lambda stored: stored["stability"].pop("n_clusters"), r"no uns\['semst'\]\['stability'\]\['n_clusters'\]"),
        (lambda stored: stored["stability"].pop("values"), r"no uns\['semst'\]\['stability'\]\['values'\]"),
    ],
)
def test_a_part_that_is_missing_is_named(adata, spoil, lost):
    spoil(adata.uns["semst"])
    with pytest.raises(KeyError, match=rf"semst\.pl\.stability: {lost}. Run `semst.tl.cluster\(adata, n_clusters=None"):
        semst.pl.stability(adata)
    assert plt.get_fignums() == []


def test_axes_are_looked_at(adata):
    _, axes = plt.subplots(1, 2)
    assert semst.pl.stability(adata, ax=axes[:1]) is axes[0]
    with pytest.raises(ValueError, match="stability: `ax` has 2 Axes for 1 picture"):
        semst.pl.stability(adata, ax=axes)
    with pytest.raises(ValueError, match="stability: `ax` must hold Axes of matplotlib, got 'str'"):
        semst.pl.stability(adata, ax="x")
