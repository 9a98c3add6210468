"""How domains get into a table: numbered by size, with all that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import CLUSTER, IN_CLUSTER, IN_DESCRIPTION, ClusterKeys, DescriptionKeys, ModulationKeys
from semst._provenance import versions
from semst._results import has

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from semst.training._trained import Trained


def by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the domains from 1 by their size, the largest first; ties by the first spot."""
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.empty(names.size, dtype=np.int64)
    number[order] = np.arange(1, names.size + 1)
    return number[np.searchsorted(names, labels)]


def write_domains(
    table: AnnData,
    numbers: NDArray[np.int64],
    confidence: NDArray[np.float32],
    trained: Trained,
    facts: dict[str, Any],
    keys: ClusterKeys,
) -> None:
    """Write what :func:`semst.tl.cluster` found, in place of an earlier run under the same name."""
    names = [str(number) for number in range(1, int(numbers.max()) + 1)]
    forget(table, keys, latent=True)
    table.obs[keys.obs] = pd.Categorical(numbers.astype(str), categories=names)
    table.obs[keys.confidence] = confidence
    if trained.modulated is not None:
        modulation = ModulationKeys(keys.base)
        table.obs[modulation.alpha] = trained.modulated.alpha
        table.obs[modulation.beta] = trained.modulated.beta
    table.obsm[keys.obsm] = trained.latent
    table.uns[keys.uns] = {**facts, IN_CLUSTER.history: trained.history, IN_CLUSTER.versions: versions()}


Place = tuple[str, str]  # a slot of a table, such as "obs", and a name in it


@dataclass(frozen=True)
class Places:
    """Every place that domains of one name and what follows from them have in a table; all but colours.

    Colours are scanpy's as much as ours: they are parallel to the categories of ``obs``, whoever chose them.
    """

    domains: tuple[Place, ...]
    modulation: tuple[Place, ...]
    latent: tuple[Place, ...]
    description: tuple[Place, ...]

    @classmethod
    def of(cls, keys: ClusterKeys) -> Places:
        """Give those of a name."""
        modulation = ModulationKeys(keys.base)
        return cls(
            domains=(("uns", keys.uns), ("obs", keys.obs), ("obs", keys.confidence)),
            modulation=(("obs", modulation.alpha), ("obs", modulation.beta)),
            latent=(("obsm", keys.obsm), ("uns", keys.uns_of_latent)),
            description=(("uns", DescriptionKeys(keys.base).uns),),
        )


def is_result(stored: object) -> bool:
    """Tell what :func:`semst.tl.cluster` or :func:`semst.tl.transfer` left in ``uns`` from all else."""
    return is_clustering(stored) or has(stored, IN_CLUSTER.params, IN_CLUSTER.versions, IN_CLUSTER.model)


def is_clustering(stored: object) -> bool:
    """Tell what :func:`semst.tl.cluster` left in ``uns`` from all else."""
    return has(stored, IN_CLUSTER.params, IN_CLUSTER.versions, IN_CLUSTER.history)


def earlier(table: AnnData, keys: ClusterKeys) -> set[Place]:
    """Find the places that earlier results of semst have under a name, and that new ones may take."""
    places, stored = Places.of(keys), table.uns.get(keys.uns)
    own = keys.base == CLUSTER.base
    # `anndata.concat` keeps obs and obsm and drops uns: of our own name they are ours if they look like it.
    lost = own and keys.uns not in table.uns and keys.obs in table.obs and _are_numbers(table.obs[keys.obs])
    embedded = has(table.uns.get(keys.uns_of_latent), IN_CLUSTER.params, IN_CLUSTER.versions, IN_CLUSTER.model)
    ours = {
        places.domains: lost or is_result(stored),
        places.modulation: lost or (is_clustering(stored) and has(stored, ModulationKeys(keys.base).uns)),
        places.latent[:1]: own or embedded or is_clustering(stored),
        places.latent[1:]: embedded,
        places.description: has(table.uns.get(places.description[0][1]), IN_DESCRIPTION.names, IN_DESCRIPTION.terms),
    }
    return {place for some, are in ours.items() if are for place in some}


def _are_numbers(column: pd.Series) -> bool:
    """Tell names of domains as semst gives them, ``"1"``, ``"2"``, ..., from other labels."""
    return all(str(name).isdecimal() for name in column.dropna().unique())


def forget(table: AnnData, keys: ClusterKeys, *, latent: bool = False) -> None:
    """Take away what earlier results left under a name, so that new domains carry nothing of the old ones.

    Parameters
    ----------
    table
        Of which nothing but earlier results is touched.
    keys
        The name. ``obs[keys.obs]`` itself stays: it is about to be written anew, in its place among the columns.
    latent
        Whether a new latent is about to be written as well; else one that was embedded without domains stays.
    """
    places, gone = Places.of(keys), earlier(table, keys)
    if gone.intersection(places.domains):
        table.uns.pop(keys.colors, None)  # of domains that are no more, whoever drew them
    elif not latent:
        gone.difference_update(places.latent)
    for slot, name in gone - {("obs", keys.obs)}:
        if name in getattr(table, slot):
            del getattr(table, slot)[name]
