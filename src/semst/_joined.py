"""Several slices in one table that are about to be taken for one: a line in the log each, with the way out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from semst._batch_key import FEWEST_SPOTS
from semst._keys import IN_CLUSTER, SPATIAL, VISIUM
from semst._problems import listed
from semst._slices import slice_sums

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse

logger = logging.getLogger("semst")

USUAL_KEYS = (  # obs: where tables of several slices usually say which one a spot is of
    *("library_id", "slice", "slice_id", "section", "section_id", "brain_section_label", "slide", "slide_id"),
    *("sample", "sample_id", "batch"),
)
_SHARED_PLACES = 0.5  # of the spots: in ordinary tissue a fifth may share one, where coordinates were rounded
_SHARED_POSITIONS = 0.01  # of the spots: on one array no position is taken twice
_OVERLAP = 0.5  # of a slice's spots that lie inside the bounds of another; fields of view of one tissue stay below
_UNSHARED = 0.05  # of the genes: that a slice lacks a few, such as those of the other sex, is ordinary
_SURELY_SEEN = 10.0  # molecules expected of a gene; that chance leaves none of them has the probability exp(-10)


class _Slices(NamedTuple):
    """Why there seem to be several slices, and the key of ``obs`` that tells them apart, where it is known."""

    reason: str
    key: str | None = None


def warn_of_joined_slices(
    table: AnnData,
    coordinates: NDArray[np.float64],
    *,
    where: str,
    by_graph: bool = False,
    domains: str | None = None,
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
    domains
        Key of domains whose borders are looked at: found slice by slice, they are those of several slices however these
        lie.
    """
    if by_graph and SPATIAL.connectivities in table.obsp:
        return
    if domains is not None and warn_of_domains_of_slices(table, domains, where=where):
        return
    found = _several_slices(table, coordinates)
    if found is None:
        return
    column = "the column of obs that tells them apart" if found.key is None else repr(found.key)
    way_out = f"pass {column} as `batch_key`"
    logger.warning("%s: %s, so these seem to be several slices, joined as if one; %s.", where, found.reason, way_out)


def warn_of_domains_of_slices(table: AnnData, key: str, *, where: str) -> bool:
    """Say where domains of several slices, found with ``batch_key``, are looked at as those of one; tell whether so."""
    batch_key = _batch_key_of(table.uns.get(key))
    if batch_key is None or table.obs.get(batch_key, pd.Series(dtype=str)).nunique() < 2:
        return False
    logger.warning(
        "%s: the domains obs[%r] were found with batch_key=%r; pass it here too, so that what tells slices apart is "
        "not taken for what tells domains apart.",
        where,
        key,
        batch_key,
    )
    return True


def warn_of_unshared_genes(counts: sparse.csr_matrix, slices: NDArray[np.int64], *, where: str, batch_key: str) -> None:
    """Say where slices were joined that do not have the same genes, so that zeros stand for what was not measured.

    Parameters
    ----------
    counts
        ``(n_spots, n_genes)``, at least 0.
    slices
        ``(n_spots,)`` number of each spot's slice, from 0.
    where
        Name of the public function, without its module.
    batch_key
        Key of ``obs`` with the names of the slices.
    """
    sums = slice_sums(counts, slices)
    expected = np.outer(sums.sum(axis=1), sums.sum(axis=0)) / max(sums.sum(), 1.0)
    absent = ((sums == 0) & (expected > _SURELY_SEEN)).any(axis=0)
    if absent.mean() <= _UNSHARED:
        return
    logger.warning(
        "%s: %d of %d genes are zero throughout a slice of obs[%r] though others have plenty of them. If that slice "
        "was not asked for them, they tell slices apart and not domains: join slices with "
        '`anndata.concat(..., join="inner")`.',
        where,
        int(absent.sum()),
        absent.size,
        batch_key,
    )


def _batch_key_of(stored: object) -> str | None:
    """Key of slices that domains were found with, by :func:`semst.tl.cluster` or :func:`semst.tl.transfer`."""
    if not isinstance(stored, Mapping) or not {IN_CLUSTER.n_clusters, IN_CLUSTER.model} & set(stored):
        return None
    params = stored.get(IN_CLUSTER.params)
    key = params.get("batch_key") if isinstance(params, Mapping) else None
    return key if isinstance(key, str) else None


def _several_slices(table: AnnData, coordinates: NDArray[np.float64]) -> _Slices | None:
    """Look for slices that lie one upon the other; slices side by side are not joined."""
    for stored in table.uns.values():
        key = _batch_key_of(stored)
        if key is not None and key in table.obs and overlap(coordinates, table.obs[key]):
            return _Slices(f"domains were found with batch_key={key!r}, and the coordinates of its slices overlap", key)
    attributes = table.uns.get(SPATIAL.attributes)
    key = attributes.get("region_key") if isinstance(attributes, Mapping) else None
    if isinstance(key, str) and key in table.obs and overlap(coordinates, table.obs[key]):
        regions = table.obs[key].dropna().unique()
        told = f"{len(regions)} regions ({listed(regions, limit=3)})"
        return _Slices(f"the table annotates {told} whose coordinates overlap", key)
    for key in USUAL_KEYS:
        names = table.obs[key].dropna().unique() if key in table.obs else []
        if 2 <= len(names) <= table.n_obs / FEWEST_SPOTS and overlap(coordinates, table.obs[key]):
            return _Slices(f"spots of {len(names)} names in obs[{key!r}] ({listed(names, limit=3)}) overlap", key)
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


def overlap(coordinates: NDArray[np.float64], names: pd.Series) -> bool:
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
