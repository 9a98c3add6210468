"""What a run of :func:`semst.tl.cluster` hands to a model that is to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from semst.pp._gene_semantics import written_params

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData
    from numpy.typing import NDArray

    from semst.pp._compute_semantics import SemanticsResult
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue
    from semst.training._trained import Trained


@dataclass(frozen=True)
class Found:
    """What a run leaves for a model to keep, besides what is written into the table.

    Parameters
    ----------
    tissue
        What the networks were trained on.
    recipe
        How.
    trained
        The networks, among others.
    numbers
        ``(n,)`` number of each spot's domain, from 1.
    n_clusters
        Number of domains.
    genes
        Names of all genes of the table.
    semantics
        ``uns[semantics_key]["params"]``; empty where nobody wrote them.
    """

    tissue: Tissue
    recipe: Recipe
    trained: Trained
    numbers: NDArray[np.int64]
    n_clusters: int
    genes: tuple[str, ...]
    semantics: dict[str, Any]


def semantics_params(table: AnnData, key: str | None, fresh: SemanticsResult | None) -> dict[str, Any]:
    """Give the parameters under which the semantics of the spots were made, as far as they are known."""
    if fresh is not None:
        return dict(fresh.params)
    return {} if key is None else written_params(table, key)
