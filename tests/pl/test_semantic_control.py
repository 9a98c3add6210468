from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from semst.pl._palette import PALETTE
from semst.pl._semantic_control import semantic_control

WORDS = "meaning helps: " + "held-out explained counts +4.0 % ± 1.0 % (better), " * 6 + "and more."
MEASURES = ["stability", "held_out", "pas", "chaos", "ari"]


@pytest.fixture
def adata():
    """Two seeds, rows in no order: measure 0.1, 0.2, ... for each arm, a hundredth more with each seed."""
    rows = [
        {"arm": arm, "seed": seed} | dict.fromkeys(MEASURES, 0.1 * (place + 1) + 0.01 * seed)
        for seed in (1, 0)
        for place, arm in enumerate(("semantics", "permuted", "none"))
    ]
    runs = pd.DataFrame(rows)
    runs["arm"] = pd.Categorical(runs["arm"], categories=["none", "permuted", "semantics"])
    adata = AnnData(np.ones((3, 2), dtype=np.float32))
    adata.uns["semantic_control"] = {"runs": runs, "verdict": WORDS}
    return adata


def test_a_dot_for_each_run_a_line_for_each_seed_a_bar_for_each_mean(adata):
    axes = semantic_control(adata)
    assert len(axes) == 5
    for ax in axes:
        lines = {line.get_gid(): line for line in ax.lines}
        np.testing.assert_allclose(lines["seed 0"].get_xydata(), [[0, 0.1], [1, 0.2], [2, 0.3]])
        np.testing.assert_allclose(lines["seed 1"].get_xydata(), [[0, 0.11], [1, 0.21], [2, 0.31]])
        np.testing.assert_allclose(lines["permuted"].get_xydata(), [[1, 0.2], [1, 0.21]])
        bars = [bar.get_segments()[0] for bar in ax.collections]
        np.testing.assert_allclose([bar[:, 1] for bar in bars], np.array([[0.105], [0.205], [0.305]]) @ [[1, 1]])
        np.testing.assert_allclose([bar[:, 0].mean() for bar in bars], [0, 1, 2], atol=1e-12)
        assert {lines[arm].get_color() for arm in ("semantics", "permuted", "none")} <= set(PALETTE)
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["true", "permuted", "none"]


def test_panels_say_what_they_show_and_which_way_is_better(adata):
    labels = [ax.get_ylabel() for ax in semantic_control(adata)]
    assert ["less is better" in label for label in labels] == [False, False, True, True, False]
    assert "stability" in labels[0]
    assert "nats per molecule" in labels[1]
    assert "PAS" in labels[2]
    assert "CHAOS" in labels[3]
    assert "labels" in labels[4]


def test_the_verdict_stands_above_all_of_it_inside_the_figure(adata):
    axes = semantic_control(adata)
    figure = axes[0].figure
    figure.canvas.draw()
    head, rest = figure.texts
    assert head.get_text() == "Meaning helps"
    assert head.get_fontweight() == "bold"
    written = rest.get_text().replace("\N{NO-BREAK SPACE}", " ").replace("\n", " ")
    assert "Meaning helps: ".lower() + written[0].lower() + written[1:] == WORDS
    assert rest.get_text().count("\n") >= 1
    frame = figure.bbox
    lowest = min(text.get_window_extent().y0 for text in (head, rest))
    assert lowest > max(ax.get_tightbbox().y1 for ax in axes)
    for text in (head, rest):
        box = text.get_window_extent()
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert box.y1 <= frame.y1
    assert rest.get_window_extent().y1 < head.get_window_extent().y0 + 3


def test_without_labels_there_are_four(adata):
    adata.uns["semantic_control"]["runs"] = adata.uns["semantic_control"]["runs"].drop(columns="ari")
    assert len(semantic_control(adata)) == 4


def test_axes_of_the_user(adata):
    figure, given = plt.subplots(1, 5)
    axes = semantic_control(adata, ax=given)
    assert all(one is other for one, other in zip(axes, given, strict=True))
    assert given[0].get_title(loc="left") == "meaning helps"
    assert figure.texts == []
    with pytest.raises(ValueError, match=r"`ax` has 2 Axes for 5 measures \('stability'"):
        semantic_control(adata, ax=given[:2])


def test_axes_may_come_alone_or_in_rows(adata):
    adata.uns["semantic_control"]["runs"] = adata.uns["semantic_control"]["runs"].drop(columns="ari")
    _, grid = plt.subplots(2, 2)
    assert semantic_control(adata, ax=grid) == list(grid.ravel())
    with pytest.raises(ValueError, match="`ax` has 1 Axes for 4 measures"):
        semantic_control(adata, ax=grid[0, 0])
    with pytest.raises(ValueError, match="`ax` must hold Axes of matplotlib, got 'str'"):
        semantic_control(adata, ax=["x"] * 4)


def test_differences_of_no_account_do_not_fill_the_panel(adata):
    runs = adata.uns["semantic_control"]["runs"]
    runs["stability"] = 0.9 + 1e-4 * np.arange(6)
    runs["held_out"] = 2.0
    runs["pas"] = 0.0
    stability, held_out, pas = (np.ptp(ax.get_ylim()) for ax in semantic_control(adata)[:3])
    assert stability >= 0.1
    assert held_out >= 0.2
    assert pas > 0.02


def test_another_key(adata):
    adata.uns["other"] = adata.uns.pop("semantic_control")
    assert len(semantic_control(adata, key="other")) == 5
    with pytest.raises(KeyError, match=r"no semantic control in uns\['semantic_control'\].*tl.semantic_control\(adata"):
        semantic_control(adata)


def test_a_table_that_was_tampered_with_is_an_error(adata):
    adata.uns["semantic_control"]["runs"] = adata.uns["semantic_control"]["runs"].drop(columns=["pas", "seed"])
    with pytest.raises(ValueError, match="lacks the columns 'seed', 'pas'"):
        semantic_control(adata)


def test_not_anndata():
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got dict"):
        semantic_control({})


def test_after_reading_from_disk(adata, tmp_path):
    import anndata as ad

    adata.write_h5ad(tmp_path / "tissue.h5ad")
    assert len(semantic_control(ad.read_h5ad(tmp_path / "tissue.h5ad"))) == 5
