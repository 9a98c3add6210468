import inspect

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from matplotlib.colors import to_hex
from natsort import natsorted

import semst.pl
from semst.pl._palette import PALETTE, UNLABELLED


def spots_of(ax):
    """Collections of spots by category."""
    return {collection.get_gid(): collection for collection in ax.collections}


def color_of(collection):
    (color,) = collection.get_facecolors()
    return to_hex(color)


def legend_of(ax):
    return {
        text.get_text(): to_hex(mark.get_color())
        for text, mark in zip(ax.get_legend().texts, ax.get_legend().legend_handles, strict=True)
    }


def test_each_domain_is_one_collection_at_its_place_in_its_colour(visium):
    ax = semst.pl.domains(visium)
    spots = spots_of(ax)
    assert list(spots) == ["1", "2", "3"]
    assert visium.uns["semst_colors"] == list(PALETTE[:3])
    for name, color in zip(["1", "2", "3"], visium.uns["semst_colors"], strict=True):
        expected = visium.obsm["spatial"][visium.obs["semst"] == name]
        np.testing.assert_allclose(spots[name].get_offsets(), expected)
        assert color_of(spots[name]) == color
    assert legend_of(ax) == dict(zip("123", PALETTE, strict=False))


def test_unlabelled_spots_are_grey_beneath_and_last_in_the_legend(visium):
    ax = semst.pl.domains(visium, color="ground_truth")
    spots = spots_of(ax)
    assert list(spots) == ["unlabelled", "Layer1", "Layer2", "Layer10"]
    assert color_of(spots["unlabelled"]) == UNLABELLED
    np.testing.assert_allclose(spots["unlabelled"].get_offsets(), visium.obsm["spatial"][:3])
    assert list(legend_of(ax)) == ["Layer1", "Layer2", "Layer10", "unlabelled"]


@pytest.mark.parametrize("batch_key", [None, "slice"])
def test_a_category_called_unlabelled_is_told_from_spots_without_one(visium, batch_key):
    visium.obs["ground_truth"] = visium.obs["ground_truth"].cat.rename_categories({"Layer2": "unlabelled"})
    visium.obs["slice"] = "only"
    ax = np.ravel(semst.pl.domains(visium, color="ground_truth", batch_key=batch_key))[0]
    assert list(legend_of(ax)) == ["Layer1", "Layer10", "unlabelled", "(unlabelled)"]
    assert {name: color_of(spots) for name, spots in spots_of(ax).items()} == legend_of(ax)
    assert legend_of(ax)["(unlabelled)"] == UNLABELLED != legend_of(ax)["unlabelled"]
    np.testing.assert_allclose(spots_of(ax)["(unlabelled)"].get_offsets(), visium.obsm["spatial"][:3])


def test_matched_colours_side_by_side(visium):
    truth, ours = semst.pl.domains(visium, color=["ground_truth", "semst"])
    assert truth.figure is ours.figure
    expected = {"3": "Layer1", "1": "Layer2", "2": "Layer10"}
    for domain, layer in expected.items():
        assert color_of(spots_of(ours)[domain]) == color_of(spots_of(truth)[layer])
    assert visium.uns["semst_colors"] == [legend_of(truth)[expected[domain]] for domain in "123"]
    assert (truth.get_title(), ours.get_title()) == ("ground_truth", "semst")


def test_colours_that_are_there_are_kept(visium):
    visium.uns["semst_colors"] = ["#000000", "#111111", "#222222"]
    truth, ours = semst.pl.domains(visium, color=["ground_truth", "semst"])
    assert color_of(spots_of(ours)["2"]) == "#111111"
    assert color_of(spots_of(truth)["Layer10"]) == "#111111"  # the layers go by the domains
    assert visium.uns["semst_colors"] == ["#000000", "#111111", "#222222"]
    assert color_of(spots_of(semst.pl.domains(visium))["2"]) == "#111111"
    semst.pl.domains(visium, palette={"2": "red"})
    assert visium.uns["semst_colors"] == ["#000000", "#ff0000", "#222222"]
    visium.uns["semst_colors"] = ["#000000"]
    semst.pl.domains(visium)
    assert visium.uns["semst_colors"] == list(PALETTE[:3])


def colours_of_domains(axes):
    drawn = {ax.get_title(): {name: color_of(each) for name, each in spots_of(ax).items()} for ax in np.ravel(axes)}
    return drawn["semst"]


