import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from semst.pl._draw import nice_length
from semst.pl._spots import microns_per_unit, tiling_diameter, visium_pitch


def grid(kind, n=10, pitch=1.0):
    row, col = (index.ravel() for index in np.mgrid[:n, :n])
    adata = AnnData(np.ones((n * n, 1), dtype=np.float32))
    if kind == "hexagons":
        col = 2 * col + row % 2
        places = np.column_stack([col / 2, row * np.sqrt(3) / 2]) * pitch
    else:
        places = np.column_stack([col, row]) * pitch
    adata.obs["array_row"], adata.obs["array_col"] = row, col
    return adata, places


@pytest.mark.parametrize("angle", [0, 30, 77, 90, 211])
@pytest.mark.parametrize("mirror", [1, -1])
def test_visium_pitch_is_found_in_any_orientation(angle, mirror):
    adata, places = grid("hexagons", pitch=137.5)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    places = places * [mirror, 1] @ np.array([[c, -s], [s, c]]) + [1000, -50]
    assert visium_pitch(adata, places) == pytest.approx(137.5)
    assert microns_per_unit(adata, places) == pytest.approx(100 / 137.5)


def test_visium_pitch_is_found_with_holes_and_rounded_pixels():
    adata, places = grid("hexagons", n=20, pitch=137.5)
    keep = np.random.default_rng(0).random(400) < 0.3
    assert visium_pitch(adata[keep], np.rint(places[keep])) == pytest.approx(137.5, rel=1e-3)


def test_other_grids_are_not_visium():
    adata, places = grid("squares")
    assert visium_pitch(adata, places) is None
    adata, places = grid("hexagons")
    assert visium_pitch(adata, places * [1, 1.5]) is None  # stretched
    assert visium_pitch(adata, np.random.default_rng(0).permutation(places)) is None  # not these positions
    assert visium_pitch(adata[:10], places[:10]) is None  # one row has no second direction
    adata.obs["array_col"] = adata.obs["array_col"].astype(float)
    adata.obs.iloc[0, adata.obs.columns.get_loc("array_col")] = np.nan
    assert visium_pitch(adata, places) is None
    del adata.obs["array_row"]
    assert visium_pitch(adata, places) is None
    assert microns_per_unit(adata, places) is None


def test_tiling_diameter_by_hand():
    # Inside hexagons all six neighbours are one pitch away; inside squares four are, and two are a diagonal away.
    _, places = grid("hexagons", n=40)
    assert tiling_diameter(places) == pytest.approx(0.8)
    _, places = grid("squares", n=40)
    assert tiling_diameter(places) == pytest.approx(0.8 * (4 + 2 * np.sqrt(2)) / 6)
    assert tiling_diameter(np.array([[0.0, 0], [0, 0], [3, 4]])) == pytest.approx(0.8 * 5)
    assert tiling_diameter(np.zeros((4, 2))) == 1.0


def test_many_cells_leave_no_white():
    _, places = grid("hexagons", n=142)  # 20 164 spots
    assert tiling_diameter(places) == pytest.approx(1.2)


@given(st.floats(1e-6, 1e9))
def test_nice_length_is_round_and_fills_its_room(longest):
    length = nice_length(longest)
    assert 0.39 * longest < length <= longest * (1 + 1e-8)
    assert f"{length:e}"[0] in "125"
    assert float(f"{length:.0e}") == pytest.approx(length)
