import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import semst.pl
from semst.pl import _image
from semst.pl._image import View, picture_of_spatialdata

TURN = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])


def turned(places):
    return places @ TURN.T + [700, -300]


def spots_of(ax):
    return {collection.get_gid(): collection for collection in ax.collections}


def test_circles_at_their_place_and_size(spatialdata_circles, visium):
    ax = semst.pl.domains(spatialdata_circles)
    spots = spots_of(ax)
    for name in "123":
        expected = turned(visium.obsm["spatial"][visium.obs["semst"] == name])
        drawn = np.asarray(spots[name].get_offsets())
        assert set(map(tuple, drawn.round(3))) == set(map(tuple, expected.round(3)))
        np.testing.assert_allclose(spots[name].get_widths(), 80.0)
    assert list(spatialdata_circles["table"].uns["semst_colors"]) == ["#3448af", "#98b319", "#910534"]


def test_circles_are_scaled_with_their_coordinate_system(spatialdata_circles):
    from spatialdata.transformations import Scale, set_transformation

    for element in ("spots", "he"):
        set_transformation(spatialdata_circles[element], Scale([0.5, 2.0], ("x", "y")), "stretched")
    ax = semst.pl.domains(spatialdata_circles, coordinate_system="stretched")
    np.testing.assert_allclose(spots_of(ax)["1"].get_widths(), 80.0)  # the area grows by 0.5 * 2
    set_transformation(spatialdata_circles["spots"], Scale([3.0, 3.0], ("x", "y")), "larger")
    ax = semst.pl.domains(spatialdata_circles, coordinate_system="larger")
    np.testing.assert_allclose(spots_of(ax)["1"].get_widths(), 240.0)
    assert len(ax.images) == 0  # the image has no place there


def test_image_is_turned_with_its_spots(spatialdata_circles):
    ax = semst.pl.domains(spatialdata_circles)
    (image,) = ax.images
    height, width = image.get_array().shape[:2]
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (0, width, height, 0)
    to_data = image.get_transform() - ax.transData
    # One pixel to the right is 20 (or 40 in the smaller copy) units along the turned x axis.
    step = to_data.transform((1, 0)) - to_data.transform((0, 0))
    np.testing.assert_allclose(step / np.linalg.norm(step), TURN[:, 0])
    # The dark rectangle begins at (500, 500) of the unturned slide.
    dark = np.argwhere(np.asarray(image.get_array())[:, :, 1] == 90)
    corner = to_data.transform(dark.min(axis=0)[::-1])
    np.testing.assert_allclose(corner, turned(np.array([500.0, 500.0])))


def test_scale_bar_of_a_visium_slide(spatialdata_circles):
    assert semst.pl.domains(spatialdata_circles).texts[0].get_text() == "200 µm"


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_a_scale_bar_is_true_in_any_coordinate_system(spatialdata_circles, factor):
    from spatialdata.transformations import Scale, set_transformation

    table = spatialdata_circles["table"]
    del table.obs["array_row"], table.obs["array_col"]  # the unit alone tells
    table.uns["spatial_unit"] = "micrometer"
    set_transformation(spatialdata_circles["spots"], Scale([factor, factor], ("x", "y")), "scaled")
    ax = semst.pl.domains(spatialdata_circles, coordinate_system="scaled")
    (bar,) = [line for line in ax.lines if line.get_gid() == "scale bar"]
    assert ax.texts[0].get_text() == "200 µm"
    assert np.ptp(bar.get_xdata()) == pytest.approx(200 * factor)


