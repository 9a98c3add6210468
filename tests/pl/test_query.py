from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

import semst


def entry(asked, p_value, genes, *, words=True, nearness=0.8):
    table = pd.DataFrame(
        {"query": "x", "gene": genes, "contribution": np.linspace(0.5, 0.1, len(genes)), "likeness": np.nan}
    )
    read_as = np.array(["a term"] if words else [], dtype=np.str_)
    nearness = nearness if words else np.nan
    found = {"asked": asked, "p_value": p_value, "genes": table, "read_as": read_as, "nearness": nearness}
    return found | {"params": {}, "versions": {}}


@pytest.fixture
def asked(visium):
    """Myelin rises from left to right from -8 to 12, lunch is noise, and a set of genes has a name of its own."""
    x = visium.obsm["spatial"][:, 0]
    visium.obs["query_myelin_sheath"] = (20 * (x - x.min()) / np.ptp(x) - 8).astype(np.float32)
    visium.obs["query_lunch"] = np.random.default_rng(0).normal(0, 1, 144).astype(np.float32)
    visium.obs["query_my_set"] = np.linspace(-2, 2, 144).astype(np.float32)
    visium.uns["query"] = {
        "myelin_sheath": entry("Myelin sheath", 0.001, ["MBP", "PLP1", "MOBP", "CNP", "MAG"]),
        "lunch": entry("lunch on a tuesday, in town", 0.31, ["TTN", "OBSCN"]),
        "my_set": entry("CD3E, CD8A, CD4", 0.05, ["CD3E", "CD8A"], words=False),
    }
    return visium


def spots_of(ax):
    (values,) = [each for each in ax.collections if each.get_gid() == "values"]
    return values


def texts_of(ax):
    return {text.get_gid(): text.get_text() for text in ax.texts}


def test_every_query_is_a_map_of_its_scores_on_one_scale(asked):
    axes = semst.pl.query(asked)
    assert len(axes) == 3
    scores = np.column_stack([asked.obs[f"query_{name}"] for name in ("myelin_sheath", "lunch", "my_set")])
    limit = np.quantile(np.abs(scores[:, [0, 2]]), 0.99)  # lunch has no pattern
    for ax, expected in zip(axes, scores.T, strict=True):
        np.testing.assert_allclose(spots_of(ax).get_offsets(), asked.obsm["spatial"])
        np.testing.assert_allclose(spots_of(ax).get_array(), expected)
        assert spots_of(ax).get_clim() == pytest.approx((-limit, limit))
        assert spots_of(ax).get_cmap().name == "coolwarm"


def test_maps_that_say_nothing_do_not_set_the_scale(asked):
    alone = spots_of(semst.pl.query(asked, names="myelin_sheath")[0]).get_clim()
    asked.obs["query_lunch"] *= 100
    for ax in semst.pl.query(asked, names=["myelin_sheath", "lunch"]):
        assert spots_of(ax).get_clim() == alone
    low, high = spots_of(semst.pl.query(asked, names="lunch")[0]).get_clim()
    assert -low == high > 100


def test_scores_of_chance_do_not_fill_the_scale(asked):
    (ax,) = semst.pl.query(asked, names="lunch")
    assert spots_of(ax).get_clim() == (-3, 3)


def bars(axes):
    return [bar for ax in axes for bar in ax.child_axes]


def test_one_colour_bar_tells_what_lies_beyond_it(asked):
    asked.obs.loc[asked.obs_names[7], "query_myelin_sheath"] = 50
    axes = semst.pl.query(asked, ncols=2)
    (bar,) = bars(axes)
    assert bar in axes[1].child_axes  # at the end of the first row
    assert "SD of random genes" in bar.get_ylabel()
    assert bar._colorbar.extend == "max"
    (bar,) = bars(semst.pl.query(asked, names="my_set"))
    assert bar._colorbar.extend == "neither"