PICTURES = {
    "alone": lambda adata: semst.pl.domains(adata),
    "after the truth": lambda adata: semst.pl.domains(adata, color=["ground_truth", "semst"]),
    "before the truth": lambda adata: semst.pl.domains(adata, color=["semst", "ground_truth"]),
    "unmatched": lambda adata: semst.pl.domains(adata, color=["ground_truth", "semst"], match=False),
    "of a view": lambda adata: semst.pl.domains(adata[::-1], color=["ground_truth", "semst"]),
}


@pytest.mark.parametrize("later", PICTURES)
@pytest.mark.parametrize("earlier", [name for name in PICTURES if name != "of a view"])
def test_a_domain_has_one_colour_in_all_pictures(visium, earlier, later):
    first = colours_of_domains(PICTURES[earlier](visium))
    assert colours_of_domains(PICTURES[later](visium)) == first
    assert visium.uns["semst_colors"] == list(first.values())


def test_a_new_palette_is_for_all_keys_and_kept(visium):
    semst.pl.domains(visium)
    semst.pl.domains(visium, color="ground_truth")
    drawn = colours_of_domains(
        semst.pl.domains(visium, color=["ground_truth", "semst"], palette=["red", "lime", "blue"])
    )
    assert drawn == {"1": "#00ff00", "2": "#0000ff", "3": "#ff0000"}  # matched anew
    assert colours_of_domains(semst.pl.domains(visium)) == drawn


def test_a_palette_may_be_the_name_of_a_colour_map(visium):
    ax = semst.pl.domains(visium, palette="Set1")
    assert list(legend_of(ax).values()) == ["#e41a1c", "#377eb8", "#4daf4a"] == visium.uns["semst_colors"]
    with pytest.raises(ValueError, match="`palette` must be a list.*name of a matplotlib colour map"):
        semst.pl.domains(visium, palette="Set 1")


def test_colours_survive_a_file(visium, tmp_path):
    semst.pl.domains(visium, palette=["red", "green", "blue"])
    visium.write_h5ad(tmp_path / "a.h5ad")
    again = read_h5ad(tmp_path / "a.h5ad")
    assert color_of(spots_of(semst.pl.domains(again))["2"]) == "#008000"


def test_colours_of_text_survive_a_file(visium, tmp_path):
    visium.obs["tissue"] = np.where(np.arange(144) < 70, "stroma", "Tumor")
    first = legend_of(semst.pl.domains(visium, color="tissue"))
    visium.write_h5ad(tmp_path / "a.h5ad")
    assert legend_of(semst.pl.domains(read_h5ad(tmp_path / "a.h5ad"), color="tissue")) == first


def test_a_view_stays_a_view(visium):
    view = visium[:50]
    semst.pl.domains(view)
    assert view.is_view
    assert "semst_colors" not in view.uns


@pytest.mark.parametrize("data", ["visium", "visium_image", "cells"])
def test_y_points_down_at_equal_aspect_without_frame(data, request):
    ax = semst.pl.domains(request.getfixturevalue(data))
    bottom, top = ax.get_ylim()
    left, right = ax.get_xlim()
    assert bottom > top
    assert left < right
    assert ax.get_aspect() == 1
    assert list(ax.get_xticks()) == list(ax.get_yticks()) == []
    assert not any(spine.get_visible() for spine in ax.spines.values())


@pytest.mark.parametrize("data", ["visium", "visium_image", "cells"])
def test_all_spots_are_wholly_in_view(data, request):
    adata = request.getfixturevalue(data)
    ax = semst.pl.domains(adata)
    radius = spots_of(ax)["1"].get_widths()[0] / 2
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    low, high = adata.obsm["spatial"].min(axis=0) - radius, adata.obsm["spatial"].max(axis=0) + radius
    assert (left, top) < tuple(low)
    assert (right, bottom) > tuple(high)


def area_in_red(figure):
    """Pixels that red covers on white, partly covered ones by their share."""
    figure.canvas.draw()
    return float((1 - np.asarray(figure.canvas.buffer_rgba())[:, :, 1] / 255).sum())


