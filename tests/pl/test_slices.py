"""All slices in one figure."""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import semst
from semst._problems import Problems
from semst.pl._slice_images import images_by_slice


@pytest.fixture
def slices():
    """Two slices of the same places; the second lacks domain 3."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(np.arange(6.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    adata = ad.AnnData(np.ones((48, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.concatenate([places, places * 10 + 500])
    adata.obs["slice"] = pd.Categorical(["s2"] * 24 + ["s10"] * 24)
    adata.obs["semst"] = pd.Categorical([*rng.permutation(list("123") * 8), *list("12") * 12])
    adata.obs["value"] = np.arange(48.0)
    return adata


def collections(ax):
    return {each.get_gid(): each for each in ax.collections}


def colors(ax):
    return {name: to_hex(each.get_facecolor()[0]) for name, each in collections(ax).items()}


def test_each_slice_has_a_panel_of_its_own_and_all_share_colours(slices):
    first, second = semst.pl.domains(slices, batch_key="slice")
    assert [first.get_title(), second.get_title()] == ["s2", "s10"]  # in natural order
    assert set(colors(first)) == {"1", "2", "3"}
    assert set(colors(second)) == {"1", "2"}
    assert colors(second).items() <= colors(first).items()
    assert list(colors(first).values()) == slices.uns["semst_colors"]
    assert first.get_xlim()[1] < 10 < 400 < second.get_xlim()[0]
    drawn = np.concatenate([each.get_offsets() for each in second.collections])
    expected = slices.obsm["spatial"][24:]
    np.testing.assert_array_equal(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])


def test_one_legend_names_all_domains(slices):
    first, second = semst.pl.domains(slices, batch_key="slice")
    assert first.get_legend() is None
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["1", "2", "3"]
    assert all(ax.get_legend() is None for ax in semst.pl.domains(slices, batch_key="slice", legend=False))


def test_numbers_have_one_scale(slices):
    panels = semst.pl.domains(slices, color=["semst", "value"], batch_key="slice")
    assert [ax.get_title() for ax in panels] == ["semst, s2", "semst, s10", "value, s2", "value, s10"]
    assert [collections(ax)["values"].get_clim() for ax in panels[2:]] == [(0, 47), (0, 47)]


def places(panels):
    return [(ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start) for ax in panels]


@pytest.fixture
def many(slices):
    slices.obs["slice"] = np.repeat([f"s{i}" for i in range(6)], 8)
    slices.obs["other"] = slices.obs["semst"]
    return slices


@pytest.mark.parametrize("ncols", [6, 9])
def test_a_row_for_each_key_and_a_column_for_each_slice(many, ncols):
    panels = semst.pl.domains(many, color=["semst", "value", "other"], batch_key="slice", ncols=ncols)
    assert places(panels) == [(row, column) for row in range(3) for column in range(6)]
    assert [ax.get_title() for ax in panels[5:7]] == ["semst, s5", "value, s0"]


@pytest.mark.parametrize(
    ("color", "title", "told"),
    [
        ("semst", None, ["s0", "s1"]),
        ("semst", "", ["", ""]),
        ("semst", "ours", ["ours, s0", "ours, s1"]),
        ("semst", ["left", "right"], ["left", "right"]),
        (["semst", "other"], ["ours", ""], ["ours, s0", "ours, s1", "", ""]),
        (["semst", "other"], list("abcd"), list("abcd")),
    ],
)
def test_titles_are_of_keys_or_of_panels(many, color, title, told):
    two = many[many.obs["slice"].isin(["s0", "s1"])].copy()
    panels = semst.pl.domains(two, color=color, batch_key="slice", title=title)
    assert [ax.get_title() for ax in panels] == told
    with pytest.raises(ValueError, match=r"`title` has 3 entries for 1 key or 2 panels\."):
        semst.pl.domains(two, batch_key="slice", title=list("abc"))


def test_slices_that_are_numbers_are_named_by_numbers():
    found = images_by_slice({1: "left", "2": False}, ["1", "2", "3"], Problems("domains"))
    assert found == {"1": "left", "2": False, "3": None}


def test_a_long_name_stays_above_its_panel(many):
    two = many[many.obs["slice"].isin(["s0", "s1"])].copy()
    long = "visium_section_of_the_left_hemisphere_of_donor_number_twelve"
    two.obs["slice"] = two.obs["slice"].astype(str) + long
    panels = semst.pl.domains(two, batch_key="slice")
    panels[0].figure.canvas.draw()
    for ax in panels:
        assert ax.get_title().replace("\n", "").endswith(long)
        assert ax.title.get_window_extent().width < 1.1 * ax.get_window_extent().width


def test_numbers_that_are_all_one_have_one_colour(many):
    many = many.copy()
    many.obs["value"] = 1.0
    panels = semst.pl.domains(many, color="value", batch_key="slice")
    limits = {circles.get_clim() for ax in panels for circles in ax.collections if circles.get_gid() == "values"}
    assert len(limits) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: ["slice"], "`batch_key` must be a key of obs, got list"),
        (lambda table: table.obs["slice"], "`batch_key` must be a key of obs, got Series"),
        (lambda table: "fraction", r"obs\['fraction'\] holds numbers with fractions, which name no slice"),
    ],
    ids=["list", "series", "fractions"],
)
def test_what_names_no_slices_is_told(many, spoil, message):
    table = many.copy()
    table.obs["fraction"] = np.linspace(0, 1, table.n_obs)
    for look in (semst.pl.domains, semst.metrics.score):
        with pytest.raises(ValueError, match=message):
            look(table, batch_key=spoil(table))


def test_more_slices_than_columns_go_on_in_another_row_and_the_next_key_begins_one(many):
    panels = semst.pl.domains(many, color=["semst", "other"], batch_key="slice")
    assert places(panels) == [(row + i // 4, i % 4) for row in (0, 2) for i in range(6)]
    assert [ax.get_title() for ax in panels if ax.get_legend()] == ["semst, s3", "other, s3"]  # at the right end
    assert len(panels[0].figure.axes) == 12


@pytest.mark.parametrize("ncols", [2, 4, 6])
def test_many_slices_stay_readable_and_in_the_figure(many, ncols):
    panels = semst.pl.domains(many, color=["semst", "other"], batch_key="slice", ncols=ncols)
    figure = panels[0].figure
    figure.canvas.draw()
    assert figure.get_figwidth() < 17
    boxes = [ax.get_window_extent() for ax in panels]
    assert min(box.width for box in boxes) / figure.dpi > 1.8  # inches
    for ax in panels:
        if (legend := ax.get_legend()) is not None:
            extent = legend.get_window_extent()
            assert extent.x1 <= figure.bbox.x1 + 1
            assert not any(extent.overlaps(box) for box in boxes)


def test_slices_may_be_numbers_and_titles_one_s_own(slices):
    slices.obs["number"] = [11] * 24 + [2] * 24
    _, axes = plt.subplots(1, 2)
    panels = semst.pl.domains(slices, batch_key="number", title=["a", "b"], ax=axes)
    assert [ax.get_title() for ax in panels] == ["a", "b"]
    assert panels[0].get_xlim()[0] > 400  # 2 comes before 11


def test_the_picture_beneath_is_that_of_the_slice(slices):
    def library(shade):
        image = np.full((5, 5, 3), shade, dtype=np.uint8)
        return {
            "images": {"hires": image},
            "scalefactors": {"tissue_hires_scalef": 0.001, "spot_diameter_fullres": 1.0},
        }

    slices.uns["spatial"] = {"s10": library(10), "s2": library(200)}
    first, second = semst.pl.domains(slices, batch_key="slice")
    assert [int(ax.images[0].get_array()[0, 0, 0]) for ax in (first, second)] == [200, 10]
    slices.uns["spatial"] = {"a": library(10), "b": library(200)}
    assert not any(ax.images for ax in semst.pl.domains(slices, batch_key="slice"))


def plain_library(**images):
    """A black image, or others, whose pixels are 1000 units wide."""
    images = images or {"hires": np.zeros((9, 9, 3), dtype=np.uint8)}
    return {"images": images, "scalefactors": {"tissue_hires_scalef": 0.001}}


@pytest.mark.parametrize(
    ("library", "far", "beneath"),
    [
        ("s2", 0, [True, False]),  # its own
        ("slide", 0, [False, False]),  # lying over each other they are not on one slide
        ("slide", 1000, [True, True]),
    ],
)
def test_the_only_picture_is_that_of_the_slice_it_names_or_of_a_common_slide(slices, library, far, beneath):
    slices.obsm["spatial"][24:] = slices.obsm["spatial"][:24] + far
    slices.uns["spatial"] = {library: plain_library()}
    assert [bool(ax.images) for ax in semst.pl.domains(slices, batch_key="slice")] == beneath
    if not all(beneath):
        told = (
            rf"no library in uns\['spatial'\] \('{library}'\) bears the name of slice 's10'; say .*{{...: '{library}'}}"
        )
        with pytest.raises(KeyError, match=told):
            semst.pl.domains(slices, batch_key="slice", image=True)
    else:
        assert all(ax.images for ax in semst.pl.domains(slices, batch_key="slice", image=True))


def test_what_is_wrong_is_said(slices):
    with pytest.raises(KeyError, match=r"no obs\['donor'\], which `batch_key` names"):
        semst.pl.domains(slices, batch_key="donor")
    with pytest.raises(ValueError, match="`ax` has 1 Axes for 2 panels, one for each key and slice"):
        semst.pl.domains(slices, batch_key="slice", ax=plt.subplots()[1])
    slices.obs["slice"] = slices.obs["slice"].where(slices.obs_names != "3")
    with pytest.raises(ValueError, match="1 spot has no slice"):
        semst.pl.domains(slices, batch_key="slice")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"title": 3}, "`title` must be a str, a list of them or None, got int"),
        ({"title": {"semst": "ours"}}, "`title` must be a str, a list of them or None, got dict"),
        ({"image": 3}, "`image` must be True, False, a name, a mapping from slice to these or None, got 3"),
        ({"alpha": "x"}, "`alpha` must be in"),
        ({"size": "x"}, "`size` must be above 0"),
        ({"scale_bar": "x"}, "`scale_bar` must be"),
    ],
)
def test_options_of_another_kind_are_told(slices, option, message):
    with pytest.raises(ValueError, match=message):
        semst.pl.domains(slices, batch_key="slice", **option)


def test_a_misspelt_key_of_slices_is_told_without_what_follows_from_it(slices):
    slices.uns["spatial"] = {"s2": plain_library(), "s10": plain_library()}
    with pytest.raises(ValueError, match=r"(?s)`alpha` must be in.*no obs\['donor'\]") as told:
        semst.pl.domains(slices, batch_key="donor", title=["a", "b"], ax=plt.subplots(1, 2)[1], alpha=3)
    for false in ("`title`", "`ax`", "several"):
        assert false not in str(told.value)


def test_the_accessor_draws_the_same(slices):
    assert len(slices.semst.domains(batch_key="slice")) == 2


def test_an_image_is_required_of_the_slices_that_it_is_asked_for(slices):
    slices.obsm["spatial"][24:] = slices.obsm["spatial"][:24]
    slices.uns["spatial"] = {"s2": plain_library()}
    panels = semst.pl.domains(slices, batch_key="slice", image={"s2": True})
    assert [bool(ax.images) for ax in panels] == [True, False]
    for image in ({"s10": True}, {"s2": False, "s10": True}, True):
        with pytest.raises(KeyError, match="bears the name of slice 's10'"):
            semst.pl.domains(slices, batch_key="slice", image=image)
    assert semst.pl.domains(slices, batch_key="slice", image={"s10": "s2"})[1].images


@pytest.mark.parametrize("image", [None, False])
def test_spots_are_as_large_as_their_library_says_also_without_its_image(slices, image):
    for name in ("s2", "s10"):
        slices.uns.setdefault("spatial", {})[name] = plain_library()
        slices.uns["spatial"][name]["scalefactors"]["spot_diameter_fullres"] = 0.3
    for ax in semst.pl.domains(slices, batch_key="slice", image=image):
        assert bool(ax.images) == (image is None)
        np.testing.assert_allclose(2 * ax.collections[0]._widths, 0.3, rtol=0.01)


@pytest.mark.parametrize("empty", [{"images": {}}, {"images": None, "scalefactors": None}, {}])
def test_a_library_without_pixels_is_no_image(slices, empty):
    slices.uns["spatial"] = {"s2": plain_library(), "s10": empty}
    assert [bool(ax.images) for ax in semst.pl.domains(slices, batch_key="slice")] == [True, False]
    for image in (True, {"s10": "s10"}):
        with pytest.raises(KeyError, match="no pixels of the image 's10' lie under the spots of slice 's10'; name"):
            semst.pl.domains(slices, batch_key="slice", image=image)


def test_what_else_lies_beside_libraries_is_none(slices):
    slices.uns["spatial"] = {"made by": "hand"}
    assert not any(ax.images for ax in semst.pl.domains(slices, batch_key="slice"))


@pytest.mark.parametrize("wrong", [0, 5, ["x"], np.True_])
def test_each_entry_of_a_mapping_of_images_is_looked_at(slices, wrong):
    with pytest.raises(ValueError, match="`image` must give each slice True, False, a name or None, got .* for 's2'"):
        semst.pl.domains(slices, batch_key="slice", image={"s2": wrong})


def test_categories_that_read_alike_name_no_slices(slices):
    slices.obs["slice"] = pd.Categorical([1] * 24 + ["1"] * 24)
    with pytest.raises(ValueError, match=r"obs\['slice'\] has several categories that are '1' as text"):
        semst.pl.domains(slices, batch_key="slice")


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_what_is_not_finite_does_not_set_the_scale_of_all_slices(slices, infinite):
    slices.obs.loc[slices.obs_names[7], "value"] = infinite
    panels = semst.pl.domains(slices, color="value", batch_key="slice")
    assert [collections(ax)["values"].get_clim() for ax in panels] == [(0, 47), (0, 47)]


def test_the_colour_bar_stands_at_the_last_slice_of_the_row_that_has_numbers(many):
    many.obs.loc[many.obs["slice"].isin(["s2", "s3"]), "value"] = np.nan
    panels = semst.pl.domains(many, color=["semst", "value"], batch_key="slice")
    assert [ax.get_title() for ax in panels if ax.child_axes] == ["value, s1"]
    assert [ax.get_title() for ax in panels if ax.get_legend()] == ["semst, s3"]
    many.obs.loc[many.obs["slice"].isin(["s0", "s1"]), "value"] = np.nan  # so that the first row has none
    panels = semst.pl.domains(many, color=["semst", "value"], batch_key="slice")
    assert [ax.get_title() for ax in panels if ax.child_axes] == ["value, s5"]
    axes = plt.subplots(1, 6)[1]
    many.obs.loc[many.obs["slice"] == "s5", "value"] = np.nan
    panels = semst.pl.domains(many, color="value", batch_key="slice", ax=axes)
    assert [ax.get_title() for ax in panels if ax.child_axes] == ["s4"]


def test_many_wide_slices_fit_into_a_row(slices):
    slices.obs["slice"] = np.repeat([f"s{i}" for i in range(16)], 3)
    slices.obsm["spatial"] = np.tile([[0.0, 0.0], [25.0, 5.0], [50.0, 10.0]], (16, 1))
    panels = semst.pl.domains(slices, batch_key="slice", ncols=16, size=1.0)
    assert {place[0] for place in places(panels)} == {0}
    assert panels[-1].get_legend()