def test_words_and_genes_stand_above(asked):
    myelin, lunch, own = semst.pl.query(asked)
    assert myelin.get_title() == "Myelin sheath"
    assert texts_of(myelin)["genes"] == "MBP, PLP1, MOBP, CNP"
    assert lunch.get_title() == "lunch on a tuesday, in town"
    assert own.get_title() == "my set"  # the name, not the list of genes
    assert texts_of(semst.pl.query(asked, names="lunch", n_genes=1)[0])["genes"] == "TTN"
    assert texts_of(semst.pl.query(asked, names="lunch", n_genes=0)[0])["genes"] == ""


def test_a_set_of_genes_is_called_as_its_owner_wrote_it(asked):
    asked.uns["query"]["my_set"]["called"] = "T cells (CD3+)"
    (ax,) = semst.pl.query(asked, names="T cells (CD3+)")
    assert ax.get_title() == "T cells (CD3+)"
    np.testing.assert_allclose(spots_of(ax).get_array(), asked.obs["query_my_set"])


@pytest.mark.parametrize("called", ["my oligodendrocytes", "MBP"])
def test_a_single_gene_is_called_as_it_was_asked_for(asked, called):
    asked.uns["query"]["my_set"].update(asked="MBP", called=called)
    assert semst.pl.query(asked, names="my_set")[0].get_title() == called


@pytest.mark.parametrize(
    ("p_value", "words", "pale"),
    [
        (0.001, "p = 0.001", False),
        (0.05, "p = 0.05", False),  # semst.tl.query does not warn of it either
        (0.055, "weak pattern, p = 0.055", False),
        (0.2, "weak pattern, p = 0.2", False),
        (0.21, "no pattern beyond chance, p = 0.21", True),
        (np.nan, "", False),  # a single gene
    ],
)
def test_the_p_value_stands_above_the_map_and_pales_it_only_without_a_pattern(asked, p_value, words, pale):
    asked.uns["query"]["lunch"]["p_value"] = p_value
    (ax,) = semst.pl.query(asked, names="lunch", size=20)
    assert texts_of(ax)["verdict"].replace("\n", " ") == words
    assert (spots_of(ax).get_alpha() < 0.5) == pale
    ax.figure.canvas.draw()
    if words:
        (told,) = [text for text in ax.texts if text.get_gid() == "verdict"]
        assert told.get_window_extent().y0 >= ax.get_window_extent().y1  # never over the tissue


@pytest.mark.parametrize(("nearness", "far"), [(0.31, True), (0.45, False), (0.9, False), (np.nan, False)])
def test_words_far_from_biology_are_drawn_pale_however_clear_the_pattern(asked, nearness, far):
    asked.uns["query"]["myelin_sheath"]["nearness"] = nearness
    (ax,) = semst.pl.query(asked, names="myelin_sheath")
    told = texts_of(ax)["verdict"].replace("\n", " ")
    assert told == ("far from known biology (nearest: a term) p = 0.001" if far else "p = 0.001")
    assert (spots_of(ax).get_alpha() < 0.5) == far
    assert (ax.title.get_color() == "black") != far


def test_queries_of_a_file_that_does_not_tell_how_near_they_are(asked):
    del asked.uns["query"]["myelin_sheath"]["nearness"]
    (ax,) = semst.pl.query(asked, names="myelin_sheath")
    assert texts_of(ax)["verdict"] == "p = 0.001"
    assert spots_of(ax).get_alpha() == 1


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        ("myelin_sheath", ["Myelin sheath"]),
        ("Myelin  sheath", ["Myelin sheath"]),
        ("lunch on a Tuesday, in town", ["lunch on a tuesday, in town"]),
        ("My set!", ["my set"]),
        (["my_set", "Myelin sheath"], ["my set", "Myelin sheath"]),
    ],
)
def test_queries_are_found_by_name_or_by_words(asked, names, titles):
    assert [ax.get_title() for ax in semst.pl.query(asked, names=names)] == titles


