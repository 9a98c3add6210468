"""What semst needs to know of a SpatialData: where the observations of a table lie."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semst._keys import SPATIAL
from semst._problems import Problems, listed

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData


def annotated_regions(table: AnnData) -> list[str]:
    """Names of the elements that a table annotates, in the order of its metadata."""
    region = table.uns[SPATIAL.attributes]["region"]
    return [region] if isinstance(region, str) else [str(name) for name in region]


def pick_coordinate_system(
    data: SpatialData, table: AnnData, problems: Problems, *, coordinate_system: str | None
) -> str | None:
    """Choose the coordinate system in which all annotated elements can be placed.

    The default is ``"global"`` where the elements have it, else the only one they share.
    """
    from spatialdata.transformations import get_transformation

    shared: set[str] | None = None
    for region in annotated_regions(table):
        if region not in data:
            problems.missing(f"the table annotates {region!r}, which is not in the SpatialData.")
            return None
        systems = set(get_transformation(data[region], get_all=True))
        shared = systems if shared is None else shared & systems
    available = sorted(shared or ())
    if coordinate_system is not None:
        if coordinate_system in available:
            return coordinate_system
        problems.missing(f"no coordinate system {coordinate_system!r}; the elements have {listed(available)}.")
        return None
    if "global" in available:
        return "global"
    if len(available) == 1:
        return available[0]
    problems.missing(f"choose one `coordinate_system`; the annotated elements share {listed(available)}.")
    return None


def annotated_centroids(
    data: SpatialData, table: AnnData, problems: Problems, *, coordinate_system: str | None
) -> NDArray[np.float64] | None:
    """Centroids of the annotated elements, one row per observation of the table, matched by instance key.

    Returns
    -------
    ``(n_obs, 2)`` float64 in the unit of the coordinate system, or None where ``problems`` says why not.
    """
    from spatialdata import get_centroids

    system = pick_coordinate_system(data, table, problems, coordinate_system=coordinate_system)
    if system is None:
        return None
    attributes = table.uns[SPATIAL.attributes]
    region_of = table.obs[attributes["region_key"]].astype(str).to_numpy()
    instance_of = table.obs[attributes["instance_key"]].to_numpy()
    coordinates = np.full((table.n_obs, 2), np.nan)
    placed = np.zeros(table.n_obs, dtype=bool)
    for region in annotated_regions(table):
        with warnings.catch_warnings():
            # Its intermediate frame of points wants a sorted index; here rows are matched by name.
            warnings.filterwarnings("ignore", "The index of the dataframe is not monotonic", UserWarning)
            centroids = get_centroids(data[region], coordinate_system=system).compute()
        if not centroids.index.is_unique:
            repeated = centroids.index[centroids.index.duplicated()].unique()
            problems.add(
                f"{len(repeated)} instances of {region!r} occur more than once ({listed(repeated, limit=3)}); "
                "give each its own name in the index of the element."
            )
            return None
        rows = np.flatnonzero(region_of == region)
        found = pd.Index(centroids.index).get_indexer(pd.Index(instance_of[rows]))
        rows, found = rows[found >= 0], found[found >= 0]
        coordinates[rows] = centroids[["x", "y"]].to_numpy()[found]
        placed[rows] = True
    if not placed.all():
        missing = table.obs_names[~placed]
        problems.add(
            f"the table does not match its element: {missing.size} of {table.n_obs} observations "
            f"({listed(missing, limit=3)}) have no instance in {listed(annotated_regions(table))}; "
            "subset the table to the instances that are there, or mend its instance key."
        )
        return None
    return coordinates
