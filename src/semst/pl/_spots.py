"""How large a spot is drawn, and how many micrometres lie between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import IN_LIBRARY, SPATIAL, VISIUM
from semst._problems import Problems, listed

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

VISIUM_PITCH = 100.0  # micrometres between the centres of neighbouring spots
VISIUM_SPOT = 55.0  # micrometres across a spot
# Above this many spots a vector graphic is slow to open, and its circles are smaller than a dot of the printer.
RASTERIZE_ABOVE = 20_000
_ALIKE = 0.05  # of a length, within which others are taken for the same
MICROMETRES = ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres")


def visium_pitch(table: AnnData, coordinates: NDArray[np.float64]) -> float | None:
    """Distance between neighbouring Visium spots, in the unit of the coordinates.

    Parameters
    ----------
    table
        Read for ``obs["array_row"]`` and ``obs["array_col"]``.
    coordinates
        ``(n_spots, 2)`` in any unit, turned and mirrored in any way.

    Returns
    -------
    The pitch; None where the coordinates are not those of a Visium grid: no array positions, positions of a square grid
    (Spatial Transcriptomics, Visium HD), or a tissue that was bent by an alignment.
    """
    if not {VISIUM.row, VISIUM.col} <= set(table.obs.columns):
        return None
    grid = table.obs[[VISIUM.col, VISIUM.row]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(grid).all() or (grid.sum(axis=1) % 2).any():
        return None  # on the hexagons, rows and columns are both even or both odd
    design = np.column_stack([grid, np.ones(len(grid))])
    steps, _, rank, _ = np.linalg.lstsq(design, coordinates, rcond=None)
    if rank < 3:
        return None
    off = np.abs(coordinates - design @ steps).max()
    col, row = steps[:2]
    sides = np.linalg.norm([2 * col, col + row, col - row], axis=1)
    pitch = float(sides.mean())
    return pitch if np.ptp(sides) < _ALIKE * pitch and off < 0.5 * pitch else None


def tiling_diameter(coordinates: NDArray[np.float64]) -> float:
    """Diameter at which points cover their tissue without hiding each other.

    Notes
    -----
    Four fifths of the typical distance to the six nearest neighbours: 0.8 pitches on hexagons, 0.9 on squares. The
    nearest neighbour alone would say much less for cells, which touch one neighbour and are far from the next. Many
    cells are drawn half as large again: each is smaller than a pixel then, and the white between them would bleach the
    colours.
    """
    from scipy.spatial import cKDTree

    places = np.unique(coordinates, axis=0)
    if len(places) < 2:
        return 1.0
    k = min(7, len(places))
    # 20 000 cells tell the typical distance as well as a million do.
    asked = places[:: max(1, len(places) // 20_000)]
    distances = np.asarray(cKDTree(places).query(asked, k=k)[0])
    cover = 0.8 if len(coordinates) <= RASTERIZE_ABOVE else 1.2
    return float(cover * np.median(distances[:, 1:].mean(axis=1)))


def libraries_of(table: AnnData, spatial_key: str) -> dict[str, Any]:
    """All libraries in ``uns[spatial_key]`` by name; what else is there is none."""
    stored: Any = table.uns.get(spatial_key)
    found = dict(stored) if isinstance(stored, Mapping) else {}
    return {str(name): library for name, library in found.items() if isinstance(library, Mapping)}


def library_of(
    table: AnnData, spatial_key: str, problems: Problems, *, image: bool | str | None
) -> dict[str, Any] | None:
    """The library in ``uns[spatial_key]`` whose image and scale factors belong to the spots.

    Parameters
    ----------
    table
        Its ``uns[spatial_key]`` maps libraries to ``images`` and ``scalefactors``, as ``scanpy.read_visium`` leaves it.
    spatial_key
        Images belong to the coordinates of the same name.
    image
        Name of the library, where there are several; False where no image is wanted.
    problems
        Collects: no such library, several and none named.

    Returns
    -------
    The library, empty where there is none; None where ``problems`` says why not.
    """
    libraries = libraries_of(table, spatial_key)
    if isinstance(image, str):
        if image not in libraries:
            problems.missing(f"no image {image!r} in uns[{spatial_key!r}]; there is {listed(libraries)}.")
        return libraries.get(image)
    if len(libraries) > 1 and image is not False:
        problems.missing(
            f"uns[{spatial_key!r}] has several libraries ({listed(libraries)}). If the spots are those of "
            "several slices, say which with `batch_key`; else name their library with `image`, or pass `image=False`."
        )
        return None
    return next(iter(libraries.values())) if len(libraries) == 1 else {}


def entries(library: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a library holds under a name; nothing where it is left out or None."""
    stored = library.get(name)
    return stored if isinstance(stored, Mapping) else {}


