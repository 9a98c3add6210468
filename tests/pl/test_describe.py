from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from matplotlib.colors import to_hex

import semst
from semst.pl._palette import PALETTE

ROWS = [
    # domain, term, kind, effect, fdr
    ("1", "axon growth", "process", 2.0, 1e-2),
    ("1", "oligodendrocytes", "cell type", 1.5, 1e-3),
    ("1", "myelin sheath", "structure", 1.0, 4e-2),
    ("3", "T cells", "cell type", 0.8, 1e-9),
    ("3", "myelin sheath", "structure", 0.2, 1e-4),
    ("10", "wound healing", "process", 0.4, 2e-2),
]


def describe_by_hand(adata, rows=ROWS, key="semst"):
    terms = pd.DataFrame(rows, columns=["domain", "term", "kind", "effect", "fdr"])
    terms["z"], terms["p_value"], terms["genes"] = 3.0, terms["fdr"] / 10, "A B"
    domains = [str(each) for each in adata.obs[key].cat.categories]
    things = terms[terms["kind"] != "process"].groupby("domain")["term"].first()
    names = pd.DataFrame(
        {"name": [things.get(domain, "no term fits") for domain in domains], "account": ""},
        index=pd.Index(domains, name="domain"),
    )
    adata.uns[f"{key}_description"] = {"names": names, "terms": terms, "params": {}, "versions": {}}
    return adata


@pytest.fixture
def adata():
    """Domain 1 is named by its second term, 10 goes by a process alone, 2 by nothing; categories in no order."""
    adata = AnnData(np.ones((8, 2), dtype=np.float32))
    adata.obs["semst"] = pd.Categorical(["10", "1", "2", "3"] * 2, categories=["10", "1", "2", "3"])
    return describe_by_hand(adata)


def drawn(ax, gid="terms"):
    """Collections by what they show; of terms, a row for each dot: term, domain, effect, area."""
    (dots,) = [each for each in ax.collections if each.get_gid() == gid]
    return dots


def pairs(ax, gid="terms"):
    columns, rows = ([text.get_text() for text in axis.get_ticklabels()] for axis in (ax.xaxis, ax.yaxis))
    return [(rows[round(y)], columns[round(x)]) for x, y in drawn(ax, gid).get_offsets()]