@pytest.mark.parametrize(("inches", "dpi"), [(3, 60), (6, 60), (4, 120)])
def test_spots_keep_their_true_size_in_any_figure(visium, inches, dpi):
    figure = plt.figure(figsize=(inches, inches), dpi=dpi)
    ax = semst.pl.domains(
        visium, ax=figure.add_axes((0, 0, 1, 1)), palette=["red"] * 3, legend=False, title="", scale_bar=False
    )
    unit = np.diff(ax.transData.transform([(0, 0), (1, 0)])[:, 0])[0]  # pixels of the screen
    area = 144 * np.pi * (0.55 * 137.5 * unit / 2) ** 2
    assert area_in_red(figure) == pytest.approx(area, rel=0.03)


def test_size_is_told_given_or_guessed(visium_image, cells):
    def width(adata, **options):
        return float(spots_of(semst.pl.domains(adata, **options))["1"].get_widths()[0])

    assert width(visium_image) == 90.0
    assert width(visium_image, size=33) == 33.0
    del visium_image.uns["spatial"]
    assert width(visium_image) == pytest.approx(0.55 * 137.5)
    # 300 cells on 2000 x 1000: one has 6667, so a circle of 92 across would cover all if circles could.
    assert 45 < width(cells) < 92


def test_many_spots_are_drawn_as_pixels():
    n = 20_001
    adata = AnnData(np.ones((n, 1), dtype=np.float32), obsm={"spatial": np.random.default_rng(0).random((n, 2))})
    adata.obs["semst"] = pd.Categorical(["1"] * n)
    assert spots_of(semst.pl.domains(adata))["1"].get_rasterized()
    assert not spots_of(semst.pl.domains(adata[1:].copy()))["1"].get_rasterized()


def test_scale_bar_is_round_and_true(visium):
    def bar(**options):
        ax = semst.pl.domains(visium, **options)
        lines = [line for line in ax.lines if line.get_gid() == "scale bar"]
        return [(np.ptp(line.get_xdata()), ax.texts[0].get_text()) for line in lines]

    # The slide is 12 x 100 micrometres wide, and 137.5 pixels are 100 micrometres.
    ((length, text),) = bar()
    assert text == "200 µm"
    assert length == pytest.approx(200 / 100 * 137.5)
    assert bar(scale_bar=False) == []
    ((length, text),) = bar(scale_bar=20.0)
    assert text == "5 mm"
    assert length == pytest.approx(5000 / 20)


def test_scale_bar_needs_a_unit(cells):
    assert len(semst.pl.domains(cells).lines) == 0
    cells.uns["spatial_unit"] = "micrometer"
    assert semst.pl.domains(cells).texts[0].get_text() == "500 µm"


def test_tissue_image_lies_under_its_spots(visium_image):
    ax = semst.pl.domains(visium_image)
    (image,) = ax.images
    assert image.get_zorder() < spots_of(ax)["1"].get_zorder()
    # The dark rectangle begins at pixel 25 of the image; a pixel of it is 20 of the full resolution.
    corner = ax.transData.inverted().transform(image.get_transform().transform((25, 25)))
    np.testing.assert_allclose(corner, [499.5, 499.5])
    assert len(semst.pl.domains(visium_image, image=False).images) == 0


def test_the_sharper_image_goes_first(visium_image):
    slide = visium_image.uns["spatial"]["slide"]
    slide["images"]["lowres"] = np.zeros((12, 12, 3))
    slide["scalefactors"]["tissue_lowres_scalef"] = 0.005
    assert semst.pl.domains(visium_image).images[0].get_array().shape == (120, 120, 4)
    del slide["images"]["hires"]
    assert semst.pl.domains(visium_image).images[0].get_array().shape == (12, 12, 4)


def test_several_libraries_need_a_name(visium_image):
    libraries = visium_image.uns["spatial"]
    libraries["other"] = {"images": {}, "scalefactors": {"spot_diameter_fullres": 50.0}}
    with pytest.raises(KeyError, match=r"several libraries \('slide', 'other'\)"):
        semst.pl.domains(visium_image)
    with pytest.raises(
        KeyError, match="no pixels of the image 'other' lie under the spots; name another, or pass `ima"
    ):
        semst.pl.domains(visium_image, image="other")
    assert len(semst.pl.domains(visium_image, image=False).images) == 0
    assert len(semst.pl.domains(visium_image, image="slide").images) == 1
    with pytest.raises(KeyError, match="no image 'third'"):
        semst.pl.domains(visium_image, image="third")


