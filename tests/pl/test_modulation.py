from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

import semst
from semst.pl import _modulation
from semst.pl._modulation_genes import _percent
from semst.pl._palette import PALETTE, oklab


@pytest.fixture
def adata(visium):
    """Three domains; domain 3 is modulated most, by two genes, of which it has one and lacks the other."""
    rng = np.random.default_rng(0)
    strength = visium.obs["semst"].map({"1": 1.0, "2": 2.0, "3": 4.0}).astype(float).to_numpy()
    visium.obs["semst_alpha"] = (0.02 * strength * rng.uniform(0.9, 1.1, 144)).astype(np.float32)
    visium.obs["semst_beta"] = (0.1 * strength * rng.uniform(0.9, 1.1, 144)).astype(np.float32)
    means = visium.obs.groupby("semst", observed=True)[["semst_alpha", "semst_beta"]].mean()
    visium.uns["semst"] = {
        "modulation": {
            "domains": np.array(["1", "2", "3"], dtype=object),
            "alpha": means["semst_alpha"].to_numpy(dtype=np.float32),
            "beta": means["semst_beta"].to_numpy(dtype=np.float32),
            "constant": {"alpha": 0.25, "beta": 0.14},
            "genes": np.array([["A", "B", "C"], ["C", "A", "B"], ["MBP", "SNAP25", "A"]], dtype=object),
            "influence": np.array([[0.03, -0.02, 0.01], [0.04, 0.03, 0.02], [0.2, 0.1, 0.05]], dtype=np.float32),
            "relative_share": np.array([[1.2, 0.8, 1.1], [0.5, 2, 1], [3, 0.2, 1.5]], dtype=np.float32),
        }
    }
    return visium


def cells(ax):
    """Gene and share by row and column, and the colour of their cells."""
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    texts = [text.get_text() for text in ax.texts]
    return list(zip(texts[::2], texts[1::2], [patch.get_facecolor()[:3] for patch in boxes], strict=True))


def test_two_maps_boxes_and_genes(adata):
    before = set(adata.uns), set(adata.obs)
    axes = semst.pl.modulation(adata)
    assert [ax.get_title() for ax in axes] == ["factor: size of α", "shift: size of β", "by domain", "genes behind it"]
    for ax, key in zip(axes[:2], ("semst_alpha", "semst_beta"), strict=True):
        (circles,) = [each for each in ax.collections if each.get_gid() == "values"]
        np.testing.assert_allclose(circles.get_array(), adata.obs[key])
        assert circles.get_clim() == pytest.approx((0, adata.obs[key].quantile(0.99)))
    assert (set(adata.uns) - {"semst_colors"}, set(adata.obs)) == before
    assert adata.uns["semst_colors"] == list(PALETTE[:3])  # for other pictures


def test_boxes_are_the_quartiles_of_each_domain_in_its_colour(adata):
    semst.pl.domains(adata)
    ax = semst.pl.modulation(adata)[2]
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["1", "2", "3"]
    places = [(domain, key) for domain in "123" for key in ("semst_alpha", "semst_beta")]
    for box, (domain, key) in zip(boxes, places, strict=True):
        values = adata.obs.loc[adata.obs["semst"] == domain, key]
        first, third = np.quantile(values, [0.25, 0.75])
        assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((first, third))
        color = to_rgb(adata.uns["semst_colors"][int(domain) - 1])
        # Its mixture with white or black, so the share of that is the same in red, green and blue.
        tone = np.array(box.get_facecolor()[:3])
        assert box.get_edgecolor() == box.get_facecolor()  # of a narrow box nothing else is seen
        end = 1.0 if tone.sum() > sum(color) else 0.0
        shares = (tone - color) / (end - np.array(color))
        np.testing.assert_allclose(shares, shares.mean(), atol=0.02)
        assert abs(box.get_y() + box.get_height() / 2 - (int(domain) - 1)) < 0.4
    assert "α 0.25, β 0.14" in ax.get_xlabel()
    assert ax.get_xlim()[0] == 0


