"""Networks on a large tissue: a bounded number of steps on tiles, then one look at every tile."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from semst.nn._adjacency import normalise
from semst.nn._fit import check_finite, descend
from semst.tl._sections import rings
from semst.tl._tissue_tiles import TissueTiles, dealt
from semst.tl._train import Trained, _network, _workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from semst.nn import Convolution, Likelihood, SemSTNetwork
    from semst.tl._checkpoint import Checkpoint
    from semst.tl._recipe import Recipe
    from semst.tl._sections import Tissue


def train_large(
    tissue: Tissue,
    recipe: Recipe,
    *,
    likelihood: Likelihood,
    convolution: Convolution,
    device: torch.device,
    random_state: int,
    progress: bool,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Do what :func:`semst.tl._train.train` does, tile by tile; see there."""
    generators = [np.random.default_rng(seed) for seed in np.random.SeedSequence(random_state).spawn(len(recipe.views))]
    n, width = tissue.counts.shape[0], recipe.latent_features
    latent = np.empty((n, width * len(recipe.views)), dtype=np.float32)
    tiles = dealt(tissue, random_state)
    adjacency = {n_rings: normalise(rings(tissue.graph, n_rings)) for n_rings in {view.rings for view in recipe.views}}

    def one(number: int) -> tuple[NDArray[np.float32] | None, dict[str, Any], SemSTNetwork]:
        view, generator = recipe.views[number], generators[number]
        prepared = TissueTiles(
            tissue,
            view,
            recipe,
            tiles=tiles,
            adjacency=adjacency[view.rings],
            likelihood=likelihood,
            convolution=convolution,
            random_state=random_state,
        )
        in_features = prepared[0].features.shape[1]
        seed = int(generator.integers(2**31))
        with one_at_a_time:  # initial weights come from torch's global generator
            network = _network(in_features, tissue, recipe, likelihood, convolution, seed).to(device)
        smoothed = None
        if recipe.smoothed:
            smoothed = np.empty((n, min(max(recipe.member_components), in_features)), dtype=np.float32)
        history = train_tiles(
            network,
            prepared,
            latent=latent[:, width * number : width * (number + 1)],
            smoothed=smoothed,
            device=device,
            generator=generator,
            on_tile=on_tile,
            kept=None if checkpoint is None else (checkpoint, number),
        )
        return smoothed, history, network

    one_at_a_time = Lock()
    looks = recipe.plan.epochs + len(tiles)
    with (
        tqdm(total=len(recipe.views) * looks, desc="semst", unit="tile", disable=not progress) as bar,
        _workers(device) as (submit, stop),
    ):

        def on_tile() -> None:
            if stop.is_set():
                raise InterruptedError
            bar.update()

        waiting: list[Future[Any]] = [submit(one, number) for number in range(len(recipe.views))]
        done = [each.result() for each in waiting]
    return Trained(
        latents=[smoothed for smoothed, _, _ in done if smoothed is not None]
        + np.split(latent, len(recipe.views), axis=1),
        latent=latent,
        history={term: np.mean([history[term] for _, history, _ in done], axis=0) for term in done[0][1]},
        networks=tuple(network for _, _, network in done),
    )


def train_tiles(
    network: SemSTNetwork,
    tiles: TissueTiles,
    *,
    latent: NDArray[np.float32],
    smoothed: NDArray[np.float32] | None,
    device: torch.device,
    generator: np.random.Generator,
    on_tile: Callable[[], object],
    kept: tuple[Checkpoint, int] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Train a network on tile after tile, one for each step, then let it read every tile once.

    The number of steps is that of small tissue, so that the cost of training does not depend on the size of the tissue.

    Parameters
    ----------
    network
        Trained in place; on ``device``.
    tiles
        Of the view that the network reads.
    latent
        ``(n, d)``: written.
    smoothed
        ``(n, c)``: written, the leading principal components of the features averaged over the neighbourhood; or None.
    device
        Where tiles are sent.
    generator
        Draws the spots, genes and strangers of each step.
    on_tile
        Called after each step and after each tile that is read, for a progress bar.
    kept
        A checkpoint and the number of the network in it: a network that is there is not trained again.

    Returns
    -------
    The history of the training.
    """
    plan = tiles.recipe.plan
    history = None if kept is None else kept[0].restore(kept[1], network)
    if history is None:
        network.start_linear(tiles[0].to(device))
        history = descend(
            network,
            lambda step: tiles[step % len(tiles)].to(device),
            plan,
            share=tiles.share().to(device),
            generator=generator,
            after=lambda _: on_tile(),
        )
        if kept is not None:
            kept[0].keep(kept[1], network, history)
    network.eval()
    turn: NDArray[np.float32] | None = None
    for number, spots in enumerate(tiles.spots):
        section = tiles[number]
        if smoothed is not None:
            plain = section.own(section.spatial @ section.features).numpy()
            if turn is None:
                turn = _leading(plain, smoothed.shape[1])
            smoothed[spots] = plain @ turn
        with torch.no_grad():
            values = network.encode(section.to(device)).latent.float().cpu()
        check_finite(values, plan.epochs)
        latent[spots] = values.numpy()
        tiles.forget(number)
        on_tile()
    return history


def _leading(points: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Axes ``(d, width)`` of the leading principal components."""
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    return np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :width].astype(np.float32)
