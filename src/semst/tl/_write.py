"""How domains get into a table: numbered by size, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import IN_CLUSTER, ClusterKeys, DescriptionKeys, ModulationKeys
from semst._provenance import versions

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
    forget(table, keys)
    table.obs[keys.obs] = pd.Categorical(numbers.astype(str), categories=names)
    table.obs[keys.confidence] = confidence
    if trained.modulated is not None:
        modulation = ModulationKeys(keys.base)
        table.obs[modulation.alpha] = trained.modulated.alpha
        table.obs[modulation.beta] = trained.modulated.beta
    table.obsm[keys.obsm] = trained.latent
    table.uns[keys.uns] = {**facts, IN_CLUSTER.history: trained.history, IN_CLUSTER.versions: versions()}


def is_result(stored: object) -> bool:
    """Tell what :func:`semst.tl.cluster` or :func:`semst.tl.transfer` left in ``uns`` from all else."""
    return (
        isinstance(stored, Mapping)
        and {IN_CLUSTER.params, IN_CLUSTER.versions} <= set(stored)
        and (IN_CLUSTER.history in stored or IN_CLUSTER.model in stored)
    )


def forget(table: AnnData, keys: ClusterKeys) -> None:
    """Take away what an earlier run left under a name, so that new domains carry nothing of the old ones.

    ``obs[keys.obs]`` itself stays: it is about to be written anew, in its place among the columns.
    """
    # Whoever drew or described such domains: these are colours and names of domains that are no more.
    for gone in (keys.colors, DescriptionKeys(keys.base).uns):
        table.uns.pop(gone, None)
    if not is_result(table.uns.get(keys.uns)) and keys.obs not in table.obs:
        return  # a latent alone is of no earlier run: SemST.embed writes it without domains
    modulation = ModulationKeys(keys.base)
    for gone in (keys.confidence, modulation.alpha, modulation.beta):
        if gone in table.obs:
            del table.obs[gone]
    if keys.obsm in table.obsm:
        del table.obsm[keys.obsm]
    table.uns.pop(keys.uns, None)