def test_no_scale_bar_where_directions_or_elements_differ(spatialdata_circles):
    from spatialdata.transformations import Scale, set_transformation

    table = spatialdata_circles["table"]
    del table.obs["array_row"], table.obs["array_col"]
    table.uns["spatial_unit"] = "micrometer"
    set_transformation(spatialdata_circles["spots"], Scale([1.0, 2.0], ("x", "y")), "stretched")
    assert len(semst.pl.domains(spatialdata_circles, coordinate_system="stretched").lines) == 0
    both = samples(sample("A", 10), sample("B", 90))
    both["table"].uns["spatial_unit"] = "micrometer"
    assert len(semst.pl.domains(both).lines) == 1
    set_transformation(both["B"], Scale([3.0, 3.0], ("x", "y")), "global")
    assert len(semst.pl.domains(both).lines) == 0
    bars = [ax.lines[0] for ax in semst.pl.domains(both, batch_key="region")]
    assert np.ptp(bars[1].get_xdata()) == pytest.approx(3 * np.ptp(bars[0].get_xdata()))


def test_image_by_name_none_or_required(spatialdata_circles):
    assert len(semst.pl.domains(spatialdata_circles, image="he").images) == 1
    assert len(semst.pl.domains(spatialdata_circles, image=False).images) == 0
    with pytest.raises(KeyError, match=r"no image 'dapi' in the coordinate system 'global'; there is 'he'"):
        semst.pl.domains(spatialdata_circles, image="dapi")
    del spatialdata_circles.images["he"]
    assert len(semst.pl.domains(spatialdata_circles).images) == 0
    with pytest.raises(KeyError, match="no tissue image"):
        semst.pl.domains(spatialdata_circles, image=True)


def test_wrong_names(spatialdata_circles):
    with pytest.raises(KeyError, match="no coordinate system 'mars'"):
        semst.pl.domains(spatialdata_circles, coordinate_system="mars")
    with pytest.raises(KeyError, match=r"semst\.tl\.cluster\(sdata, n_clusters"):
        semst.pl.domains(spatialdata_circles, color="nothing")
    with pytest.raises(KeyError, match="no table 'other'"):
        semst.pl.domains(spatialdata_circles, table_key="other")


def test_a_table_of_another_element(spatialdata_circles):
    spatialdata_circles["table"].obs["instance"] += 1
    with pytest.raises(ValueError, match="does not match its element: 1 of 144"):
        semst.pl.domains(spatialdata_circles)