@pytest.mark.parametrize("color", [*PALETTE, "#d9d9d9", "black", "white", "yellow"])
def test_the_two_boxes_of_a_domain_are_told_apart_whatever_its_colour(color):
    light, dark = (_modulation._tone(color, lightness) for lightness in (_modulation._LIGHT, _modulation._DARK))
    (upper, lower) = oklab([light, dark])[:, 0]
    assert upper == pytest.approx(0.8, abs=0.02)  # white is 1
    assert lower == pytest.approx(0.42, abs=0.02)


def test_the_legend_of_the_boxes_has_their_places_and_tones(adata):
    ax = semst.pl.modulation(adata)[2]
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.texts] == ["α, above (light)", "β, below (dark)"]
    light, dark = (oklab([mark.get_facecolor()])[0, 0] for mark in legend.legend_handles)
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    for alpha, beta in zip(boxes[::2], boxes[1::2], strict=True):
        assert alpha.get_y() < beta.get_y()  # the axis points down
        tones = oklab([alpha.get_facecolor(), beta.get_facecolor()])[:, 0]
        np.testing.assert_allclose(tones, [light, dark], atol=0.02)


def test_colour_bars_and_shares_say_what_they_are(adata):
    axes = semst.pl.modulation(adata)
    for ax in axes[:2]:
        (bar,) = ax.child_axes
        assert bar.get_ylabel() == "size relative to the features"
    told = " ".join(axes[3].get_legend().get_title().get_text().split())
    assert "when the gene's vector becomes the mean gene's" in told
    assert "need not add up to 100 %" in told


@pytest.mark.parametrize("n_genes", [1, 6])
def test_what_is_written_below_boxes_and_genes_does_not_overlap(adata, n_genes):
    axes = semst.pl.modulation(adata, n_genes=n_genes)
    axes[0].figure.canvas.draw()
    boxes, genes = axes[2].xaxis.label.get_window_extent(), axes[3].get_legend().get_window_extent()
    assert boxes.x1 < genes.x0
    assert genes.x1 <= axes[0].figure.bbox.x1


def test_genes_are_named_the_strongest_deepest_and_their_colour_says_more_or_less(adata):
    found = cells(semst.pl.modulation(adata)[3])
    assert [gene for gene, _, _ in found] == ["A", "B", "C", "C", "A", "B", "MBP", "SNAP25", "A"]
    assert [percent for _, percent, _ in found][:2] == ["3 %", "−2 %"]
    assert found[6][1] == "20 %"
    red, _, blue = zip(*[color for *_, color in found], strict=True)
    warm = np.array(red) > np.array(blue)
    np.testing.assert_array_equal(warm, [True, False, True, False, True, True, True, False, True])
    depth = [1 - min(color) for *_, color in found]
    assert int(np.argmax(depth)) == 6


def test_only_as_many_genes_as_asked_for(adata):
    ax = semst.pl.modulation(adata, n_genes=2)[3]
    assert [gene for gene, *_ in cells(ax)] == ["A", "B", "C", "A", "MBP", "SNAP25"]
    assert ax.get_xlim() == (0, 2)
    assert ax.get_ylim() == semst.pl.modulation(adata)[2].get_ylim()  # rows of boxes and genes are level


def test_genes_that_go_by_ids_are_named_by_symbol(adata):
    stored = adata.uns["semst"]["modulation"]["genes"]
    stored[stored == "MBP"] = "ENSG00000197971"
    assert [gene for gene, *_ in cells(semst.pl.modulation(adata)[3])][6:] == ["MBP", "SNAP25", "A"]


def test_where_genes_cannot_be_told_it_says_why(adata):
    stored = adata.uns["semst"]["modulation"]
    for name in ("genes", "influence", "relative_share"):
        del stored[name]
    stored["why_no_genes"] = "obsm['mine'] was not made from vectors of genes"
    (text,) = semst.pl.modulation(adata)[3].texts
    assert "obsm['mine'] was not made from vectors of genes" in text.get_text()


def test_renamed_domains_keep_their_rows(adata):
    adata.obs["semst"] = adata.obs["semst"].cat.rename_categories({"1": "b", "2": "a", "3": "white matter"})
    axes = semst.pl.modulation(adata, n_genes=1)
    assert [text.get_text() for text in axes[2].get_yticklabels()] == ["a", "b", "white matter"]
    assert [gene for gene, *_ in cells(axes[3])] == ["C", "A", "MBP"]


