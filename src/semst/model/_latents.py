"""A model's networks on a tissue, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from semst._slices import less_mean
from semst.nn import Section, normalised_adjacency
from semst.nn._adjacency import as_tensor, normalise
from semst.nn._fit import latent
from semst.nn._tiles import halo, part
from semst.pp._graphs import expression_graph
from semst.training._sections import GRAPH_COMPONENTS, rings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from semst.model._genes import Overlap
    from semst.model._kept import Kept, Meaning
    from semst.training._sections import Tissue


def latents(
    kept: Kept,
    tissue: Tissue,
    overlap: Overlap,
    *,
    tiles: Sequence[NDArray[np.int64]],
    recentre: bool,
    smoothed: bool = True,
    device: torch.device | str = "cpu",
) -> Iterator[NDArray[np.float32]]:
    """Give one latent after the other: of each view its smoothed input, and what its network makes of it.

    Parameters
    ----------
    kept
        The model.
    tissue
        With all its genes; of ``tissue.genes`` nothing is read.
    overlap
        Which of them the model knows.
    tiles
        Spots that are wanted, and which of them are looked at together. Neighbours in place are those of the whole
        tissue, neighbours in expression those of the tile.
    recentre
        Whether the means of this tissue, or of each of its slices, take the place of those of the training tissue.
    smoothed
        Whether smoothed inputs are given at all.
    device
        Where networks run.

    Yields
    ------
    ``(n, d)`` float32, rows in the order of the tiles.
    """
    read: dict[str, NDArray[np.float32]] = {}
    near: dict[int, sparse.csr_matrix] = {}
    meant: dict[int, NDArray[np.float32]] = {}
    spots = np.concatenate(tiles)
    for number, (view, network) in enumerate(zip(kept.views, kept.networks, strict=True)):
        if view.transform not in read:
            reading = kept.readings[view.transform]
            read = {view.transform: reading(tissue.counts, overlap, recentre=recentre, slices=tissue.slices)}
        if view.rings not in near:
            near[view.rings] = normalise(rings(tissue.graph, view.rings))
            if kept.meaning is not None:
                meant[view.rings] = _semantics(kept.meaning, view.rings, near[view.rings], tissue, recentre=recentre)
        features, adjacency = read[view.transform], near[view.rings]
        if kept.smoothed and smoothed:
            rows: Any = adjacency
            yield (rows[spots] @ features).astype(np.float32)
        network = network.to(device)
        parts = []
        for own in tiles:
            section = _section(kept, features, adjacency, own, meant.get(view.rings))
            parts.append(latent(network, section.to(device)))
        network.cpu()
        if not all(np.isfinite(each).all() for each in parts):
            message = f"network {number} of the model gives values that are not finite on this tissue."
            raise FloatingPointError(message)
        yield np.concatenate(parts)


def _semantics(
    meaning: Meaning, n_rings: int, near: sparse.csr_matrix, tissue: Tissue, *, recentre: bool
) -> NDArray[np.float32]:
    """Average semantics over neighbourhoods, less their mean before and after, in the unit of the training."""
    assert tissue.semantics is not None  # looked after by who calls
    mean, centre = (None, None) if recentre else (meaning.mean, meaning.centres[n_rings])
    smooth = less_mean(
        near @ less_mean(tissue.semantics, slices=tissue.slices, known=mean), slices=tissue.slices, known=centre
    )
    smooth /= np.float32(meaning.units[n_rings])
    return smooth


def _section(
    kept: Kept,
    features: NDArray[np.float32],
    adjacency: sparse.csr_matrix,
    own: NDArray[np.int64],
    semantics: NDArray[np.float32] | None,
) -> Section:
    """Prepare a tile for reading; there are no counts in it, since nothing is reconstructed."""
    hops = 3 if kept.params["convolution"] == "sage" else 2  # see TissueTiles
    around = halo(adjacency, own, hops)
    inner = np.searchsorted(around, own)
    spatial, read = as_tensor(part(adjacency, around)), torch.from_numpy(features[around])
    told = (spatial @ read[:, :GRAPH_COMPONENTS] if kept.linear else read).numpy()[inner]
    alike = expression_graph(told, n_neighbors=kept.expression_neighbors)
    return Section(
        features=read,
        spatial=spatial,
        expression=normalised_adjacency(alike),
        neighbours=torch.empty((2, 0), dtype=torch.int64),
        counts=sparse.csr_matrix(np.empty((own.size, 0), dtype=np.float32)),
        semantics=None if semantics is None else torch.from_numpy(semantics[own]),
        inner=torch.from_numpy(inner),
    )
