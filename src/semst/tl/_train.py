"""A network for each view, side by side, one on each core."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from semst.nn import Architecture, Fitted, SemSTNetwork, fit, latent, modulation
from semst.pp._sample import is_large
from semst.tl._device import cores
from semst.tl._modulation import Collected
from semst.tl._sections import features, section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from semst.nn import Convolution, Likelihood, Plan, Section
    from semst.nn._modulation import Modulation
    from semst.tl._checkpoint import Checkpoint
    from semst.tl._modulation import Modulated
    from semst.tl._recipe import Recipe
    from semst.tl._sections import Tissue

    _Result: TypeAlias = tuple[Fitted, Modulation | None]


@dataclass(frozen=True)
class Trained:
    """What the networks leave.

    Parameters
    ----------
    latents
        ``(n, d)`` float32 of every view: its smoothed input where the recipe wants it, and every snapshot.
    latent
        ``(n, networks * d)`` float32: the last states side by side.
    history
        Terms of the loss, ``(epochs,)`` float64, averaged over networks.
    modulated
        What FSM did in all networks together; None without semantics, and on large tissue, where it is not kept.
    networks
        One for each view, as training left it.
    """

    latents: list[NDArray[np.float32]]
    latent: NDArray[np.float32]
    history: dict[str, NDArray[np.float64]]
    modulated: Modulated | None = None
    networks: tuple[SemSTNetwork, ...] = ()


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
) -> Trained:
    """Train the network of every view of a recipe; see :func:`semst.tl.cluster` for the arguments."""
    if is_large(tissue.counts.shape[0]):
        from semst.tl._train_tiles import train_large

        return train_large(
            tissue,
            recipe,
            likelihood=likelihood,
            convolution=convolution,
            device=device,
            random_state=random_state,
            progress=progress,
            checkpoint=checkpoint,
        )
    generators = [np.random.default_rng(seed) for seed in np.random.SeedSequence(random_state).spawn(len(recipe.views))]
    sections = _sections(tissue, recipe, likelihood=likelihood, random_state=random_state)
    smoothed: list[NDArray[np.float32]] = []
    fits: list[Fitted] = []
    collected = Collected()
    networks: list[SemSTNetwork] = []
    waiting: deque[Future[_Result]] = deque()
    with (
        tqdm(total=len(recipe.views) * recipe.plan.epochs, desc="semst", unit="epoch", disable=not progress) as bar,
        _workers(device) as (submit, stop),
    ):

        def on_epoch() -> None:
            if stop.is_set():
                raise InterruptedError
            bar.update()

        def take_up() -> None:
            """Take the results of the network that was started first; what it modulates is added up in this order."""
            fitted, seen = waiting.popleft().result()
            if seen is not None:
                collected.add(seen, rings=recipe.views[len(fits)].rings)
            fits.append(fitted)

        for each, generator in zip(sections, generators, strict=True):
            if recipe.smoothed:
                smoothed.append((each.spatial @ each.features).numpy())
            seed = int(generator.integers(2**31))
            network = _network(each.features.shape[1], tissue, recipe, likelihood, convolution, seed).to(device)
            prepared = each.to(device)
            network.start_linear(prepared)
            networks.append(network)
            train_one = partial(fit, network, prepared, recipe.plan, generator=generator, on_epoch=on_epoch)
            if checkpoint is not None:
                train_one = partial(_resume, checkpoint, len(networks) - 1, network, prepared, recipe.plan, train_one)
            waiting.append(submit(_look, train_one, network, prepared))
            while waiting and waiting[0].done():
                take_up()
        while waiting:
            take_up()
    return Trained(
        latents=smoothed + [found for fitted in fits for _, found in sorted(fitted.latents.items())],
        latent=np.concatenate([fitted.latents[recipe.plan.epochs] for fitted in fits], axis=1),
        history={term: np.mean([fitted.history[term] for fitted in fits], axis=0) for term in fits[0].history},
        modulated=collected.mean(),
        networks=tuple(networks),
    )


def _look(train_one: Callable[[], Fitted], network: SemSTNetwork, section: Section) -> _Result:
    """Train a network, and look at its FSM before it is forgotten."""
    fitted = train_one()
    if network.fsm is None or section.semantics is None:
        return fitted, None
    with torch.no_grad():
        encoding = network.encode(section)
    z = torch.cat([encoding.spatial_view, encoding.expression_view], dim=1)
    return fitted, modulation(network.fsm, z, section.semantics)


def _resume(
    checkpoint: Checkpoint,
    number: int,
    network: SemSTNetwork,
    section: Section,
    plan: Plan,
    train_one: Callable[[], Fitted],
) -> Fitted:
    """Take a network whose training has ended from the checkpoint, or train it and keep it there."""
    history = checkpoint.restore(number, network)
    if history is not None:
        return Fitted({plan.epochs: latent(network, section)}, history)
    fitted = train_one()
    checkpoint.keep(number, network, fitted.history)
    return fitted


def _sections(tissue: Tissue, recipe: Recipe, *, likelihood: Likelihood, random_state: int) -> Iterator[Section]:
    """Prepare one view after the other; those that transform the counts alike share their features."""
    done = {}
    for view in recipe.views:
        if view.transform not in done:
            done[view.transform] = features(
                tissue, view.transform, recipe, likelihood=likelihood, random_state=random_state
            )
        yield section(tissue, view, done[view.transform], recipe, likelihood=likelihood, random_state=random_state)


@contextmanager
def _workers(device: torch.device) -> Iterator[tuple[Callable[..., Future[Any]], Event]]:
    """Give a way to start a training, and a sign that makes all trainings end after their epoch.

    Each network trains on a core of its own: two threads on one network gain a tenth, and lose a factor of ten where
    another process keeps a core busy, because each of the many small products waits for the slower thread. A GPU trains
    one network after the other.
    """
    stop = Event()
    if device.type != "cpu":
        yield _at_once, stop
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that are started from here on take it over
    try:
        with threadpool_limits(1), ThreadPoolExecutor(cores()) as executor:
            try:
                yield executor.submit, stop
            except BaseException:
                stop.set()
                executor.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)


def _at_once(train_one: Callable[..., _Result], *args: Any, **kwargs: Any) -> Future[_Result]:  # noqa: ANN401
    future: Future[_Result] = Future()
    future.set_result(train_one(*args, **kwargs))
    return future


def _network(
    in_features: int, tissue: Tissue, recipe: Recipe, likelihood: Likelihood, convolution: Convolution, seed: int
) -> SemSTNetwork:
    architecture = Architecture(
        in_features=in_features,
        n_genes=tissue.genes.size,
        semantic_features=0 if tissue.semantics is None else tissue.semantics.shape[1],
        hidden_features=recipe.hidden_features,
        branch_features=recipe.branch_features or in_features,
        latent_features=recipe.latent_features,
        convolution=convolution,
        likelihood=likelihood,
        shortcut=recipe.shortcut,
    )
    # torch draws initial weights from its global generator: lend it one, and give it back untouched. Networks are made
    # one after the other, before their training starts elsewhere, and training draws nothing from that generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SemSTNetwork(architecture)