def test_names_that_domains_gave_each_other_go_with_their_spots(adata):
    adata.obs["semst"] = adata.obs["semst"].cat.rename_categories({"1": "3", "3": "1"})
    axes = semst.pl.modulation(adata, n_genes=1)
    assert [text.get_text() for text in axes[2].get_yticklabels()] == ["1", "2", "3"]
    assert [gene for gene, *_ in cells(axes[3])] == ["MBP", "C", "A"]


@pytest.mark.parametrize(
    "names", [{"1": "3", "2": "2", "3": "1"}, {"1": "c", "2": "b", "3": "a"}], ids=["given", "new"]
)
@pytest.mark.parametrize(
    "kept_as",
    [
        lambda named: named.astype(object),
        lambda named: named.astype("string"),
        lambda named: named.astype(str).astype("category"),
        lambda named: named.cat.reorder_categories(sorted(named.cat.categories)),
    ],
    ids=["object", "string", "sorted anew", "reordered"],
)
def test_names_go_with_their_spots_in_whatever_column(adata, names, kept_as):
    adata.obs["semst"] = kept_as(adata.obs["semst"].cat.rename_categories(names))
    assert [gene for gene, *_ in cells(semst.pl.modulation(adata, n_genes=1)[3])] == ["MBP", "C", "A"]


def test_categories_in_another_order_keep_their_rows(adata):
    adata.obs["semst"] = adata.obs["semst"].cat.reorder_categories(["3", "1", "2"])
    assert [gene for gene, *_ in cells(semst.pl.modulation(adata, n_genes=1)[3])] == ["A", "C", "MBP"]


@pytest.mark.parametrize(
    "other",
    [
        lambda labels: pd.Categorical(np.resize(["a", "b", "c"], 144)),
        lambda labels: np.resize(["L1", "L2", "L3"], 144),
        lambda labels: labels.map({"1": "a", "2": "b", "3": "b"}).astype(object),
    ],
    ids=["other categories", "other text", "two domains joined"],
)
def test_as_many_labels_of_other_spots_are_refused(adata, other):
    adata.obs["semst"] = other(adata.obs["semst"])
    with pytest.raises(ValueError, match="its modulation is that of '1', '2', '3'; run .* another key"):
        semst.pl.modulation(adata)
    assert plt.get_fignums() == []
    assert "semst_colors" not in adata.uns


def test_without_means_only_categories_can_have_been_renamed(adata):
    del adata.uns["semst"]["modulation"]["alpha"], adata.uns["semst"]["modulation"]["beta"]
    adata.obs["semst"] = adata.obs["semst"].cat.rename_categories({"1": "b", "2": "a", "3": "c"})
    assert [gene for gene, *_ in cells(semst.pl.modulation(adata, n_genes=1)[3])] == ["C", "A", "MBP"]
    adata.obs["semst"] = adata.obs["semst"].astype(object)
    with pytest.raises(ValueError, match="its modulation is that of"):
        semst.pl.modulation(adata)


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_a_spot_without_a_label_is_no_domain(adata, missing):
    adata.obs["semst"] = adata.obs["semst"].astype(object)
    adata.obs.iloc[5, adata.obs.columns.get_loc("semst")] = missing
    axes = semst.pl.modulation(adata, n_genes=1)
    assert [text.get_text() for text in axes[2].get_yticklabels()] == ["1", "2", "3"]
    assert [gene for gene, *_ in cells(axes[3])] == ["A", "C", "MBP"]


def test_domains_may_be_whole_numbers(adata):
    adata.obs["semst"] = adata.obs["semst"].astype(int)
    assert [gene for gene, *_ in cells(semst.pl.modulation(adata, n_genes=1)[3])] == ["A", "C", "MBP"]


def test_names_of_a_run_are_changed_and_its_genes_stay():
    adata = semst.datasets.simulated(n_spots=200, n_genes=150, n_domains=3, progress=False)
    semst.tl.cluster(adata, n_clusters=3, epochs=2, progress=False)
    genes = [gene for gene, *_ in cells(semst.pl.modulation(adata, n_genes=1)[3])]
    adata.obs["semst"] = adata.obs["semst"].cat.rename_categories({"1": "z", "2": "y", "3": "x"})
    assert [gene for gene, *_ in cells(semst.pl.modulation(adata, n_genes=1)[3])] == genes[::-1]


