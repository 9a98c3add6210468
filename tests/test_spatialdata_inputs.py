from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from shapely import box
from spatialdata import SpatialData
from spatialdata.models import Labels2DModel, PointsModel, ShapesModel, TableModel
from spatialdata.transformations import Affine, Identity, Scale, set_transformation

from semst._inputs import find_table, read_coordinates
from semst._problems import InputError, Problems

PLACES = np.array([[10.0, 20.0], [30.0, 25.0], [50.0, 80.0], [70.0, 5.0]])
NAMES = np.array([11, 12, 13, 14])


def circles(places=PLACES, names=NAMES, **transformations):
    return ShapesModel.parse(
        places, geometry=0, radius=2.0, index=names, transformations=transformations or {"global": Identity()}
    )


def polygons(places=PLACES, names=NAMES):
    from geopandas import GeoDataFrame

    boxes = [box(x - 3, y - 1, x + 3, y + 1) for x, y in places]
    return ShapesModel.parse(GeoDataFrame(geometry=boxes, index=names))


def labels(places=PLACES, names=NAMES):
    """A picture in which each instance is a square of 3 x 3 pixels."""
    image = np.zeros((100, 100), dtype=np.int32)
    for (x, y), name in zip(places.astype(int), names, strict=True):
        image[y - 1 : y + 2, x - 1 : x + 2] = name
    return Labels2DModel.parse(image, dims=("y", "x"))


def table(instances=NAMES, regions="spots"):
    n = len(instances)
    column = [regions] * n if isinstance(regions, str) else list(regions)
    obs = pd.DataFrame(
        {"region": pd.Categorical(column), "instance": np.asarray(instances)}, index=[f"cell{i}" for i in range(n)]
    )
    return TableModel.parse(
        AnnData(np.ones((n, 2), dtype=np.float32), obs=obs),
        region=sorted(set(column)),
        region_key="region",
        instance_key="instance",
    )