def spot_diameter(
    data: AnnData | SpatialData,
    table: AnnData,
    coordinates: NDArray[np.float64],
    *,
    library: Mapping[str, Any],
    coordinate_system: str | None,
) -> float | NDArray[np.float64]:
    """True diameter of the spots where the data tell it, else one at which they tile well.

    Returns
    -------
    One number for all, or ``(n_spots,)`` float64 where circles differ; in the unit of the coordinates.
    """
    radii = _circle_radii(data, table, coordinate_system)
    if radii is not None:
        return 2 * radii
    told = entries(library, IN_LIBRARY.factors).get(IN_LIBRARY.diameter)
    if told is not None and np.isfinite(float(told)) and float(told) > 0:
        return float(told)
    pitch = visium_pitch(table, coordinates)
    return tiling_diameter(coordinates) if pitch is None else pitch * VISIUM_SPOT / VISIUM_PITCH


def microns_per_unit(table: AnnData, coordinates: NDArray[np.float64], *, scale: float | None = 1.0) -> float | None:
    """How many micrometres one unit of the coordinates is, or None where the data do not tell.

    Parameters
    ----------
    table
        Its ``uns["spatial_unit"]`` is the unit that the data were measured in.
    coordinates
        ``(n_spots, 2)`` as they are drawn.
    scale
        How many of their units that unit is; None where it is no one number.
    """
    if scale is not None and str(table.uns.get(SPATIAL.unit, "")).lower() in MICROMETRES:
        return 1.0 / scale
    pitch = visium_pitch(table, coordinates)
    return None if pitch is None else VISIUM_PITCH / pitch


def scale_of_elements(data: AnnData | SpatialData, table: AnnData, coordinate_system: str | None) -> float | None:
    """How many units of the coordinate system one unit of the annotated elements is.

    Returns
    -------
    The number; 1 where there is no coordinate system, None where elements or directions differ.
    """
    if coordinate_system is None:
        return 1.0
    from semst._spatialdata import annotated_regions

    sides = np.concatenate([_sides(data[region], coordinate_system) for region in annotated_regions(table)])
    return float(sides.mean()) if sides.min() > 0 and np.ptp(sides) < _ALIKE * sides.mean() else None


def _sides(element: Any, coordinate_system: str) -> NDArray[np.float64]:  # noqa: ANN401 (any element)
    """How long a unit of an element is in a coordinate system: ``(2,)``, where it is longest and where shortest."""
    from spatialdata.transformations import get_transformation

    matrix = get_transformation(element, coordinate_system).to_affine_matrix(("x", "y"), ("x", "y"))
    return np.asarray(np.linalg.svd(matrix[:2, :2], compute_uv=False), dtype=np.float64)


def _circle_radii(
    data: AnnData | SpatialData, table: AnnData, coordinate_system: str | None
) -> NDArray[np.float64] | None:
    """Radii of the annotated circles in the coordinate system; None unless all observations are circles."""
    if coordinate_system is None:
        return None
    from semst._spatialdata import annotated_regions

    attributes = table.uns[SPATIAL.attributes]
    region_of = table.obs[attributes["region_key"]].astype(str).to_numpy()
    radii = np.full(table.n_obs, np.nan)
    for region in annotated_regions(table):
        element: Any = data[region]
        if not hasattr(element, "columns") or "radius" not in element.columns:
            return None
        scale = np.sqrt(np.prod(_sides(element, coordinate_system)))
        rows = np.flatnonzero(region_of == region)
        names = pd.Index(table.obs[attributes["instance_key"]].to_numpy()[rows])
        radii[rows] = scale * element["radius"].reindex(names).to_numpy(dtype=np.float64)
    return radii if np.isfinite(radii).all() and (radii > 0).all() else None
