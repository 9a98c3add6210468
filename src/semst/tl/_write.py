"""How domains get into a table: numbered by size, with all that belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import IN_CLUSTER, ClusterKeys, DescriptionKeys, ModulationKeys
from semst._provenance import versions

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from semst.tl._trained import Trained


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
    table.obs[keys.obs] = pd.Categorical(numbers.astype(str), categories=names)
    table.obs[keys.confidence] = confidence
    _write_modulation(table, trained, ModulationKeys(keys.base))
    table.obsm[keys.obsm] = trained.latent
    table.uns[keys.uns] = {**facts, IN_CLUSTER.history: trained.history, "versions": versions()}
    # Colours and names of domains that are no more.
    for gone in (keys.colors, DescriptionKeys(keys.base).uns):
        table.uns.pop(gone, None)


def _write_modulation(table: AnnData, trained: Trained, keys: ModulationKeys) -> None:
    """Write the sizes of each spot; where meaning was left out, take away those of an earlier run."""
    seen = trained.modulated
    for name, values in {keys.alpha: seen and seen.alpha, keys.beta: seen and seen.beta}.items():
        if values is not None:
            table.obs[name] = values
        elif name in table.obs:
            del table.obs[name]