def sdata_of(annotation, **shapes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spatialdata's own, where the table does not match
        return SpatialData(shapes=shapes, tables={"table": annotation})


def read(sdata, **options):
    problems = Problems("f")
    annotation = find_table(sdata, where="f")
    coordinates = read_coordinates(sdata, annotation, problems, **options)
    try:
        problems.raise_if_any()
    except InputError as error:
        return coordinates, error
    return coordinates, None


@pytest.mark.parametrize("element", [circles, polygons])
def test_centroids_of_shapes(element):
    places, error = read(sdata_of(table(), spots=element()))
    assert error is None
    assert places.dtype == np.float64
    np.testing.assert_allclose(places, PLACES)


def test_centroids_of_labels_are_pixel_centres_and_leave_the_background_out():
    sdata = SpatialData(labels={"spots": labels()}, tables={"table": table()})
    places, error = read(sdata)
    assert error is None
    np.testing.assert_allclose(places, PLACES + 0.5)  # the centre of pixel 10 lies at 10.5


@pytest.mark.parametrize("element", ["circles", "polygons", "labels"])
def test_rows_are_matched_by_instance_not_by_order(element):
    annotation = table(NAMES[[3, 0, 2]])
    if element == "labels":
        sdata, shift = SpatialData(labels={"spots": labels()}, tables={"table": annotation}), 0.5
    else:
        sdata, shift = sdata_of(annotation, spots={"circles": circles, "polygons": polygons}[element]()), 0.0
    places, error = read(sdata)
    assert error is None
    np.testing.assert_allclose(places, PLACES[[3, 0, 2]] + shift)


def test_transformations_are_honoured():
    sdata = sdata_of(table(), spots=circles())
    set_transformation(sdata["spots"], Scale([0.5, 3.0], ("x", "y")), "global")
    np.testing.assert_allclose(read(sdata)[0], PLACES * [0.5, 3.0])
    turn = Affine(np.array([[0, -1, 100.0], [1, 0, -7.0], [0, 0, 1]]), ("x", "y"), ("x", "y"))
    set_transformation(sdata["spots"], turn, "turned")
    expected = np.stack([100 - PLACES[:, 1], PLACES[:, 0] - 7], axis=1)
    np.testing.assert_allclose(read(sdata, coordinate_system="turned")[0], expected)
    np.testing.assert_allclose(read(sdata)[0], PLACES * [0.5, 3.0])  # "global" stays the default


def test_the_only_coordinate_system_needs_no_name():
    sdata = sdata_of(table(), spots=circles(slide=Scale([2.0, 2.0], ("x", "y"))))
    np.testing.assert_allclose(read(sdata)[0], PLACES * 2)


def test_coordinate_systems_that_are_missing_or_many():
    sdata = sdata_of(table(), spots=circles(left=Identity(), right=Identity()))
    _, error = read(sdata)
    assert isinstance(error, KeyError)
    assert "choose one `coordinate_system`; the annotated elements share 'left', 'right'" in str(error)
    assert read(sdata, coordinate_system="left")[1] is None
    _, error = read(sdata, coordinate_system="mars")
    assert isinstance(error, KeyError)
    assert "no coordinate system 'mars'; the elements have 'left', 'right'" in str(error)


def test_instances_that_are_not_there():
    annotation = table([11, 99, 13, 98])
    places, error = read(sdata_of(annotation, spots=circles()))
    assert places is None
    assert isinstance(error, ValueError)
    assert not isinstance(error, KeyError)
    assert "2 of 4 observations ('cell1', 'cell3') have no instance in 'spots'" in str(error)


def test_instances_named_by_text_where_the_element_counts():
    annotation = table()
    annotation.obs["instance"] = [str(name) for name in NAMES]
    places, error = read(sdata_of(annotation, spots=circles()))
    assert places is None
    assert "does not match its element: 4 of 4" in str(error)


def test_an_element_with_an_instance_twice():
    twice = circles(names=np.array([11, 12, 12, 14]))
    places, error = read(sdata_of(table(), spots=twice))
    assert places is None
    assert "1 instances of 'spots' occur more than once ('12')" in str(error)


def test_an_element_that_is_not_there():
    places, error = read(sdata_of(table(regions="elsewhere"), spots=circles()))
    assert places is None
    assert isinstance(error, KeyError)
    assert "annotates 'elsewhere', which is not in the SpatialData; add the element, or pass the table" in str(error)
    assert "`sdata['table']`: x and y in its obsm['spatial'] are read then" in str(error)


def test_several_regions():
    first, second = circles(PLACES[:2], NAMES[:2]), polygons(PLACES[2:] + 100, NAMES[:2])  # the same instance names
    annotation = table([12, 12, 11, 11], ["b", "a", "b", "a"])
    places, error = read(sdata_of(annotation, a=first, b=second))
    assert error is None
    np.testing.assert_allclose(places, [PLACES[3] + 100, PLACES[1], PLACES[2] + 100, PLACES[0]])


def test_several_regions_without_a_common_coordinate_system():
    annotation = table([11, 12], ["a", "b"])
    sdata = sdata_of(annotation, a=circles(left=Identity()), b=circles(right=Identity()))
    _, error = read(sdata)
    assert "do not share a coordinate system ('a' has 'left'; 'b' has 'right')" in str(error)
    for way_out in ("set_transformation(sdata['a'], ..., 'global')", "sdata['table']", "`batch_key`"):
        assert way_out in str(error)
    _, error = read(sdata, coordinate_system="left")
    assert "do not share a coordinate system 'left' ('a' has 'left'; 'b' has 'right')" in str(error)
    annotation.obsm["spatial"] = PLACES[:2]
    np.testing.assert_array_equal(read(sdata["table"])[0], PLACES[:2])  # as the message says


def two_samples(**systems):
    """Spots of two samples, the second three times as far from each other."""
    annotation = table([11, 12, 12, 11], ["a", "b", "a", "b"])
    second = {name: Scale([3.0, 3.0], ("x", "y")) for name in systems["b"]}
    return sdata_of(annotation, a=circles(**dict.fromkeys(systems["a"], Identity())), b=circles(**second))


SLICES = np.array([0, 1, 0, 1])
EACH_AT_ITS_PLACE = PLACES[[0, 1, 1, 0]] * [[1], [3], [1], [3]]


@pytest.mark.parametrize(
    ("first", "second"), [(["left"], ["right"]), (["a", "a_small"], ["b", "b_small"]), (["global"], ["b", "b_small"])]
)
def test_slices_without_a_common_coordinate_system_are_placed_each_in_its_own(first, second):
    places, error = read(two_samples(a=first, b=second), slices=SLICES)
    assert error is None
    np.testing.assert_allclose(places, EACH_AT_ITS_PLACE)


def test_a_coordinate_system_that_slices_share_goes_before_their_own():
    sdata = two_samples(a=["a", "both"], b=["b", "both"])
    set_transformation(sdata["a"], Scale([5.0, 5.0], ("x", "y")), "a")
    np.testing.assert_allclose(read(sdata, slices=SLICES)[0], EACH_AT_ITS_PLACE)


def test_slices_of_one_region_are_placed_together():
    sdata = two_samples(a=["left"], b=["right"])
    assert "do not share" in str(read(sdata, slices=np.array([0, 0, 1, 1]))[1])


def test_a_slice_that_has_several_systems_to_choose_from_is_not_guessed():
    sdata = two_samples(a=["left", "small"], b=["right"])
    assert "('a' has 'left', 'small'; 'b' has 'right')" in str(read(sdata, slices=SLICES)[1])


def test_elements_that_no_observation_lies_in_need_no_place():
    sdata = two_samples(a=["left"], b=["right"])
    del sdata.shapes["b"]
    problems = Problems("f")
    places = read_coordinates(sdata, sdata["table"][[0, 2]], problems)
    assert not problems
    np.testing.assert_allclose(places, PLACES[:2])


@pytest.mark.parametrize("key", ["mine", "nowhere"])
def test_a_key_of_obsm_that_would_not_be_read_is_refused(key):
    annotation = table()
    annotation.obsm["mine"] = PLACES * 7
    sdata = sdata_of(annotation, spots=circles())
    _, error = read(sdata, spatial_key=key)
    assert f"spatial_key={key!r} is not read: spots lie at the centroids of what the table annotates, 'spots'" in str(
        error
    )
    assert "pass the table itself, `sdata['table']`, for" in str(error)
    np.testing.assert_array_equal(read(sdata["table"], spatial_key="mine")[0], PLACES * 7)


def test_a_table_that_annotates_nothing_reads_obsm():
    plain = AnnData(np.ones((4, 2), dtype=np.float32))
    sdata = SpatialData(shapes={"spots": circles()}, tables={"table": plain})
    _, error = read(sdata)
    assert isinstance(error, KeyError)
    assert "obsm['spatial'] is missing" in str(error)
    sdata["table"].obsm["spatial"] = PLACES * 3
    np.testing.assert_array_equal(read(sdata)[0], PLACES * 3)


def test_centroids_go_before_obsm_and_nothing_is_written():
    annotation = table()
    annotation.obsm["spatial"] = PLACES * 0
    sdata = sdata_of(annotation, spots=circles())
    np.testing.assert_allclose(read(sdata)[0], PLACES)
    assert list(sdata["table"].obsm) == ["spatial"]
    assert list(sdata["table"].obs) == ["region", "instance"]
    np.testing.assert_array_equal(sdata["table"].obsm["spatial"], 0)


def test_a_file_gives_the_same(tmp_path):
    from spatialdata import read_zarr

    sdata = sdata_of(table(NAMES[[2, 1]]), spots=circles())
    sdata.write(tmp_path / "s.zarr")
    np.testing.assert_allclose(read(read_zarr(tmp_path / "s.zarr"))[0], PLACES[[2, 1]])


@pytest.mark.filterwarnings("ignore:The geometry column of the GeoDataFrame has 3 dimensions:UserWarning")
@pytest.mark.parametrize("kind", ["shapes", "points"])
def test_places_at_different_z_are_not_pressed_into_one_plane(kind):
    odd = np.arange(len(PLACES)) % 2
    high = np.column_stack([PLACES, 5000.0 * odd])
    element, instances = (circles(high), NAMES) if kind == "shapes" else (PointsModel.parse(high), np.arange(len(high)))
    sdata = SpatialData(**{kind: {"spots": element}}, tables={"table": table(instances)})
    _, error = read(sdata)
    assert "lies at different z" in str(error)
    found, error = read(sdata, slices=odd)
    assert error is None
    np.testing.assert_array_equal(found, PLACES)


@pytest.mark.filterwarnings("ignore:The geometry column of the GeoDataFrame has 3 dimensions:UserWarning")
def test_polygons_at_one_height_are_in_one_plane_however_many_corners_they_have():
    from geopandas import GeoDataFrame
    from shapely import Polygon

    angles = [np.linspace(0, 2 * np.pi, corners, endpoint=False) for corners in (3, 7, 11, 24)]
    outlines = [
        Polygon(np.column_stack([x + np.cos(each), y + np.sin(each), np.full(each.size, 0.1)]))
        for (x, y), each in zip(PLACES, angles, strict=True)
    ]
    found, error = read(sdata_of(table(), spots=ShapesModel.parse(GeoDataFrame(geometry=outlines, index=NAMES))))
    assert error is None
    np.testing.assert_allclose(found, PLACES)


def test_a_table_that_does_not_say_by_which_columns_it_annotates():
    sdata = sdata_of(table(), spots=circles())
    del sdata["table"].uns["spatialdata_attrs"]["region_key"]
    _, error = read(sdata)
    assert "uns['spatialdata_attrs'] does not say 'region_key'" in str(error)


@pytest.mark.parametrize("lost", ["region", "instance"])
def test_a_table_that_lost_the_columns_by_which_it_annotates(lost):
    sdata = sdata_of(table(), spots=circles())
    del sdata["table"].obs[lost]
    _, error = read(sdata)
    assert f"columns of obs that are missing: '{lost}'" in str(error)
