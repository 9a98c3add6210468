"""Networks on a large tissue: a bounded number of steps on tiles, then one look at every tile."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from semst.nn._adjacency import normalise
from semst.nn._fit import check_finite, descend
from semst.training._large_features import LargeFeatures
from semst.training._modulated import Collected, InTiles, seen_in
from semst.training._sections import rings
from semst.training._tissue_tiles import TissueTiles, dealt
from semst.training._trained import Trained
from semst.training._workers import ahead, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from semst.nn import Section, SemSTNetwork
    from semst.training._how import How
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue


_MODULATED = 10_000  # spots up to which what FSM does is kept: 128 numbers for each spot, and some of the time


def train_tiles(tissue: Tissue, recipe: Recipe, how: How, *, tile: int) -> Trained:
    """Do what :func:`semst.training._train.train` does, on tiles of about ``tile`` spots.

    Several processes share the tiles of each step, and those that are read in the end.
    """
    generators, processes = how.generators(recipe), how.processes
    n, width = tissue.counts.shape[0], recipe.latent_features
    latent = np.zeros((n, width * len(recipe.views)), dtype=np.float32)
    tiles = dealt(tissue, how.random_state, tile=tile)
    features = _features(tissue, recipe, how)
    adjacency = {n_rings: normalise(rings(tissue.graph, n_rings)) for n_rings in {view.rings for view in recipe.views}}

    def one(number: int) -> _One:
        view, generator = recipe.views[number], generators[number]
        prepared = TissueTiles(
            tissue,
            features.pop(number),  # forgotten with the last view that reads them
            recipe,
            tiles=tiles,
            adjacency=adjacency[view.rings],
            likelihood=how.likelihood,
            convolution=how.convolution,
            random_state=how.random_state,
        )
        first = prepared[0].to(how.device)
        in_features = first.features.shape[1]
        seed = int(generator.integers(2**31))
        with one_at_a_time:
            network = how.network(in_features, tissue, recipe, seed=seed)
        network.start_linear(first)
        processes.follow(network)
        history = _learn(network, number, prepared, how, generator=generator, on_tile=on_tile)
        smoothed = None
        if recipe.smoothed:
            smoothed = np.zeros((n, min(max(recipe.member_components), in_features)), dtype=np.float32)
        modulated = None
        if tissue.semantics is not None and n <= _MODULATED:
            modulated = InTiles(n, tissue.semantics.shape[1])
        written = latent[:, width * number : width * (number + 1)]
        _read(network, prepared, how, latent=written, smoothed=smoothed, modulated=modulated, on_tile=on_tile)
        return _One(network, history, smoothed, modulated)

    one_at_a_time = Lock()
    looks = recipe.plan.epochs + len(processes.mine(len(tiles)))
    with (
        tqdm(total=len(recipe.views) * looks, desc="semst", unit="tile", disable=not how.progress) as bar,
        workers(at_once=how.device.type == "cpu" and processes.size == 1) as (submit, stop),
    ):

        def on_tile() -> None:
            if stop.is_set():
                raise InterruptedError
            bar.update()

        waiting: list[Future[_One]] = [submit(one, number) for number in range(len(recipe.views))]
        done = [each.result() for each in waiting]
    read = [each.smoothed for each in done if each.smoothed is not None]
    for rows in (*read, latent):  # those of the tiles that other processes read are still zero
        processes.add_up(torch.from_numpy(rows))
    collected = Collected()
    for each, view in zip(done, recipe.views, strict=True):
        if each.modulated is not None:
            collected.add(each.modulated.whole(processes), rings=view.rings)
    return Trained(
        latents=read + np.split(latent, len(recipe.views), axis=1),
        latent=latent,
        history={term: np.mean([each.history[term] for each in done], axis=0) for term in done[0].history},
        modulated=collected.mean(),
        networks=tuple(each.network for each in done),
    )


class _One(NamedTuple):
    """What one network leaves, of the tiles that this process read."""

    network: SemSTNetwork
    history: dict[str, NDArray[np.float64]]
    smoothed: NDArray[np.float32] | None
    modulated: InTiles | None


def _features(tissue: Tissue, recipe: Recipe, how: How) -> dict[int, LargeFeatures]:
    """Give what each view reads; those that transform the counts alike share their features."""
    transforms = dict.fromkeys(view.transform for view in recipe.views)
    shared = {
        transform: LargeFeatures(tissue, transform, recipe, likelihood=how.likelihood, random_state=how.random_state)
        for transform in transforms
    }
    return {number: shared[view.transform] for number, view in enumerate(recipe.views)}


def _learn(
    network: SemSTNetwork,
    number: int,
    tiles: TissueTiles,
    how: How,
    *,
    generator: np.random.Generator,
    on_tile: Callable[[], object],
) -> dict[str, NDArray[np.float64]]:
    """Train a network on tile after tile and give the history, unless the checkpoint has it.

    The number of steps is that of small tissue, so that the cost of training does not depend on the size of the tissue.
    """
    plan, checkpoint, processes = tiles.recipe.plan, how.checkpoint, how.processes
    if checkpoint is not None:
        history = processes.told(checkpoint.restore(number, network) if processes.rank == 0 else None)
        if history is not None:
            processes.follow(network)
            return history
    steps = [
        (epoch * how.tiles_per_step + part) % len(tiles)
        for epoch in range(plan.epochs)
        for part in processes.mine(how.tiles_per_step)
    ]
    sections = _prepared(tiles, steps, how)
    history = descend(
        network,
        lambda _: next(sections),
        plan,
        share=tiles.share().to(how.device),
        generator=generator,
        after=lambda _: on_tile(),
        sections_per_step=how.tiles_per_step,
        processes=processes,
    )
    if checkpoint is not None and processes.rank == 0:
        checkpoint.keep(number, network, history)
    return history


def _read(
    network: SemSTNetwork,
    tiles: TissueTiles,
    how: How,
    *,
    latent: NDArray[np.float32],
    smoothed: NDArray[np.float32] | None,
    modulated: InTiles | None,
    on_tile: Callable[[], object],
) -> None:
    """Let a network read every tile once: of those of this process, the rows are written.

    Parameters
    ----------
    network
        Trained.
    tiles
        Of the view that the network reads.
    how
        How it was trained.
    latent
        ``(n, d)``: written.
    smoothed
        ``(n, c)``: written, the leading principal components of the features averaged over the neighbourhood; or None.
    modulated
        Takes up what FSM does; or None.
    on_tile
        Called after each tile.
    """
    network.eval()
    # All processes turn to the axes of the same tile.
    turn = None if smoothed is None else _leading(_around(tiles[0]), smoothed.shape[1])
    numbers = how.processes.mine(len(tiles))
    for number, section in zip(numbers, _prepared(tiles, numbers, how), strict=True):
        spots = tiles.spots[number]
        if smoothed is not None and turn is not None:
            smoothed[spots] = _around(section) @ turn
        with torch.no_grad():
            encoding = network.encode(section)
        values = encoding.latent.float().cpu()
        check_finite(values, tiles.recipe.plan.epochs)
        latent[spots] = values.numpy()
        seen = None if modulated is None else seen_in(network, section, encoding)
        if modulated is not None and seen is not None:
            modulated.add(spots, seen)
        tiles.forget(number)
        on_tile()


def _prepared(tiles: TissueTiles, numbers: Iterable[int], how: How) -> Iterator[Section]:
    """Give tiles on the device; a GPU has the next one prepared while it works."""

    def prepare(number: int) -> Section:
        return tiles[number].to(how.device)

    return map(prepare, numbers) if how.device.type == "cpu" else ahead(prepare, numbers)


def _around(section: Section) -> NDArray[np.float32]:
    """Features averaged over the neighbourhood of the section's own spots, ``(n, d)``."""
    plain: NDArray[np.float32] = section.own(section.spatial @ section.features).cpu().numpy()
    return plain


def _leading(points: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Axes ``(d, width)`` of the leading principal components."""
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    return np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :width].astype(np.float32)
