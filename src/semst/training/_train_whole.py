"""Networks on a tissue that is trained on as a whole, one for each view, side by side on the cores."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from tqdm.auto import tqdm

from semst.nn import Fitted, fit, latent
from semst.training._modulated import Collected, seen_in
from semst.training._processes import rank
from semst.training._sections import features, section
from semst.training._trained import Trained
from semst.training._workers import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from semst.nn import Plan, Section, SemSTNetwork
    from semst.nn._modulation import Modulation
    from semst.training._checkpoint import Checkpoint
    from semst.training._how import How
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue

    _Result: TypeAlias = tuple[Fitted, Modulation | None]


def train_whole(tissue: Tissue, recipe: Recipe, how: How) -> Trained:
    """Do what :func:`semst.training._train.train` does, each step on all spots; several processes do all of it each."""
    sections, device, checkpoint = _sections(tissue, recipe, how), how.device, how.checkpoint
    smoothed: list[NDArray[np.float32]] = []
    fits: list[Fitted] = []
    collected = Collected()
    networks: list[SemSTNetwork] = []
    waiting: deque[Future[_Result]] = deque()
    with (
        tqdm(total=len(recipe.views) * recipe.plan.epochs, desc="semst", unit="epoch", disable=not how.progress) as bar,
        workers(at_once=device.type == "cpu") as (submit, stop),
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

        for each, generator in zip(sections, how.generators(recipe), strict=True):
            if recipe.smoothed:
                smoothed.append((each.spatial @ each.features).numpy())
            seed = int(generator.integers(2**31))
            network = how.network(each.features.shape[1], tissue, recipe, seed=seed)
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
    with torch.no_grad():
        encoding = network.encode(section)
    return fitted, seen_in(network, section, encoding)


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
    if rank() == 0:  # all processes train small tissue alike
        checkpoint.keep(number, network, fitted.history)
    return fitted


def _sections(tissue: Tissue, recipe: Recipe, how: How) -> Iterator[Section]:
    """Prepare one view after the other; those that transform the counts alike share their features."""
    likelihood, random_state = how.likelihood, how.random_state
    done = {}
    for view in recipe.views:
        if view.transform not in done:
            done[view.transform] = features(
                tissue, view.transform, recipe, likelihood=likelihood, random_state=random_state
            )
        yield section(tissue, view, done[view.transform], recipe, likelihood=likelihood)