@pytest.mark.parametrize(
    "empty",
    [
        {"images": None, "scalefactors": None},
        {"images": {"hires": None}, "scalefactors": {"tissue_hires_scalef": 1.0}},
        {"images": {"hires": np.zeros((0, 0, 3))}, "scalefactors": {"tissue_hires_scalef": 1.0}},
        {"images": {"hires": np.zeros((9, 9, 3))}, "scalefactors": {"tissue_hires_scalef": None}},
    ],
)
def test_a_library_that_holds_no_image(visium, empty):
    visium.uns["spatial"] = {"slide": empty}
    assert len(semst.pl.domains(visium).images) == 0
    with pytest.raises(KeyError, match="no tissue image lies under the spots, in uns"):
        semst.pl.domains(visium, image=True)


def test_an_image_beside_the_spots_is_not_drawn_and_told_where_it_is_named(visium_image):
    visium_image.obsm["spatial"] += 5000
    assert len(semst.pl.domains(visium_image).images) == 0
    with pytest.raises(KeyError, match="no pixels of the image 'slide' lie under the spots"):
        semst.pl.domains(visium_image, image="slide")
    with pytest.raises(KeyError, match="no tissue image lies under the spots"):
        semst.pl.domains(visium_image, image=True)


def test_numbers_are_drawn_by_a_colour_map_with_a_bar(visium):
    visium.obs["count"] = np.arange(144.0)
    visium.obs.loc[visium.obs_names[5], "count"] = np.nan
    ax = semst.pl.domains(visium, color="count", cmap="magma")
    spots = spots_of(ax)
    assert list(spots) == ["unlabelled", "values"]
    np.testing.assert_allclose(spots["unlabelled"].get_offsets(), visium.obsm["spatial"][[5]])
    assert spots["values"].get_cmap().name == "magma"
    assert spots["values"].get_clim() == (0, 143)
    assert len(ax.child_axes) == 1
    assert "count_colors" not in visium.uns
    assert len(semst.pl.domains(visium, color="count", legend=False).child_axes) == 0


def test_a_confidence_is_drawn_on_its_whole_range(visium):
    assert spots_of(semst.pl.domains(visium, color="semst_confidence"))["values"].get_clim() == (0, 1)


@pytest.mark.parametrize(("low", "high"), [(0, 100), (-0.5, 0.5), (0.5, 1.01)])
def test_a_confidence_of_another_kind_has_the_scale_of_its_values(visium, low, high):
    visium.obs["my_confidence"] = np.linspace(low, high, 144)
    visium.obs["slice"] = np.where(np.arange(144) < 72, "a", "b")
    assert spots_of(semst.pl.domains(visium, color="my_confidence"))["values"].get_clim() == (low, high)
    for ax in semst.pl.domains(visium, color="my_confidence", batch_key="slice"):
        assert spots_of(ax)["values"].get_clim() == (low, high)


def test_a_column_without_any_value_is_drawn_grey(visium):
    visium.obs["none"], visium.obs["nan"] = pd.Categorical([None] * 144), np.nan
    for key in ("none", "nan"):
        assert list(spots_of(semst.pl.domains(visium, color=key))) == ["unlabelled"]


@pytest.mark.parametrize("data", ["visium", "cells"])
@pytest.mark.parametrize("n_domains", [3, 26])
def test_legends_overlap_neither_tissue_nor_each_other_nor_the_edge(data, n_domains, request):
    adata = request.getfixturevalue(data)
    adata.obs["long"] = pd.Categorical([f"a rather long name {i % n_domains}" for i in range(adata.n_obs)])
    axes = semst.pl.domains(adata, color=["long", "semst", "long"], ncols=2)
    figure = axes[0].figure
    figure.canvas.draw()
    legends = [ax.get_legend().get_window_extent() for ax in axes]
    for ax, legend in zip(axes, legends, strict=True):
        assert legend.x0 > 0
        assert legend.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= legend.y0 < legend.y1 <= figure.bbox.y1 + 1
        assert not any(legend.overlaps(other.get_window_extent()) for other in axes)
        assert not any(legend.overlaps(other) for other in legends if other is not legend)
        assert ax.get_window_extent().width > 80


def test_given_axes_are_used_and_no_figure_is_made(visium):
    figure, (left, right) = plt.subplots(1, 2)
    settings = dict(mpl.rcParams)
    assert semst.pl.domains(visium, ax=left) is left
    assert semst.pl.domains(visium, color=["semst", "ground_truth"], ax=[left, right]) == [left, right]
    assert semst.pl.domains(visium, color=["semst"], ax=right) == [right]
    assert plt.get_fignums() == [figure.number]
    assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize("second", ["semst", "semst_confidence"])
