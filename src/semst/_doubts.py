"""What can be worked with, but is hardly what was meant: a line in the log each, with the way out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from semst._keys import IN_CLUSTER, SPATIAL, VISIUM
from semst._problems import counted, listed

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("semst")

CONTROL_PROBES = (
    # 10x Xenium, its earlier panels in the last row
    *("NegControlProbe_", "NegControlCodeword_", "UnassignedCodeword_", "DeprecatedCodeword_", "Intergenic_Region_"),
    *("antisense_", "BLANK_"),
    "Blank-",  # Vizgen MERSCOPE
    *("NegPrb", r"Negative\d", "SystemControl", "FalseCode"),  # NanoString CosMx
    "DEPRECATED_",  # 10x Visium, probes of fixed tissue
)
"""Beginnings of the names that instruments give to what is no gene, as regular expressions."""

_SHARED_PLACES = 0.5  # of the spots: in ordinary tissue a fifth may share one, where coordinates were rounded
_SHARED_POSITIONS = 0.01  # of the spots: on one array no position is taken twice
_OVERLAP = 0.5  # of a slice's spots that lie inside the bounds of another; fields of view of one tissue stay below


class _Slices(NamedTuple):
    """Why there seem to be several slices, and the key of ``obs`` that tells them apart, where it is known."""

    reason: str
    key: str | None = None


def warn_of_joined_slices(
    table: AnnData, coordinates: NDArray[np.float64], *, where: str, by_graph: bool = False
) -> None:
    """Say where spots are about to be taken for one slice that look like several.

    Parameters
    ----------
    table
        That no ``batch_key`` was given for.
    coordinates
        ``(n_spots, 2)``.
    where
        Name of the public function, without its module.
    by_graph
        Whether it asks the graph in ``obsp`` who lies beside whom, where there is one, and coordinates only else.
    """
    if by_graph and SPATIAL.connectivities in table.obsp:
        return
    found = _several_slices(table, coordinates)
    if found is None:
        return
    column = "the column of obs that tells them apart" if found.key is None else repr(found.key)
    way_out = f"pass {column} as `batch_key`"
    logger.warning("%s: %s, so these seem to be several slices, joined as if one; %s.", where, found.reason, way_out)


def warn_of_domains_of_slices(table: AnnData, key: str, *, where: str) -> None:
    """Say where domains of several slices, found by :func:`semst.tl.cluster`, are looked at as those of one."""
    batch_key = _batch_key_of(table.uns.get(key))
    if batch_key is not None and table.obs.get(batch_key, pd.Series(dtype=str)).nunique() > 1:
        logger.warning(
            "%s: the domains obs[%r] were found with batch_key=%r; pass it here too, so that what tells slices apart "
            "is not taken for what tells domains apart.",
            where,
            key,
            batch_key,
        )


def _batch_key_of(stored: object) -> str | None:
    """Key of slices that a clustering in ``uns`` was run with."""
    if not isinstance(stored, Mapping) or IN_CLUSTER.n_clusters not in stored:
        return None
    params = stored.get(IN_CLUSTER.params)
    key = params.get("batch_key") if isinstance(params, Mapping) else None
    return key if isinstance(key, str) else None


def _several_slices(table: AnnData, coordinates: NDArray[np.float64]) -> _Slices | None:
    """Look for slices that lie one upon the other; slices side by side are not joined."""
    for stored in table.uns.values():
        key = _batch_key_of(stored)
        if key is not None and key in table.obs and _overlap(coordinates, table.obs[key]):
            return _Slices(f"domains were found with batch_key={key!r}, and the coordinates of its slices overlap", key)
    attributes = table.uns.get(SPATIAL.attributes)
    key = attributes.get("region_key") if isinstance(attributes, Mapping) else None
    if isinstance(key, str) and key in table.obs and _overlap(coordinates, table.obs[key]):
        regions = table.obs[key].dropna().unique()
        told = f"{len(regions)} regions ({listed(regions, limit=3)})"
        return _Slices(f"the table annotates {told} whose coordinates overlap", key)
    if VISIUM.row in table.obs and VISIUM.col in table.obs:
        positions = table.obs[[VISIUM.row, VISIUM.col]].dropna()
        shared = int(positions.duplicated(keep=False).sum())
        if shared > _SHARED_POSITIONS * table.n_obs:
            held = f"(obs[{VISIUM.row!r}] and obs[{VISIUM.col!r}])"
            return _Slices(f"{shared} of {table.n_obs} spots share their position on the array {held} with another")
    shared = int(pd.DataFrame(coordinates).duplicated(keep=False).sum())
    if shared > _SHARED_PLACES * table.n_obs:
        return _Slices(f"{shared} of {table.n_obs} spots have the very coordinates of another")
    return None


def _overlap(coordinates: NDArray[np.float64], names: pd.Series) -> bool:
    """Tell whether most of one slice lies inside the bounds of another, where there are several."""
    codes = pd.factorize(names)[0]
    order = np.argsort(codes, kind="stable")[int((codes < 0).sum()) :]
    slices = [coordinates[spots] for spots in np.split(order, np.cumsum(np.bincount(codes[order]))[:-1])]
    if len(slices) < 2:
        return False
    low, high = (np.stack([edge(places, axis=0) for places in slices]) for edge in (np.min, np.max))
    for number, places in enumerate(slices):
        meets = ((low <= high[number]) & (high >= low[number])).all(axis=1)
        for other in np.flatnonzero(meets):
            inside = ((places >= low[other]) & (places <= high[other])).all(axis=1)
            if other != number and inside.mean() > _OVERLAP:
                return True
    return False


def warn_of_control_probes(table: AnnData, *, where: str) -> None:
    """Say where a table holds an instrument's controls, which would take part as if they were genes."""
    names = table.var_names.astype(str)
    kinds = [kind for kind in CONTROL_PROBES if names.str.match(kind).any()]
    if not kinds:
        return
    pattern = "|".join(kinds)
    found = names[names.str.match(pattern)]
    logger.warning(
        "%s: %s (%s) and take part as if they were genes; remove them with "
        '`adata = adata[:, ~adata.var_names.str.match(r"%s")].copy()`.',
        where,
        counted(len(found), "name is that of a control probe", "names are those of control probes"),
        listed(found, limit=3),
        pattern,
    )


def warn_of_bare_glass(table: AnnData, *, where: str) -> None:
    """Say where spots are marked as lying beside the tissue."""
    if VISIUM.in_tissue not in table.obs:
        return
    beside = int((pd.to_numeric(table.obs[VISIUM.in_tissue], errors="coerce") == 0).sum())
    if beside:
        logger.warning(
            "%s: %s in the tissue (obs[%r] is 0); leave them out with "
            "`adata = adata[adata.obs[%r].astype(float) == 1].copy()`.",
            where,
            counted(beside, "spot does not lie", "spots do not lie"),
            VISIUM.in_tissue,
            VISIUM.in_tissue,
        )