def test_domains_in_order_and_each_ones_terms_side_by_side(adata):
    ax = semst.pl.describe(adata)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["1", "2", "3", "10"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is the uppermost
    expected = ["oligodendrocytes", "axon growth", "myelin sheath", "T cells", "wound healing"]
    assert [text.get_text() for text in ax.get_xticklabels()] == expected


def test_a_dot_for_each_term_that_fits_with_its_effect(adata):
    ax = semst.pl.describe(adata)
    found = dict(zip(pairs(ax), drawn(ax).get_array(), strict=True))
    assert found == {(domain, term): effect for domain, term, _, effect, _ in ROWS}
    assert drawn(ax).get_clim() == (0, 2.0)  # the 95th hundredth is 1.875


def test_small_effects_do_not_fill_the_scale(adata):
    describe_by_hand(adata, [(*row[:3], 0.1, row[4]) for row in ROWS])
    assert drawn(semst.pl.describe(adata)).get_clim() == pytest.approx((0, 0.6))


@pytest.mark.parametrize("factor", [0.05, 0.3, 0.7, 1.0, 1.3, 2.1, 5.0, 40.0])
def test_the_colour_bar_has_numbers_from_0_to_its_end(adata, factor):
    describe_by_hand(adata, [(*row[:3], factor * row[3], row[4]) for row in ROWS])
    ax = semst.pl.describe(adata)
    bar = ax.child_axes[0]
    ax.figure.canvas.draw()
    low, high = drawn(ax).get_clim()
    ticks = [tick for tick in bar.get_yticks() if low <= tick <= high + 1e-9]
    assert 4 <= len(ticks) <= 6
    assert (ticks[0], ticks[-1]) == pytest.approx((low, high))
    boxes = sorted((text.get_window_extent() for text in bar.get_yticklabels()), key=lambda box: box.y0)
    assert all(below.y1 < above.y0 + 1 for below, above in zip(boxes, boxes[1:], strict=False))


def test_the_largest_effect_is_told_where_it_lies_beyond_the_scale(adata):
    def title():
        return semst.pl.describe(adata).child_axes[0].get_title(loc="left")

    assert title() == "effect (Cohen's d)"
    many = [("3", f"term {number}", "cell type", 0.9, 0.01) for number in range(40)]
    describe_by_hand(adata, [("1", "axon growth", "process", 3.14, 0.01), *many])
    ax = semst.pl.describe(adata, n_terms=40)
    assert drawn(ax).get_clim()[1] == pytest.approx(1.0)
    assert ax.child_axes[0].get_title(loc="left") == "effect (Cohen's d),\nup to 3.1"


def test_areas_grow_with_the_logarithm_of_the_rate_down_to_a_ten_thousandth(adata):
    ax = semst.pl.describe(adata)
    area = dict(zip(pairs(ax), drawn(ax).get_sizes(), strict=True))
    steps = [area["1", "axon growth"], area["1", "oligodendrocytes"], area["3", "myelin sheath"]]  # 0.01, 0.001, 0.0001
    assert np.diff(steps)[0] == pytest.approx(np.diff(steps)[1])
    assert area["1", "myelin sheath"] < steps[0] < steps[1]
    assert area["3", "T cells"] == steps[2]  # 1e-9 is drawn as 0.0001
    legend = ax.get_legend()
    shown = {
        text.get_text(): mark.get_markersize() for text, mark in zip(legend.texts, legend.legend_handles, strict=True)
    }
    assert list(shown) == ["0.05", "0.01", "0.001", "≤ 0.0001", "names the domain\n(processes do not)"]
    assert shown["0.01"] ** 2 == pytest.approx(steps[0])
    assert shown["≤ 0.0001"] ** 2 == pytest.approx(steps[2])


def test_the_term_that_names_a_domain_has_a_ring(adata):
    assert pairs(semst.pl.describe(adata), "names") == [("1", "oligodendrocytes"), ("3", "T cells")]


def test_fewer_columns_keep_the_names_and_all_their_dots(adata):
    ax = semst.pl.describe(adata, n_terms=1)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["oligodendrocytes", "T cells", "wound healing"]
    describe_by_hand(adata, [*ROWS, ("3", "oligodendrocytes", "cell type", 0.1, 0.03)])
    # A fourth-rate term of 3 has its dot, because the column is there for 1.
    assert ("3", "oligodendrocytes") in pairs(semst.pl.describe(adata, n_terms=1))


def test_a_domain_that_nothing_fits_says_so(adata):
    ax = semst.pl.describe(adata)
    (note,) = ax.texts
    assert note.get_text() == "no term fits"
    assert note.get_position()[1] == 1  # the row of domain 2; 10 has a process


def test_nothing_fits_at_all(adata, tmp_path):
    describe_by_hand(adata, [])
    ax = semst.pl.describe(adata)
    assert [text.get_text() for text in ax.texts] == ["no term fits"] * 4
    assert ax.get_legend() is None
    ax.figure.canvas.draw()
    assert all(text.get_window_extent().x1 <= ax.figure.bbox.x1 for text in ax.texts)


def test_domains_have_their_colours(adata):
    def squares():
        squares = drawn(semst.pl.describe(adata), "domains")
        np.testing.assert_allclose(squares.get_offsets()[:, 1], range(4))
        return [to_hex(color) for color in squares.get_facecolors()]

    assert squares() == list(PALETTE[:4])  # those that semst.pl.domains would choose
    assert [adata.uns["semst_colors"][place] for place in (1, 2, 3, 0)] == list(PALETTE[:4])  # kept for other pictures
    adata.uns["semst_colors"] = ["#000000", "#111111", "#222222", "#333333"]  # of 10, 1, 2, 3
    assert squares() == ["#111111", "#222222", "#333333", "#000000"]


def test_without_the_domains_the_description_is_drawn_in_its_own_order(adata):
    del adata.obs["semst"]
    ax = semst.pl.describe(adata)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["10", "1", "2", "3"]


@pytest.mark.parametrize("copied", [True, False])
def test_a_part_of_the_tissue_has_the_rows_and_terms_of_its_domains(adata, copied):
    part = adata[adata.obs["semst"].isin(["3", "2"])]  # the categories of a copy are those in use, of a view all
    ax = semst.pl.describe(part.copy() if copied else part)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["2", "3"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["T cells", "myelin sheath"]
    assert sorted(pairs(ax)) == [("3", "T cells"), ("3", "myelin sheath")]
    assert pairs(ax, "names") == [("3", "T cells")]


def test_other_domains_than_those_described_take_no_row_away(adata):
    adata.obs["semst"] = adata.obs["semst"].cat.rename_categories({"1": "white matter"})
    ax = semst.pl.describe(adata)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["2", "3", "10", "1"]


def test_given_axes_are_used(adata):
    _, ax = plt.subplots()
    assert semst.pl.describe(adata, ax=ax) is ax
    assert semst.pl.describe(adata, ax=[ax]) is ax
    assert len(plt.get_fignums()) == 1


def test_what_is_no_axes_is_told_before_colours_are_written(adata):
    with pytest.raises(ValueError, match="describe: `ax` must hold Axes of matplotlib, got 'str'"):
        semst.pl.describe(adata, ax="x")
    assert "semst_colors" not in adata.uns


def test_categories_that_are_one_as_text_are_told(adata):
    adata.obs["semst"] = pd.Categorical([1, "1"] * 4)
    with pytest.raises(ValueError, match=r"obs\['semst'\] has several categories that are '1' as text"):
        semst.pl.describe(adata)


@pytest.mark.parametrize(("n_domains", "n_columns"), [(2, 3), (7, 20), (20, 60)])
def test_all_labels_can_be_read(n_domains, n_columns):
    adata = AnnData(np.ones((40, 2), dtype=np.float32))
    names = [f"domain {place + 1}" for place in range(n_domains)]
    adata.obs["semst"] = pd.Categorical(np.resize(names, 40), categories=names)
    rows = [
        (names[place % n_domains], f"term of a good length number {place}", "cell type", 1 - place / 1000, 0.01)
        for place in range(n_columns)
    ]
    ax = semst.pl.describe(describe_by_hand(adata, rows))
    assert len(ax.get_xticks()) == n_columns
    figure = ax.figure
    figure.canvas.draw()
    width, height = figure.get_size_inches()
    assert width < 22
    assert height < 12
    labels = [text for axis in (ax.xaxis, ax.yaxis) for text in axis.get_ticklabels()]
    frame = figure.bbox
    for part in [*labels, ax.get_legend(), *ax.child_axes]:
        box = part.get_tightbbox(figure.canvas.get_renderer())
        assert frame.x0 - 1 <= box.x0 < box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0 < box.y1 <= frame.y1 + 1
    # Lines of nine-point type, seen across their slope, and the largest ring do not touch the next ones.
    pitch = np.diff(ax.transData.transform([(0, 0), (1, 1)]), axis=0).ravel() * 72 / figure.dpi
    assert pitch[0] * np.sin(np.radians(ax.get_xticklabels()[0].get_rotation())) > 9
    assert min(pitch[0], -pitch[1]) > np.sqrt(drawn(ax, "names").get_sizes().max())
    assert ax.get_legend().get_window_extent().x0 > ax.get_window_extent().x1


def test_after_reading_from_disk(adata, tmp_path):
    adata.write_h5ad(tmp_path / "tissue.h5ad")
    again = read_h5ad(tmp_path / "tissue.h5ad")
    assert sorted(pairs(semst.pl.describe(again))) == sorted((domain, term) for domain, term, *_ in ROWS)


def test_errors(adata):
    with pytest.raises(
        KeyError, match=r"no description in uns\['leiden_description'\].*describe\(adata, key='leiden'\)"
    ):
        semst.pl.describe(adata, key="leiden")
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="n_terms must be a whole number of at least 1"):
            semst.pl.describe(adata, n_terms=wrong)
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got list"):
        semst.pl.describe([])


def test_what_is_described_is_drawn():
    adata = semst.datasets.simulated(n_spots=300, n_genes=400, n_domains=4, progress=False)
    terms = semst.tl.describe(adata, key="ground_truth", fdr=0.2)
    assert len(terms) > 4
    ax = semst.pl.describe(adata, key="ground_truth", n_terms=2)
    expected = terms[terms["term"].isin([text.get_text() for text in ax.get_xticklabels()])]
    assert sorted(pairs(ax)) == sorted(zip(expected["domain"], expected["term"], strict=True))
    names = adata.uns["ground_truth_description"]["names"]["name"]
    named = {(domain, name) for domain, name in names.items() if name != "no term fits"}
    assert set(pairs(ax, "names")) == named