def test_a_legend_is_seen_where_the_axes_beside_it_begin(visium, second):
    figure, axes = plt.subplots(1, 2, figsize=(6, 3), dpi=100)
    first, beside = semst.pl.domains(visium, color=["ground_truth", second], ax=axes)

    def ink():
        figure.canvas.draw()
        box = first.get_legend().get_window_extent()
        assert box.x1 > beside.get_window_extent().x0 + 10  # else it tells nothing
        pixels = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3]
        return (
            pixels[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)].max(axis=2) < 100
        )  # letters are black

    both = ink()
    beside.set_visible(False)
    alone = ink()
    assert alone[:, -10:].any()
    assert both[alone].all()


def test_rows_of_panels(visium):
    axes = semst.pl.domains(visium, color=["semst", "ground_truth", "semst_confidence"], ncols=2)
    assert len(axes) == len([ax for ax in axes[0].figure.axes if ax.get_subplotspec() is not None]) == 3
    rows = [ax.get_subplotspec().rowspan.start for ax in axes]
    assert rows == [0, 0, 1]


def test_titles(visium):
    assert semst.pl.domains(visium).get_title() == "semst"
    assert semst.pl.domains(visium, title="ours").get_title() == "ours"
    assert semst.pl.domains(visium, title="").get_title() == ""


def test_missing_key_names_what_is_there_and_the_way_out(visium):
    del visium.obs["semst"]
    with pytest.raises(KeyError, match=r"no obs\['semst'\]; obs has 'array_row'.*semst\.tl\.cluster\(adata, n_clus"):
        semst.pl.domains(visium)


def test_before_there_are_domains_no_gene_is_proposed(visium):
    del visium.obs["semst"]
    visium.var_names = ["SST", "MBP"]
    with pytest.raises(KeyError) as caught:
        semst.pl.domains(visium)
    assert "SST" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        (
            "MBP",
            ["'MBP' is a gene", "squidpy.pl.spatial_scatter(adata, color='MBP', shape=None)", "obs has 'array_row'"],
        ),
        ("mbp", ["obs has 'array_row'", "Genes of like names are 'MBP'", "semst.tl.cluster(adata"]),
        ("semts", ["did you mean 'semst'", "Obs has 'array_row'"]),
        ("Ground_Truth", ["did you mean 'ground_truth'"]),
        ("zzz", ["obs has 'array_row'", "semst.tl.cluster(adata"]),
    ],
)
def test_a_key_that_is_not_there_is_answered_by_what_could_be_meant(visium, key, parts):
    visium.var_names = ["MBP", "SNAP25"]
    with pytest.raises(KeyError) as caught:
        semst.pl.domains(visium, color=key)
    for part in [f"no obs[{key!r}]", *parts]:
        assert part in str(caught.value)
    assert ("Genes of like names" in str(caught.value)) == (key == "mbp")


@pytest.mark.filterwarnings("ignore")  # squidpy's own
def test_what_the_message_says_of_squidpy_is_so(visium):
    import squidpy as sq

    visium.var_names = ["MBP", "SNAP25"]
    sq.pl.spatial_scatter(visium, color="MBP", shape=None)
    ax = plt.gcf().axes[0]
    assert ax.get_title() == "MBP"
    bottom, top = ax.get_ylim()
    assert bottom > top  # y points down, as in our pictures


def test_a_gene_of_a_spatialdata(spatialdata_circles):
    gene = spatialdata_circles["table"].var_names[0]
    with pytest.raises(KeyError, match=f"'{gene}' is a gene.*spatialdata-plot.*semst.tl.query.sdata, '{gene}'"):
        semst.pl.domains(spatialdata_circles, color=gene)


def test_all_problems_are_told_at_once_and_nothing_is_written(visium):
    with pytest.raises(ValueError, match="problems with the input") as caught:
        semst.pl.domains(
            visium,
            color=["semst", "nothing"],
            image="no image",
            size=0,
            alpha=2,
            cmap="no map",
            title=["one"],
            scale_bar=-1.0,
            ncols=0,
            palette=["no colour"],
            ax=[],
        )
    message = str(caught.value)
    for name in ("nothing", "no image", "size", "alpha", "no map", "title", "scale_bar", "ncols", "no colour", "`ax`"):
        assert name in message
    assert "semst_colors" not in visium.uns
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda a: a.obsm.pop("spatial"), KeyError, "no coordinates"),
        (lambda a: a.obsm["spatial"].__setitem__((0, 0), np.nan), ValueError, "NaN or infinite coordinates"),
    ],
)
def test_bad_coordinates(visium, spoil, error, message):
    spoil(visium)
    with pytest.raises(error, match=message):
        semst.pl.domains(visium)