@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")  # spatialdata's
@pytest.mark.filterwarnings("ignore:zarr v3 autosharding:UserWarning")  # anndata's
def test_colours_survive_zarr(spatialdata_circles, tmp_path):
    from spatialdata import read_zarr

    spatialdata_circles["table"].uns["semst_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    semst.pl.domains(spatialdata_circles)
    spatialdata_circles.write(tmp_path / "a.zarr")
    again = read_zarr(tmp_path / "a.zarr")
    ax = semst.pl.domains(again)
    np.testing.assert_allclose(spots_of(ax)["2"].get_facecolors(), [[0, 1, 0, 1]])
    assert len(ax.images) == 1


@pytest.fixture
def spatialdata_labels():
    """Sixteen square cells in a label image, and a nuclear stain of three channels that is 16-bit."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, Labels2DModel, TableModel

    labels = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((10, 10), dtype=int))
    table = AnnData(np.ones((16, 2), dtype=np.float32))
    table.obs["region"], table.obs["instance"] = pd.Categorical(["cells"] * 16), np.arange(1, 17)
    table.obs["semst"] = pd.Categorical(list("1122" * 4))
    stain = np.zeros((2, 40, 40), dtype=np.uint16)
    stain[0, :, :20], stain[1] = 4000, 9
    return SpatialData(
        images={"dapi": Image2DModel.parse(stain, dims=("c", "y", "x"))},
        labels={"cells": Labels2DModel.parse(labels, dims=("y", "x"))},
        tables={"table": TableModel.parse(table, region="cells", region_key="region", instance_key="instance")},
    )


def test_labels_are_drawn_at_their_centroids(spatialdata_labels):
    ax = semst.pl.domains(spatialdata_labels)
    row, col = np.divmod(np.arange(16), 4)
    centres = np.column_stack([10 * col + 5, 10 * row + 5])[(np.arange(16) % 4) < 2]
    np.testing.assert_allclose(spots_of(ax)["1"].get_offsets(), centres)


def test_a_stain_is_shown_in_grey_stretched_to_its_range(spatialdata_labels):
    (image,) = semst.pl.domains(spatialdata_labels).images
    pixels = np.asarray(image.get_array())
    assert pixels.shape == (40, 40)
    assert set(np.unique(pixels)) == {0.0, 1.0}
    assert image.get_cmap().name == "gray"


@pytest.mark.parametrize(
    ("channels", "dtype", "in_color"),
    [
        (["DAPI", "PolyT", "18S"], np.uint8, False),
        (["DAPI", "PolyT", "18S", "SMA"], np.uint16, False),
        (["b", "g", "r"], np.uint8, False),
        (["R", "G", "B"], np.uint8, True),
        (["r", "g", "b", "a"], np.uint16, True),
        (["red", "green", "blue"], np.uint8, True),
        (3, np.uint16, True),
        (4, np.uint8, True),
        (4, np.uint16, False),  # no camera tells opacity, and stains have 16 bits
        (2, np.uint8, False),
    ],
)
def test_stains_are_no_colours(spatialdata_labels, channels, dtype, in_color):
    from spatialdata.models import Image2DModel

    n, names = (channels, None) if isinstance(channels, int) else (len(channels), channels)
    stains = np.full((n, 40, 40), 200, dtype=dtype)
    stains[0, :, :20] = 0
    image = Image2DModel.parse(stains, dims=("c", "y", "x"), c_coords=names)
    spatialdata_labels.images["dapi"] = image
    (drawn,) = semst.pl.domains(spatialdata_labels).images
    pixels = np.asarray(drawn.get_array())
    assert pixels.ndim == (3 if in_color else 2)
    first = pixels[:, :, 0] if in_color else pixels
    assert (first[:, :20] == 0).all()
    assert (first[:, 20:] > 0).all()


def test_colour_goes_before_three_stains(pyramid):
    from spatialdata.models import Image2DModel

    pixels = np.full((3, 64, 64), 9, dtype=np.uint8)
    pyramid.images["stains"] = Image2DModel.parse(pixels, dims=("c", "y", "x"), c_coords=["DAPI", "PolyT", "18S"])
    for names in (["stains", "coarse"], ["coarse", "stains"]):
        assert picture_of_spatialdata(pyramid, names, "global", View(0, 0, 64, 64)).pixels.shape == (4, 4, 3)


def sample(name, shade, *, shift=0.0, systems=("global",), image="{}_hires_image"):
    """Nine spots and a plain image beneath them."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Translation

    moved = dict.fromkeys(systems, Translation([shift, 0], ("x", "y")))
    places = np.stack(np.meshgrid([10.0, 20.0, 30.0], [10.0, 20.0, 30.0]), axis=-1).reshape(-1, 2)
    table = AnnData(np.ones((9, 2), dtype=np.float32))
    table.obs_names = [f"{name}{number}" for number in range(9)]
    table.obs["region"], table.obs["instance"] = pd.Categorical([name] * 9), np.arange(9)
    table.obs["semst"] = pd.Categorical(list("112") * 3)
    pixels = np.full((3, 40, 40), shade, dtype=np.uint8)
    return SpatialData(
        images={image.format(name): Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=moved)},
        shapes={name: ShapesModel.parse(places, geometry=0, radius=4.0, transformations=moved)},
        tables={"table": TableModel.parse(table, region=name, region_key="region", instance_key="instance")},
    )


def samples(*each):
    from spatialdata import concatenate

    return concatenate(list(each), concatenate_tables=True)


def shades(sdata, **options):
    """Shade of the image beneath each slice, None where there is none."""
    panels = semst.pl.domains(sdata, batch_key="region", **options)
    return [int(ax.images[0].get_array()[0, 0, 0]) if ax.images else None for ax in panels]


@pytest.mark.parametrize(
    ("names", "image"),
    [(("A", "B"), "{}_hires_image"), (("s1", "s10"), "he.{}"), (("B_spots", "A_spots"), "{}-he")],
)
def test_slices_that_lie_over_each_other_have_each_its_own_image(names, image):
    one, other = sorted(names)
    assert shades(samples(sample(other, 90, image=image), sample(one, 10, image=image))) == [10, 90]


