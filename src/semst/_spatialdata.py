"""What semst needs to know of a SpatialData: where the observations of a table lie."""

from __future__ import annotations

import warnings
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import SPATIAL
from semst._problems import Problems, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_FLAT = 1e-6  # relative: what rounding may do to the z of one plane


def annotated_regions(table: AnnData) -> list[str]:
    """Names of the elements that observations of a table lie in, in the order of its metadata."""
    attributes = table.uns[SPATIAL.attributes]
    region = attributes["region"]
    named = [region] if isinstance(region, str) else [str(name) for name in region]
    met = {str(name) for name in table.obs[attributes["region_key"]].unique()}
    return [name for name in named if name in met] or named


def the_table_itself(data: SpatialData, table: AnnData) -> str:
    """Say how to hand in the table instead of the SpatialData, so that places come from ``obsm``."""
    names = [name for name, each in data.tables.items() if each is table or len(data.tables) == 1]
    return f"pass the table itself, `sdata[{names[0]!r}]`" if names else "pass the table itself"


def check_annotating(data: SpatialData, table: AnnData, problems: Problems) -> bool:
    """Note columns by which a table annotates elements and that it lost; whether it has them."""
    attributes = table.uns[SPATIAL.attributes]
    unsaid = [name for name in ("region", "region_key", "instance_key") if name not in attributes]
    if unsaid:
        problems.missing(
            f"uns[{SPATIAL.attributes!r}] does not say {listed(unsaid)}; parse the table again with "
            f"`spatialdata.models.TableModel`, or {the_table_itself(data, table)}: x and y in its "
            f"obsm[{SPATIAL.coordinates!r}] are read then."
        )
        return False
    keys = [attributes["region_key"], attributes["instance_key"]]
    lost = [key for key in keys if key not in table.obs]
    if lost:
        problems.missing(
            f"the table annotates elements by columns of obs that are missing: {listed(lost)}; obs has "
            f"{listed(table.obs.columns)}. Put them back, or {the_table_itself(data, table)}: x and y in its "
            f"obsm[{SPATIAL.coordinates!r}] are read then."
        )
    return not lost


def pick_coordinate_system(
    data: SpatialData, table: AnnData, problems: Problems, *, coordinate_system: str | None
) -> str | None:
    """Choose the coordinate system in which all annotated elements can be placed.

    The default is ``"global"`` where the elements have it, else the only one they share.
    """
    systems = _systems(data, table, problems)
    if systems is None:
        return None
    available = sorted(set.intersection(*systems.values()))
    if coordinate_system in available:
        return coordinate_system
    picked = _default(available) if coordinate_system is None else None
    if picked is None:
        problems.missing(_not_picked(data, table, systems, available, coordinate_system))
    return picked


def pick_for_slices(
    data: SpatialData,
    table: AnnData,
    slices: Sequence[NDArray[np.int64]],
    problems: Problems,
    *,
    coordinate_system: str | None,
) -> list[str] | None:
    """Choose a coordinate system for each slice, whose distances to the others do not count.

    Parameters
    ----------
    data, table
        The table annotates elements of the data.
    slices
        Rows of each slice.
    problems
        Collects: an element that is not there, no system or several to choose from.
    coordinate_system
        For all slices. The default is one for all where they share it, as :func:`pick_coordinate_system` says; else
        each slice is placed on its own, see :func:`_default_of_slice`.
    """
    shared = Problems(problems.where)
    one = pick_coordinate_system(data, table, shared, coordinate_system=coordinate_system)
    if one is not None:
        return [one] * len(slices)
    systems = _systems(data, table, problems)
    if systems is None:
        return None
    picked = []
    for rows in slices if coordinate_system is None else []:
        part = table[rows]
        regions = annotated_regions(part)
        available = sorted(set.intersection(*(systems[region] for region in regions)))
        picked.append(_default_of_slice(regions, available))
    if not picked or None in picked:
        pick_coordinate_system(data, table, problems, coordinate_system=coordinate_system)
        return None
    return [str(system) for system in picked]


def _systems(data: SpatialData, table: AnnData, problems: Problems) -> dict[str, set[str]] | None:
    """Coordinate systems of each annotated element; None where ``problems`` says why there are none."""
    from spatialdata.transformations import get_transformation

    if not check_annotating(data, table, problems):
        return None
    systems = {}
    for region in annotated_regions(table):
        if region not in data:
            problems.missing(
                f"the table annotates {region!r}, which is not in the SpatialData; add the element, or "
                f"{the_table_itself(data, table)}: x and y in its obsm[{SPATIAL.coordinates!r}] are read then."
            )
            return None
        systems[region] = {str(name) for name in get_transformation(data[region], get_all=True)}
    return systems


def _default(available: list[str]) -> str | None:
    if "global" in available:
        return "global"
    return available[0] if len(available) == 1 else None


def _default_of_slice(regions: list[str], available: list[str]) -> str | None:
    """Choose where a slice is placed, if not in ``"global"`` or the only system: by the name of its only element.

    ``spatialdata.concatenate`` of samples by name gives each a "global-A" beside "spots-A", and readers of Visium data
    call full resolution as the element.
    """
    default = _default(available)
    if default is None and len(regions) == 1:
        region = regions[0]
        suffixed = [name for name in available if name.startswith("global-") and region.endswith(name[6:])]
        default = next((name for name in [*suffixed, region] if name in available), None)
    return default