def test_an_exact_name_goes_before_words_that_look_alike(asked):
    asked.uns["query"] = {"first": entry("my set", 0.01, ["A"]), **asked.uns["query"]}
    asked.obs["query_first"] = 0.0
    (ax,) = semst.pl.query(asked, names="my_set")
    np.testing.assert_allclose(spots_of(ax).get_array(), asked.obs["query_my_set"])


def test_another_key(asked):
    asked.uns["mine"] = {"lunch": asked.uns["query"]["lunch"]}
    asked.obs["mine_lunch"] = 1.0
    (ax,) = semst.pl.query(asked, key="mine")
    assert set(spots_of(ax).get_array()) == {1.0}


@pytest.mark.parametrize("n_words", [2, 25])
def test_headings_overlap_neither_maps_nor_each_other_nor_the_edge(asked, n_words):
    asked.uns["query"]["lunch"]["asked"] = " ".join(["longish"] * n_words)
    asked.uns["query"]["lunch"]["nearness"] = 0.2
    asked.uns["query"]["lunch"]["genes"] = pd.DataFrame({"gene": ["ENSG00000123456.12"] * 4})
    axes = semst.pl.query(asked, ncols=2)
    figure = axes[0].figure
    figure.canvas.draw()
    boxes = []
    for ax in axes:
        genes = next(text for text in ax.texts if text.get_gid() == "genes").get_window_extent()
        verdict = next(text for text in ax.texts if text.get_gid() == "verdict").get_window_extent()
        title = ax.title.get_window_extent()
        assert ax.get_window_extent().y1 <= verdict.y0 < verdict.y1 <= genes.y0 < genes.y1 <= title.y0
        assert title.y1 <= figure.bbox.y1 + 1
        assert ax.get_window_extent().width > 100
        boxes += [verdict, genes, title]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(ax.get_window_extent()) for ax in axes)
        assert not any(box.overlaps(other) for other in boxes if other is not box)


def test_given_axes_are_used(asked):
    _, given = plt.subplots(1, 2)
    axes = semst.pl.query(asked, names=["lunch", "my_set"], ax=given)
    assert axes == list(given)
    assert len(bars(axes)) == 1
    assert semst.pl.query(asked, names="lunch", ax=given[0]) == [given[0]]
    assert len(plt.get_fignums()) == 1
    with pytest.raises(ValueError, match="`ax` has 2 Axes for 3 queries"):
        semst.pl.query(asked, ax=given)


def test_spots_without_a_score_are_grey_and_do_not_spoil_the_scale(asked):
    asked.obs.loc[asked.obs_names[:5], "query_my_set"] = np.nan
    (ax,) = semst.pl.query(asked, names="my_set")
    assert spots_of(ax).get_clim() == (-3, 3)
    assert sum(len(each.get_offsets()) for each in ax.collections) == 144
    asked.obs["query_my_set"] = np.nan
    assert [each.get_gid() for each in semst.pl.query(asked, names="my_set")[0].collections] == ["unlabelled"]


def test_the_tissue_image_lies_beneath(asked, visium_image):
    assert asked is visium_image
    assert len(semst.pl.query(asked, names="lunch")[0].images) == 1
    assert len(semst.pl.query(asked, names="lunch", image=False)[0].images) == 0
    (ax,) = semst.pl.query(asked, names="lunch", size=33)
    assert spots_of(ax).get_widths()[0] == 33


def test_nothing_is_written(asked):
    before = asked.copy()
    semst.pl.query(asked)
    pd.testing.assert_frame_equal(asked.obs, before.obs)
    assert set(asked.uns) == set(before.uns)