def test_a_region_and_its_image_may_share_the_name_of_their_sample():
    sdata = samples(sample("A_spots", 10, image="A_HE"), sample("B_spots", 90, image="B_HE"))
    assert shades(sdata) == [10, 90]


def test_a_slice_without_an_image_does_not_lie_on_that_of_another():
    sdata = samples(sample("A", 10), sample("B", 90))
    del sdata.images["B_hires_image"]
    assert shades(sdata) == [10, None]
    with pytest.raises(KeyError, match="no tissue image of slice 'B' lies under its spots"):
        shades(sdata, image=True)


def test_where_names_do_not_tell_no_image_is_drawn_and_the_log_says_so(caplog):
    sdata = samples(sample("A", 10, image="x"), sample("B", 90, image="y"))
    with caplog.at_level("WARNING", logger="semst"):
        assert shades(sdata) == [None, None]
    assert "slice 'B' lies under the images 'x', 'y'" in caplog.text
    assert "`image={'B': 'x', ...}`" in caplog.text
    with pytest.raises(ValueError, match="their names do not tell which is its own"):
        shades(sdata, image=True)


def test_one_image_that_bears_no_name_lies_beneath_all():
    sdata = samples(sample("A", 10, image="he"), sample("B", 90))
    del sdata.images["B_hires_image"]
    assert shades(sdata) == [10, 10]


def test_images_by_slice():
    sdata = samples(sample("A", 10, image="x"), sample("B", 90, image="y"))
    assert shades(sdata, image={"A": "y", "B": "x"}) == [90, 10]
    assert shades(sdata, image={"A": False, "B": "y"}) == [None, 90]
    with pytest.raises(KeyError, match="`image` has the keys 'C', which are no slices; there is 'A', 'B'"):
        shades(sdata, image={"C": "x"})
    with pytest.raises(KeyError, match="no image 'z' in the coordinate system 'global'"):
        shades(sdata, image={"A": "z"})
    with pytest.raises(ValueError, match="say which slice a spot belongs to with `batch_key`"):
        semst.pl.domains(sdata, image={"A": "x"})


def test_an_image_that_is_named_must_lie_under_the_spots():
    sdata = samples(sample("A", 10, image="x"), sample("B", 90, image="y", shift=100))
    with pytest.raises(KeyError, match="no pixels of the image 'y' lie under the spots of slice 'A'; name another"):
        shades(sdata, image={"A": "y"})
    alone = sample("A", 10, image="x")
    alone.images["y"] = sdata.images["y"]
    with pytest.raises(KeyError, match="no pixels of the image 'y' lie under the spots; name another"):
        semst.pl.domains(alone, image="y")


def test_slices_beside_each_other_need_no_names():
    sdata = samples(sample("A", 10, image="x"), sample("B", 90, image="y", shift=100))
    assert shades(sdata) == [10, 90]
    sdata = samples(sample("A", 10, image="y"), sample("B", 90, image="x", shift=30))  # their margins overlap
    assert shades(sdata) == [10, 90]


def test_slices_of_a_table_that_lost_its_regions_are_told():
    sdata = samples(sample("A", 10), sample("B", 90))
    sdata["table"].obs["slice"] = sdata["table"].obs["region"].astype(str)
    del sdata["table"].obs["region"]
    with pytest.raises(KeyError, match="columns of obs that are missing: 'region'"):
        semst.pl.domains(sdata, batch_key="slice")


def test_slices_are_drawn_each_in_its_own_coordinate_system():
    sdata = samples(
        sample("A", 10, systems=["A", "A_lowres"], image="x"), sample("B", 90, systems=["B"], shift=500, image="y")
    )
    assert shades(sdata) == [10, 90]
    first, second = semst.pl.domains(sdata, batch_key="region")
    assert first.get_xlim()[1] < 100 < 500 < second.get_xlim()[0]
    with pytest.raises(KeyError, match=r"do not share a coordinate system 'A' .* place each in its own if it is left"):
        shades(sdata, coordinate_system="A")