def test_other_bad_input(visium):
    with pytest.raises(KeyError, match="no tissue image"):
        semst.pl.domains(visium, image=True)
    with pytest.raises(ValueError, match="names no key"):
        semst.pl.domains(visium, color=[])
    for color, got in ((None, "NoneType"), (3, "int"), (["semst", None], "NoneType")):
        with pytest.raises(TypeError, match=f"`color` must be a key of obs, or a list of several, got {got}; leave it"):
            semst.pl.domains(visium, color=color)
    with pytest.raises(ValueError, match="no spots"):
        semst.pl.domains(visium[[]].copy())
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got dict"):
        semst.pl.domains({})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"ncols": wrong}, "`ncols` must be a whole number of at least 1") for wrong in (2.5, True, "2", 0, None)),
        *(({"cmap": wrong}, "`cmap` must be the name of") for wrong in (mpl.colormaps["viridis"], 3, None, ["jet"])),
        ({"cmap": "viridiss"}, "got 'viridiss'; did you mean 'viridis'"),
        *(({"title": wrong}, "`title` must be a str, a list of them or None, got a list w") for wrong in ([1], [None])),
        *(({"ax": wrong}, "`ax` must hold Axes of matplotlib, got 'str'") for wrong in ("x", ["x"])),
        ({"ax": {}}, "`ax` must hold Axes of matplotlib, got 'dict'"),
    ],
)
def test_options_of_another_kind_are_told_before_there_is_a_figure(visium, options, message):
    with pytest.raises(ValueError, match=message):
        semst.pl.domains(visium, **options)
    assert plt.get_fignums() == []
    assert "semst_colors" not in visium.uns


def test_titles_of_another_kind_are_told_for_each_key(visium):
    with pytest.raises(ValueError, match="got a list with 'int', 'NoneType'"):
        semst.pl.domains(visium, color=["semst", "ground_truth"], title=[1, None])


@pytest.mark.parametrize("names", [False, True])
def test_categories_that_are_one_as_text_are_told(visium, names):
    visium.obs["mixed"] = pd.Categorical(np.resize(np.array([1, "1"], dtype=object), 144))
    with pytest.raises(ValueError, match=r"domains: obs\['mixed'\] has several categories that are '1' as text"):
        semst.pl.domains(visium, color="mixed", names=names)


def test_one_spot_can_be_drawn(visium):
    assert len(spots_of(semst.pl.domains(visium[[5]].copy()))) == 1


@pytest.mark.parametrize("function", [semst.pl.domains, semst.pl.training])
def test_signature(function):
    first, *others = inspect.signature(function).parameters.values()
    assert first.name == "data"
    assert all(other.kind is other.KEYWORD_ONLY for other in others)
    assert all(f"\n{other.name}\n" in inspect.getdoc(function) for other in others)


REAL = [
    *("dlpfc_151673", "dlpfc_151676", "starmap_mvc", "starmap_mpfc_BZ5", "osmfish_ssc"),
    *("her2st_H1", "her2st_B1"),
]


@pytest.mark.parametrize("name", REAL)
def test_real_tissue(name, real_file):
    adata = read_h5ad(real_file(name))
    ax = semst.pl.domains(adata, color="ground_truth")
    ax.figure.canvas.draw()
    domains = natsorted(adata.obs["ground_truth"].cat.categories, key=str.lower)
    unlabelled = ["unlabelled"] if adata.obs["ground_truth"].isna().any() else []
    assert list(legend_of(ax)) == domains + unlabelled
    assert sum(len(spots.get_offsets()) for spots in ax.collections) == adata.n_obs
    bars = [text.get_text() for text in ax.texts]
    assert bars == (["1 mm"] if name.startswith("dlpfc") else [])


def name_domains(adata, names, key="semst"):
    table = pd.DataFrame({"name": names, "account": ""})
    table.index.name = "domain"
    adata.uns[f"{key}_description"] = {"names": table, "terms": pd.DataFrame(), "params": {}, "versions": {}}