def test_maps_stand_as_they_were_asked_also_after_reading(tmp_path):
    adata = semst.datasets.simulated(n_spots=200, n_genes=200, n_domains=3, progress=False)
    semst.tl.query(adata, {"zeta": ["MBP", "PLP1"], "alpha": ["SNAP25", "SYT1"]}, n_permutations=19)
    semst.tl.query(adata, {"beta": ["MBP", "MOBP"]}, n_permutations=19)
    adata.write_h5ad(tmp_path / "asked.h5ad")
    back = read_h5ad(tmp_path / "asked.h5ad")
    for table in (adata, back):
        titles = [ax.get_title() for ax in semst.pl.query(table)]
        assert titles == ["zeta", "alpha", "beta"]
    semst.tl.query(back, {"zeta": ["MBP", "PLP1"]}, n_permutations=19)
    assert [back.uns["query"][name]["order"] for name in ("zeta", "alpha", "beta")] == [1, 2, 3]


def test_after_reading_from_disk(asked, tmp_path):
    asked.write_h5ad(tmp_path / "tissue.h5ad")
    titles = [ax.get_title() for ax in semst.pl.query(read_h5ad(tmp_path / "tissue.h5ad"))]
    assert sorted(titles) == ["Myelin sheath", "lunch on a tuesday, in town", "my set"]


def test_spatialdata(spatialdata_circles):
    table = spatialdata_circles["table"]
    table.obs["query_lunch"] = np.arange(144.0)
    table.uns["query"] = {"lunch": entry("lunch", 0.01, ["A"])}
    (ax,) = semst.pl.query(spatialdata_circles)
    np.testing.assert_allclose(spots_of(ax).get_array(), np.arange(144))
    assert len(ax.images) == 1
    del table.uns["query"]
    with pytest.raises(KeyError, match=r"semst\.tl\.query\(sdata"):
        semst.pl.query(spatialdata_circles)


@pytest.mark.parametrize("stored", [None, {}, "text", {"connectivities_key": "x"}])
def test_no_queries_is_an_error_that_names_the_call(asked, stored):
    asked.uns["query"] = stored
    with pytest.raises(KeyError, match=r"no queries in uns\['query'\].*semst\.tl\.query\(adata, \"words\"\)"):
        semst.pl.query(asked)


def test_all_problems_are_told_at_once(asked):
    del asked.obs["query_lunch"], asked.obsm["spatial"]
    with pytest.raises(ValueError, match="problems with the input") as caught:
        semst.pl.query(asked, names=["bones", "lunch"], n_genes=-1, cmap="no map", size=0, ncols=0)
    message = str(caught.value)
    for part in (
        "no query 'bones' in uns['query']; there is 'myelin_sheath', 'lunch', 'my_set'",
        "`semst.tl.query(adata, 'bones')`",
        "obs['query_lunch'] is missing",
        "n_genes",
        "no map",
        "`size`",
        "`ncols`",
        "no coordinates",
    ):
        assert part in message
    assert plt.get_fignums() == []
    with pytest.raises(ValueError, match="`names` must be a query, several or None for all, got 5; there is 'myelin_s"):
        semst.pl.query(asked, names=5)
    for wrong in (2.5, True, "2"):
        with pytest.raises(ValueError, match="`ncols` must be a whole number of at least 1"):
            semst.pl.query(asked, ncols=wrong)
    with pytest.raises(ValueError, match="`names` names no query"):
        semst.pl.query(asked, names=[])
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got dict"):
        semst.pl.query({})


def test_what_is_asked_is_drawn():
    adata = semst.datasets.simulated(n_spots=300, n_genes=200, progress=False)
    genes = semst.tl.query(adata, {"first": [*adata.var_names[:5]], "second": "myelin sheath of oligodendrocytes"})
    first, second = semst.pl.query(adata, n_genes=3)
    np.testing.assert_allclose(spots_of(first).get_array(), adata.obs["query_first"])
    assert first.get_title() == "first"
    assert second.get_title().replace("\n", " ") == "myelin sheath of oligodendrocytes"
    for ax, name in ((first, "first"), (second, "second")):
        expected = genes.loc[genes["query"] == name, "gene"][:3]
        assert texts_of(ax)["genes"].replace("\n", " ") == ", ".join(expected)
        assert f"p = {adata.uns['query'][name]['p_value']:.2g}" in texts_of(ax)["verdict"]


