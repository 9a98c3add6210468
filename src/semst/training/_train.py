"""A network for each view, in the way that fits the size of the tissue and the memory of the device."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from semst._sample import is_large
from semst.nn._processes import ALONE, Processes
from semst.training import _tissue_tiles
from semst.training._how import How
from semst.training._train_tiles import train_tiles
from semst.training._train_whole import train_whole

if TYPE_CHECKING:
    from semst.nn import Convolution, Likelihood
    from semst.training._checkpoint import Checkpoint
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue
    from semst.training._trained import Trained

logger = logging.getLogger("semst")

_SMALLEST_TILE = 500  # spots; smaller ones no longer look like the tissue, and more memory is needed elsewhere


def train(
    tissue: Tissue,
    recipe: Recipe,
    *,
    likelihood: Likelihood,
    convolution: Convolution,
    device: torch.device,
    random_state: int,
    progress: bool,
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
    tiles_per_step: int = 1,
) -> Trained:
    """Train the network of every view of a recipe; see :func:`semst.tl.cluster` for the arguments.

    Where the memory of a GPU runs out, the training starts again on smaller tiles.

    Raises
    ------
    MemoryError
        If the memory of the GPU is not enough for the smallest tiles either, or several processes train together.
    """
    how = How(
        likelihood=likelihood,
        convolution=convolution,
        device=device,
        random_state=random_state,
        progress=progress,
        checkpoint=checkpoint,
        processes=processes,
        tiles_per_step=tiles_per_step,
    )
    n = tissue.counts.shape[0]
    tile = _tissue_tiles.TILE if is_large(n) else None
    while True:
        try:
            if tile is None:
                return train_whole(tissue, recipe, how)
            return train_tiles(tissue, recipe, how, tile=tile)
        except torch.OutOfMemoryError as error:
            tile = _smaller(tile, n, how, error)
        if checkpoint is not None:
            how = replace(how, checkpoint=checkpoint.of_tiles(tile))
        # Outside of the handler nothing holds on to what the failed training had on the device.
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _smaller(tile: int | None, n: int, how: How, error: torch.OutOfMemoryError) -> int:
    """Give the size of tiles to try after a training that ran out of memory."""
    smaller = min(_tissue_tiles.TILE, n // 2) if tile is None else tile // 2
    tried = f"all {n} spots at once" if tile is None else f"tiles of {tile} spots"
    if smaller < _SMALLEST_TILE or how.processes.size > 1:
        message = (
            f"semst.tl.cluster: the memory of {how.device} is not enough for {tried} ({_first_line(error)}). "
            "Close other programs that use it, choose fewer genes (n_top_genes), or use device='cpu'."
        )
        raise MemoryError(message) from error
    logger.warning(
        "the memory of %s is not enough for %s; training starts again on tiles of %d.", how.device, tried, smaller
    )
    return smaller


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0].split(". ", maxsplit=1)[0]