LONG = "fast-spiking interneurons of the innermost layer of a very large cortex"


def test_the_legend_names_domains_that_were_described(visium):
    name_domains(visium, {"1": "white matter", "2": "no term fits", "3": LONG})
    ax = semst.pl.domains(visium, names=True)
    one, two, three = legend_of(ax)
    assert (one, two) == ("1 white matter", "2")
    assert three.replace("\n", " ") == f"3 {LONG}"
    assert "\n" in three
    assert list(legend_of(ax).values()) == list(PALETTE[:3])
    assert list(spots_of(ax)) == ["1", "2", "3"]
    assert list(legend_of(semst.pl.domains(visium))) == ["1", "2", "3"]
    assert semst.pl.domains(visium, names=True, legend=False).get_legend() is None


def test_of_several_keys_those_described_are_named_and_the_first_must_be(visium):
    name_domains(visium, {"1": "white matter", "2": "no term fits", "3": "meninges"})
    keys = ["semst", "ground_truth", "semst_confidence"]
    ours, truth, _ = semst.pl.domains(visium, color=keys, names=True)
    assert list(legend_of(ours)) == ["1 white matter", "2", "3 meninges"]
    assert list(legend_of(truth)) == ["Layer1", "Layer2", "Layer10", "unlabelled"]
    with pytest.raises(
        KeyError, match=r"no description in uns\['ground_truth_desc.*describe\(adata, key='ground_truth'\)"
    ):
        semst.pl.domains(visium, color=["ground_truth", "semst"], names=True)
    name_domains(visium, {"Layer1": "a", "Layer2": "b", "Layer10": "c"}, key="ground_truth")
    truth, ours = semst.pl.domains(visium, color=["ground_truth", "semst"], names=True)
    assert list(legend_of(truth)) == ["Layer1: a", "Layer2: b", "Layer10: c", "unlabelled"]
    assert list(legend_of(ours)) == ["1 white matter", "2", "3 meninges"]


def test_part_of_the_tissue_keeps_its_names(visium):
    name_domains(visium, {"1": "white matter", "2": "meninges", "3": "pia", "4": "gone"})
    part = visium[visium.obs["semst"] != "1"].copy()
    assert list(legend_of(semst.pl.domains(part, names=True))) == ["2 meninges", "3 pia"]


def test_a_description_of_other_domains_is_an_error(visium):
    name_domains(visium, {"1": "white matter", "2": "meninges"})
    with pytest.raises(
        ValueError, match=r"has the domains '3', but those described are '1', '2'; run `semst.tl.describe"
    ):
        semst.pl.domains(visium, names=True)
    visium.obs["number"] = np.arange(144)
    name_domains(visium, {"1": "white matter"}, key="number")
    with pytest.raises(ValueError, match=r"obs\['number'\] holds no labels"):
        semst.pl.domains(visium, color="number", names=True)
    with pytest.raises(KeyError) as caught:
        semst.pl.domains(visium, color="nothing", names=True)
    assert "description" not in str(caught.value)  # one error is enough


@pytest.mark.parametrize("n_domains", [3, 20])
def test_long_names_fit_into_the_figure(cells, n_domains):
    domains = [str(place + 1) for place in range(n_domains)]
    cells.obs["semst"] = pd.Categorical(np.resize(domains, 300), categories=domains)
    name_domains(cells, dict.fromkeys(domains, LONG))
    ax = semst.pl.domains(cells, names=True)
    ax.figure.canvas.draw()
    legend, frame = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert ax.get_window_extent().x1 < legend.x0
    assert legend.x1 <= frame.x1 + 1
    assert frame.y0 - 1 <= legend.y0 < legend.y1 <= frame.y1 + 1
    assert ax.get_window_extent().width > 400


def test_what_is_described_is_named():
    adata = semst.datasets.simulated(n_spots=300, n_genes=400, n_domains=4, progress=False)
    semst.tl.describe(adata, key="ground_truth", fdr=0.2)
    names = adata.uns["ground_truth_description"]["names"]["name"]
    assert (names != "no term fits").any()
    ax = semst.pl.domains(adata, color="ground_truth", names=True)
    expected = [domain if name == "no term fits" else f"{domain}: {name}" for domain, name in names.items()]
    assert [text.replace("\n", " ") for text in legend_of(ax)] == expected