def test_a_problem_of_all_slices_is_told_once():
    sdata = samples(sample("A", 10, systems=["left", "right"]), sample("B", 90, systems=["left", "right"]))
    with pytest.raises(KeyError, match=r"domains: choose one `coordinate_system`; .* 'left', 'right'\.$"):
        shades(sdata)


def test_obsm_serves_a_table_that_annotates_nothing(visium):
    from spatialdata import SpatialData

    ax = semst.pl.domains(SpatialData(tables={"table": visium}))
    np.testing.assert_allclose(spots_of(ax)["1"].get_offsets(), visium.obsm["spatial"][visium.obs["semst"] == "1"])


@pytest.fixture
def pyramid():
    """An image of 64 x 64 whose pixels know their x, in three resolutions, and a coarse one of 4 x 4."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    ramp = np.broadcast_to(np.arange(64, dtype=np.float32) / 64, (3, 64, 64))
    fine = Image2DModel.parse(ramp, dims=("c", "y", "x"), scale_factors=[2, 2])
    coarse = Image2DModel.parse(
        np.zeros((3, 4, 4), dtype=np.uint8),
        dims=("c", "y", "x"),
        transformations={"global": Scale([16, 16], ("x", "y"))},
    )
    return SpatialData(images={"coarse": coarse, "fine": fine})


@pytest.mark.parametrize(("enough", "pixels"), [(1000, 64), (64, 64), (40, 64), (32, 32), (20, 32), (16, 16), (4, 4)])
def test_smallest_sufficient_resolution(pyramid, monkeypatch, enough, pixels):
    monkeypatch.setattr(_image, "ENOUGH_PIXELS", enough)
    picture = picture_of_spatialdata(pyramid, ["coarse", "fine"], "global", View(0, 0, 64, 64))
    assert picture.pixels.shape == (pixels, pixels, 3)
    np.testing.assert_allclose(picture.to_data @ [pixels, pixels, 1], [64, 64, 1])


def test_only_the_view_is_read_at_its_place(pyramid):
    picture = picture_of_spatialdata(pyramid, ["fine"], "global", View(10.5, 20, 30, 90))
    assert picture.pixels.shape == (44, 20, 3)
    np.testing.assert_allclose(picture.to_data @ [0, 0, 1], [10, 20, 1])
    np.testing.assert_allclose(picture.pixels[0, :, 0], np.arange(10, 30) / 64)
    assert picture_of_spatialdata(pyramid, ["fine"], "global", View(100, 0, 164, 64)) is None


def test_a_flat_image_is_averaged_down(pyramid, monkeypatch):
    monkeypatch.setattr(_image, "ENOUGH_PIXELS", 16)
    flat = pyramid["fine"]["scale0"]["image"]
    del pyramid.images["fine"]
    pyramid.images["flat"] = flat
    picture = picture_of_spatialdata(pyramid, ["flat"], "global", View(0, 0, 64, 64))
    assert picture.pixels.shape == (16, 16, 3)
    np.testing.assert_allclose(picture.pixels[0, :, 0], (4 * np.arange(16) + 1.5) / 64)
    np.testing.assert_allclose(picture.to_data, [[4, 0, 0], [0, 4, 0], [0, 0, 1]])


def test_colour_goes_before_stains_and_cover_before_both(pyramid):
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Translation

    def parse(channels, size, shift=0.0):
        move = {"global": Translation([shift, 0], ("x", "y"))}
        pixels = np.full((channels, size, size), channels, dtype=np.uint8)
        return Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=move)

    pyramid.images["stain"], pyramid.images["aside"] = parse(1, 64), parse(3, 64, shift=40.0)
    view = View(0, 0, 64, 64)
    assert picture_of_spatialdata(pyramid, ["stain", "coarse"], "global", view).pixels.shape == (4, 4, 3)
    assert picture_of_spatialdata(pyramid, ["stain", "aside"], "global", view).pixels.shape == (64, 64)