def test_the_figure_is_as_wide_as_the_genes_there_are(adata):
    wide, enough = (semst.pl.modulation(adata, n_genes=n)[0].figure.get_figwidth() for n in (1000, 3))
    assert wide == enough < 20


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"cmap": "nope"}, "`cmap` must be the name"),
        ({"cmap": plt.get_cmap("viridis")}, "`cmap` must be the name"),
        ({"size": -1}, "`size` must be above 0, got -1"),
        ({"image": "nope"}, "no image 'nope'"),
        ({"image": 3}, "`image` must be True, False"),
        ({"ax": ["x"] * 4}, "`ax` must hold Axes of matplotlib, got 'str'"),
    ],
)
def test_options_of_the_maps_are_told_with_all_else_and_before_there_is_a_figure(adata, option, told):
    with pytest.raises(ValueError, match=r"semst\.pl\.modulation: 2 problems") as raised:
        semst.pl.modulation(adata, n_genes=0, **option)
    assert told in str(raised.value)
    assert "n_genes" in str(raised.value)
    assert plt.get_fignums() == []
    assert "semst_colors" not in adata.uns


def test_spots_that_are_not_those_of_the_run_are_told(adata, caplog):
    semst.pl.modulation(adata)
    semst.pl.modulation(adata[adata.obs["semst"] != "1"].copy())
    assert caplog.text == ""
    axes = semst.pl.modulation(adata[5:].copy(), n_genes=1)
    assert [gene for gene, *_ in cells(axes[3])] == ["A", "C", "MBP"]
    assert "the spots of the domains in obs['semst'] are not those of the run" in caplog.text


def test_a_part_of_the_tissue_has_the_rows_of_its_domains(adata):
    part = adata[adata.obs["semst"] != "1"].copy()
    axes = semst.pl.modulation(part, n_genes=1)
    assert [text.get_text() for text in axes[2].get_yticklabels()] == ["2", "3"]
    assert [gene for gene, *_ in cells(axes[3])] == ["C", "MBP"]


def test_given_axes_are_used(adata):
    _, grid = plt.subplots(2, 2, layout="constrained")
    assert semst.pl.modulation(adata, ax=grid) == list(grid.ravel())
    with pytest.raises(ValueError, match="`ax` has 2 Axes for 4 panels"):
        semst.pl.modulation(adata, ax=grid[0])


@pytest.mark.parametrize("squeeze", [(1, 5), (5, 1)])
def test_wide_tissue_has_its_maps_above_each_other_tall_tissue_side_by_side(adata, squeeze):
    adata.obsm["spatial"] = adata.obsm["spatial"] / squeeze
    del adata.obs["array_row"], adata.obs["array_col"]
    first, second, boxes, genes = semst.pl.modulation(adata)
    first.figure.canvas.draw()
    one, two, three, four = (ax.get_position() for ax in (first, second, boxes, genes))
    assert (two.y1 < one.y0) if squeeze == (1, 5) else (two.x0 > one.x1)
    assert max(one.x1, two.x1) < three.x0 < three.x1 < four.x0


def test_long_names_and_many_domains_stay_inside_the_figure(adata):
    many = [str(number) for number in range(1, 16)]
    adata.obs["semst"] = pd.Categorical(np.resize(many, 144), categories=many)
    genes = np.full((15, 20), "3110035E14Rik", dtype=object)
    stored = adata.uns["semst"]["modulation"]
    stored["domains"], stored["genes"] = np.array(many, dtype=object), genes
    stored["influence"], stored["relative_share"] = np.full((15, 20), 0.1), np.ones((15, 20))
    stored["alpha"] = stored["beta"] = np.ones(15)
    axes = semst.pl.modulation(adata)
    renderer = axes[0].figure.canvas.get_renderer()
    axes[0].figure.canvas.draw()
    width = axes[3].transData.transform((1, 0))[0] - axes[3].transData.transform((0, 0))[0]
    assert max(text.get_window_extent(renderer).width for text in axes[3].texts) < width
    page = axes[0].figure.bbox
    assert all(page.contains(box.x0 + 1, box.y0 + 1) for box in (ax.get_tightbbox(renderer) for ax in axes))


