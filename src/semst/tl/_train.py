"""A network for each view, trained one after the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from semst.nn import Architecture, SemSTNetwork, fit
from semst.tl._sections import section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from semst.nn import Convolution, Likelihood
    from semst.tl._recipe import Recipe
    from semst.tl._sections import Tissue

_ONE_THREAD_UP_TO = 10_000  # spots


@dataclass(frozen=True)
class Trained:
    """What the networks leave.

    Parameters
    ----------
    latents
        ``(n, d)`` float32 of every network and snapshot.
    latent
        ``(n, networks * d)`` float32: the last states side by side.
    history
        Terms of the loss, ``(epochs,)`` float64, averaged over networks.
    """

    latents: list[NDArray[np.float32]]
    latent: NDArray[np.float32]
    history: dict[str, NDArray[np.float64]]


def train(
    tissue: Tissue,
    recipe: Recipe,
    *,
    likelihood: Likelihood,
    convolution: Convolution,
    device: torch.device,
    random_state: int,
    progress: bool,
) -> Trained:
    """Train the network of every view of a recipe; see :func:`semst.tl.cluster` for the arguments."""
    seeds = np.random.SeedSequence(random_state).spawn(len(recipe.views))
    fits = []
    with (
        _few_threads(tissue.counts.shape[0], device),
        tqdm(total=len(recipe.views) * recipe.plan.epochs, desc="semst", unit="epoch", disable=not progress) as bar,
    ):
        for view, seed in zip(recipe.views, seeds, strict=True):
            prepared = section(tissue, view, recipe, likelihood=likelihood, random_state=random_state).to(device)
            generator = np.random.default_rng(seed)
            network = _network(
                prepared.features.shape[1], tissue, recipe, likelihood, convolution, int(generator.integers(2**31))
            ).to(device)
            network.start_linear(prepared)
            fits.append(fit(network, prepared, recipe.plan, generator=generator, on_epoch=bar.update))
    return Trained(
        latents=[latent for fitted in fits for _, latent in sorted(fitted.latents.items())],
        latent=np.concatenate([fitted.latents[recipe.plan.epochs] for fitted in fits], axis=1),
        history={term: np.mean([fitted.history[term] for fitted in fits], axis=0) for term in fits[0].history},
    )


@contextmanager
def _few_threads(n_spots: int, device: torch.device) -> Iterator[None]:
    """Train small tissue on one thread.

    Two threads gain a tenth on a slice of 3 600 spots, and lose a factor of ten where another process keeps a core
    busy, because each of the many small products waits for the slower thread.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu" and n_spots <= _ONE_THREAD_UP_TO:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
    # torch draws initial weights from its global generator: lend it one, and give it back untouched.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SemSTNetwork(architecture)