def test_genes_that_go_by_ids_are_named_by_symbol(asked):
    asked.uns["query"]["myelin_sheath"]["genes"]["gene"] = [
        "ENSG00000197971.15",
        "PLP1",
        "ENSG99999999999",
        "CNP",
        "MAG",
    ]
    (ax,) = semst.pl.query(asked, names="myelin_sheath", n_genes=3)
    assert texts_of(ax)["genes"].replace("\n", " ") == "MBP, PLP1, ENSG99999999999"


# Several slices


@pytest.fixture
def two(asked):
    """The upper and the lower half, at the same places."""
    upper = asked.obsm["spatial"][:, 1] < np.median(asked.obsm["spatial"][:, 1])
    asked.obs["slice"] = np.where(upper, "s10", "s2")
    asked.obsm["spatial"][upper] += asked.obsm["spatial"][~upper].min(axis=0) - asked.obsm["spatial"][upper].min(axis=0)
    return asked


def test_each_query_has_a_row_with_a_map_for_each_slice(two):
    axes = semst.pl.query(two, names=["myelin_sheath", "lunch"], batch_key="slice")
    places = [(ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start) for ax in axes]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [texts_of(ax)["slice"] for ax in axes] == ["s2", "s10", "s2", "s10"]
    assert [bool(ax.get_title()) for ax in axes] == [True, False, True, False]
    assert "genes" not in texts_of(axes[1])
    for ax, name, piece in zip(axes, ["myelin_sheath"] * 2 + ["lunch"] * 2, ["s2", "s10"] * 2, strict=True):
        part = two[two.obs["slice"] == piece]
        np.testing.assert_allclose(spots_of(ax).get_offsets(), part.obsm["spatial"])
        np.testing.assert_allclose(spots_of(ax).get_array(), part.obs[f"query_{name}"])
    assert len({spots_of(ax).get_clim() for ax in axes}) == 1


def test_the_words_stand_above_the_slice_and_nothing_overlaps(two):
    axes = semst.pl.query(two, names="myelin_sheath", batch_key="slice")
    figure = axes[0].figure
    figure.canvas.draw()
    texts = {text.get_gid(): text for text in axes[0].texts if text.get_text()}
    lowest_first = [texts[gid] for gid in ("slice", "genes")] + [axes[0].title]
    extents = [each.get_window_extent() for each in lowest_first]
    assert all(low.y1 <= high.y0 + 1 for low, high in zip(extents, extents[1:], strict=False))
    assert extents[0].y0 >= axes[0].get_window_extent().y1
    assert extents[-1].y1 <= figure.bbox.y1


def test_one_slice_by_name_is_drawn_like_any(two):
    two.obs["slice"] = "only"
    axes = semst.pl.query(two, batch_key="slice")
    assert [texts_of(ax)["slice"] for ax in axes] == ["only"] * 3
    assert all(ax.get_title() for ax in axes)


def test_axes_are_asked_for_each_query_and_slice(two):
    _, given = plt.subplots(2, 2)
    assert semst.pl.query(two, names=["lunch", "my_set"], batch_key="slice", ax=given.ravel())[3] is given[1, 1]
    with pytest.raises(ValueError, match="`ax` has 2 Axes for 4 panels, one for each query and slice"):
        semst.pl.query(two, names=["lunch", "my_set"], batch_key="slice", ax=given[0])
    with pytest.raises(KeyError, match="which `batch_key` names"):
        semst.pl.query(two, batch_key="sample")
    with pytest.raises(ValueError, match="is a mapping from slice to image"):
        semst.pl.query(two, image={"s2": False})