def test_what_is_missing_is_named(adata):
    for change, message in (
        (lambda each: each.uns.pop("semst"), r"no uns\['semst'\]\['modulation'\]"),
        (
            lambda each: each.obs.pop("semst_alpha"),
            r"no obs\['semst_alpha'\].*unless it is told to do without",
        ),
    ):
        broken = adata.copy()
        change(broken)
        with pytest.raises(KeyError, match=message):
            semst.pl.modulation(broken)
    with pytest.raises(KeyError, match=r"no obs\['other'\] and no obs\['other_alpha'\]"):
        semst.pl.modulation(adata, key="other")


def test_bad_values_are_named_together(adata):
    adata.obs["semst"] = pd.Categorical(np.where(np.arange(144) < 70, "1", "new"))
    with pytest.raises(ValueError, match=r"(?s)n_genes must be.*got 0") as raised:
        semst.pl.modulation(adata, n_genes=0)
    assert "its modulation is that of '1', '2', '3'" in str(raised.value)


def test_spatialdata(spatialdata_circles, adata):
    table = spatialdata_circles.tables["table"]
    for name in ("semst_alpha", "semst_beta"):
        table.obs[name] = adata.obs[name].reindex(table.obs_names).to_numpy()
    table.uns["semst"] = adata.uns["semst"]
    axes = semst.pl.modulation(spatialdata_circles)
    assert [gene for gene, *_ in cells(axes[3])][6] == "MBP"
    assert axes[0].images  # the tissue lies beneath


def test_what_is_missing_is_said_with_the_limit_of_the_training(adata):
    from semst.training._train_tiles import _MODULATED

    bare = adata.copy()
    del bare.obs["semst_alpha"]
    limit = f"{_MODULATED:,}".replace(",", " ")
    with pytest.raises(KeyError, match=f"more than {limit} spots.*this table has {adata.n_obs}"):
        semst.pl.modulation(bare)


@pytest.mark.parametrize("given", [False, True])
def test_each_slice_has_both_maps_on_one_scale(adata, given):
    adata.obs["slice"] = np.where(np.arange(144) < 60, "s2", "s10")
    ax = plt.subplots(2, 3)[1].ravel() if given else None
    axes = semst.pl.modulation(adata, batch_key="slice", ax=ax)
    titles = ["factor: size of α, s2", "factor: size of α, s10", "shift: size of β, s2", "shift: size of β, s10"]
    assert [panel.get_title().replace("\n", " ") for panel in axes] == [*titles, "by domain", "genes behind it"]
    for number, (panel, piece) in enumerate(zip(axes[:4], ["s2", "s10"] * 2, strict=True)):
        key = ["semst_alpha", "semst_beta"][number // 2]
        (circles,) = [each for each in panel.collections if each.get_gid() == "values"]
        part = adata[adata.obs["slice"] == piece]
        np.testing.assert_allclose(circles.get_array(), part.obs[key])
        np.testing.assert_allclose(circles.get_offsets(), part.obsm["spatial"])
        assert circles.get_clim() == pytest.approx((0, adata.obs[key].quantile(0.99)))
    if not given:
        places = [(each.get_subplotspec().rowspan.start, each.get_subplotspec().colspan.start) for each in axes]
        assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3)]


def test_one_slice_is_named_once(adata):
    adata.obs["slice"] = "only"
    titles = [panel.get_title().replace("\n", " ") for panel in semst.pl.modulation(adata, batch_key="slice")]
    assert titles[:2] == ["factor: size of α, only", "shift: size of β, only"]


@pytest.mark.parametrize(
    ("share", "told"), [(1.9, "190 %"), (0.123, "12 %"), (0.0123, "1.2 %"), (-0.4, "−40 %"), (0.0996, "10 %")]
)
def test_shares_are_whole_percent_or_two_digits(share, told):
    assert _percent(share) == told


def test_slices_that_are_missing_and_too_few_axes_are_told_together(adata):
    adata.obs["slice"] = "one"
    with pytest.raises(ValueError, match="`ax` has 1 Axes for 4 panels"):
        semst.pl.modulation(adata, batch_key="slice", ax=[plt.figure().add_subplot()])
    with pytest.raises(KeyError, match="no obs\\['sample'\\], which `batch_key` names"):
        semst.pl.modulation(adata, batch_key="sample")