def _not_picked(
    data: SpatialData,
    table: AnnData,
    systems: Mapping[str, set[str]],
    available: list[str],
    coordinate_system: str | None,
) -> str:
    """Say why there is no coordinate system, and the ways out."""
    if available and coordinate_system is not None:
        return f"no coordinate system {coordinate_system!r}; the elements have {listed(available)}."
    if available:
        return f"choose one `coordinate_system`; the annotated elements share {listed(available)}."
    told = "; ".join(f"{region!r} has {listed(sorted(names), limit=3)}" for region, names in systems.items())
    named, without = ("", "") if coordinate_system is None else (f" {coordinate_system!r}", " if it is left out")
    return (
        f"the annotated elements do not share a coordinate system{named} ({told}). Put all into one with "
        f"`spatialdata.transformations.set_transformation(sdata[{next(iter(systems))!r}], ..., 'global')`, or "
        f"{the_table_itself(data, table)}: x and y in its obsm[{SPATIAL.coordinates!r}] are read then. Where elements "
        f"are slices, functions that take `batch_key` place each in its own{without}."
    )


def annotated_centroids(
    data: SpatialData,
    table: AnnData,
    problems: Problems,
    *,
    coordinate_system: str | None,
    slices: NDArray[np.int64] | None = None,
) -> NDArray[np.float64] | None:
    """Centroids of the annotated elements, one row per observation of the table, matched by instance key.

    Returns
    -------
    ``(n_obs, 2)`` float64 in the unit of the coordinate system, or None where ``problems`` says why not. Of several
    ``slices``, ``(n_obs,)`` from 0, each may be in a system of its own, see :func:`pick_for_slices`.
    """
    numbers = np.zeros(table.n_obs, dtype=np.int64) if slices is None else slices
    systems: list[str] | None
    if slices is None:
        one = pick_coordinate_system(data, table, problems, coordinate_system=coordinate_system)
        systems = None if one is None else [one]
    else:
        members = [np.flatnonzero(slices == number) for number in range(int(slices.max()) + 1)]
        systems = pick_for_slices(data, table, members, problems, coordinate_system=coordinate_system)
    if systems is None:
        return None
    attributes = table.uns[SPATIAL.attributes]
    region_of = table.obs[attributes["region_key"]].astype(str).to_numpy()
    instance_of = table.obs[attributes["instance_key"]].to_numpy()
    coordinates, heights = np.full((table.n_obs, 2), np.nan), np.zeros(table.n_obs)
    placed = np.zeros(table.n_obs, dtype=bool)
    for region, system in product(annotated_regions(table), sorted(set(systems))):
        rows = np.flatnonzero((region_of == region) & (np.array(systems)[numbers] == system))
        if not rows.size:
            continue
        centroids = _centroids(data, region, system, problems)
        if centroids is None:
            return None
        found = pd.Index(centroids.index).get_indexer(pd.Index(instance_of[rows]))
        rows, found = rows[found >= 0], found[found >= 0]
        coordinates[rows] = centroids[["x", "y"]].to_numpy()[found]
        heights[rows] = centroids["z"].to_numpy()[found]
        placed[rows] = True
    if not placed.all():
        missing = table.obs_names[~placed]
        problems.add(
            f"the table does not match its element: {missing.size} of {table.n_obs} observations "
            f"({listed(missing, limit=3)}) have no instance in {listed(annotated_regions(table))}; "
            "subset the table to the instances that are there, or mend its instance key."
        )
        return None
    if not all(_in_one_plane(heights[numbers == number]) for number in np.unique(numbers)):
        problems.add(
            f"what the table annotates lies at different z, and domains are drawn in one plane; "
            f"{the_table_itself(data, table)}: x and y in its obsm[{SPATIAL.coordinates!r}] are read then. Sections at "
            "different z are slices, which `batch_key` tells apart."
        )
        return None
    return coordinates


def _centroids(data: SpatialData, region: str, system: str, problems: Problems) -> pd.DataFrame | None:
    """Centroids of an element by instance, x, y and z; None where an instance occurs twice."""
    from spatialdata import get_centroids

    with warnings.catch_warnings():
        # Its intermediate frame of points wants a sorted index; here rows are matched by name.
        warnings.filterwarnings("ignore", "The index of the dataframe is not monotonic", UserWarning)
        centroids: pd.DataFrame = get_centroids(data[region], coordinate_system=system).compute()
    if "z" not in centroids:
        centroids["z"] = _heights(data[region])
    if centroids.index.is_unique:
        return centroids
    repeated = centroids.index[centroids.index.duplicated()].unique()
    problems.add(
        f"{len(repeated)} instances of {region!r} occur more than once ({listed(repeated, limit=3)}); "
        "give each its own name in the index of the element."
    )
    return None


def _heights(element: Any) -> NDArray[np.float64] | float:  # noqa: ANN401 (any element)
    """Give the highest z of each shape of an element, 0 where it has none."""
    from shapely import get_coordinates

    if not hasattr(element, "geometry") or not element.geometry.has_z.any():
        return 0.0
    places, which = get_coordinates(element.geometry.array, include_z=True, return_index=True)
    heights = np.full(len(element), -np.inf)
    np.maximum.at(heights, which, np.nan_to_num(places[:, 2], nan=0.0))
    return np.where(np.isfinite(heights), heights, 0.0)


def _in_one_plane(heights: NDArray[np.float64]) -> bool:
    """Tell whether all heights are one, but for the rounding of a transformation."""
    return bool(np.ptp(heights) <= _FLAT * np.abs(heights).max())
