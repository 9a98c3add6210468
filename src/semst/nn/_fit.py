from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from semst.nn._losses import dicr, spatial_contrastive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from semst.nn._network import SemSTNetwork
    from semst.nn._section import Section

TERMS = ("total", "reconstruction", "spatial", "dicr")


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Parameters
    ----------
    epochs
        Steps over the whole graph, at least 1.
    learning_rate, weight_decay
        Of Adam.
    reconstruction_weight, spatial_weight, dicr_weight
        Weights of the three terms of the loss; the paper's 1, 0.1, 0.1.
    spots_per_step, genes_per_step
        How many random spots and genes are reconstructed in each step; 0 takes all. The gradient keeps its
        expectation.
    snapshots
        Epochs after which the latent is kept, each between 1 and ``epochs``; the last state is always kept.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    epochs: int = 60
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    reconstruction_weight: float = 1.0
    spatial_weight: float = 0.1
    dicr_weight: float = 0.1
    spots_per_step: int = 512
    genes_per_step: int = 512
    snapshots: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.epochs < 1 or any(not 1 <= epoch <= self.epochs for epoch in self.snapshots):
            message = f"epochs must be at least 1, snapshots lie in 1..epochs; got {self.epochs}, {self.snapshots}."
            raise ValueError(message)
        if self.spots_per_step == 1 or min(self.spots_per_step, self.genes_per_step) < 0:
            message = "spots_per_step and genes_per_step must be 0 (all) or more; one spot alone has no batch norm."
            raise ValueError(message)


@dataclass(frozen=True)
class Fitted:
    """What training leaves.

    Parameters
    ----------
    latents
        ``(n, d)`` float32 by epoch.
    history
        Each weighted term of the loss and their ``"total"``, ``(epochs,)`` float64.
    """

    latents: dict[int, NDArray[np.float32]]
    history: dict[str, NDArray[np.float64]]


def fit(
    network: SemSTNetwork,
    section: Section,
    plan: Plan,
    *,
    generator: np.random.Generator,
    on_epoch: Callable[[], object] | None = None,
) -> Fitted:
    r"""Train a network on one section; no label is seen, the last state is the result.

    .. math::

        L = w_r\, \mathrm{NLL} + w_s\, \mathrm{spatial} + w_d\, \mathrm{DICR}

    Parameters
    ----------
    network
        Trained in place; it and ``section`` lie on one device.
    section
        The tissue.
    plan
        Epochs, weights, sampling.
    generator
        Draws the spots, genes and strangers of each step.
    on_epoch
        Called after each epoch, for a progress bar.

    Returns
    -------
    The latents of the snapshots and of the last epoch, and the history of each term.

    Raises
    ------
    FloatingPointError
        If the loss or a latent stops being finite; nothing is returned then.

    References
    ----------
    Long et al., arXiv:2511.11380 (training objective).
    """
    latents: dict[int, NDArray[np.float32]] = {}

    def after(epoch: int) -> None:
        if epoch in plan.snapshots or epoch == plan.epochs:
            latents[epoch] = latent(network, section)
            # The last step may be the one that diverges, and no loss follows it.
            check_finite(torch.from_numpy(latents[epoch]), epoch)
        if on_epoch is not None:
            on_epoch()

    gaussian = network.decoder.likelihood == "gaussian"
    share = (section.averages() if gaussian else section.share()).to(section.features.device)
    history = descend(network, lambda _: section, plan, share=share, generator=generator, after=after)
    return Fitted(latents, history)


def descend(
    network: SemSTNetwork,
    section_of: Callable[[int], Section],
    plan: Plan,
    *,
    share: Tensor,
    generator: np.random.Generator,
    after: Callable[[int], object],
) -> dict[str, NDArray[np.float64]]:
    """Take the steps of a training, each on one section: always the same, or tile after tile of a large tissue.

    Parameters
    ----------
    network, plan, generator
        As in :func:`fit`.
    section_of
        Gives the section of step 0, 1, ..., on the device of the network.
    share
        ``(n_genes,)`` share of each gene in all counts of the tissue; ``(s, n_genes)`` in those of each of its slices.
    after
        Called with the number of steps taken, after each.

    Returns
    -------
    The history, as in :class:`Fitted`.
    """
    device, n_genes = share.device, share.shape[-1]
    optimiser = torch.optim.Adam(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=_fused(device)
    )
    history = {term: np.zeros(plan.epochs) for term in TERMS}
    section: Section | None = None
    for epoch in range(plan.epochs):
        network.train()
        last, section = section, section_of(epoch)
        if section is not last:
            library = section.library().to(device)
        encoding = network.encode(section)
        spots = _sample(section.n_spots, plan.spots_per_step, generator)
        genes = _sample(n_genes, plan.genes_per_step, generator)
        rows, columns = torch.from_numpy(spots).to(device), torch.from_numpy(genes).to(device)
        pairs = (2, section.neighbours.shape[1])
        strangers = torch.from_numpy(generator.integers(0, section.n_spots, size=pairs)).to(device)
        terms = {
            "reconstruction": plan.reconstruction_weight
            * network.decoder(
                encoding.latent[rows],
                section.observed(spots, genes).to(device),
                library[rows],
                share if section.slices is None else share[section.slices[rows]],
                columns,
            ),
            "spatial": plan.spatial_weight * spatial_contrastive(encoding.latent, section.neighbours, strangers),
            "dicr": plan.dicr_weight * dicr(encoding.spatial_view, encoding.expression_view),
        }
        total = torch.stack(list(terms.values())).sum()
        check_finite(total, epoch)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for term, value in {"total": total, **terms}.items():
            history[term][epoch] = value.item()
        after(epoch + 1)
    return history


def check_finite(values: Tensor, epochs: int) -> None:
    """Refuse what is not finite after so many epochs.

    Raises
    ------
    FloatingPointError
        If anything is not.
    """
    if not torch.isfinite(values).all():
        message = f"training is no longer finite after {epochs} epochs; lower the learning rate."
        raise FloatingPointError(message)


def _fused(device: torch.device) -> bool:
    """Tell where one kernel updates all parameters at once."""
    return device.type in {"cpu", "cuda"}


@torch.no_grad()
def latent(network: SemSTNetwork, section: Section) -> NDArray[np.float32]:
    """Compute the latent of every spot without training.

    Parameters
    ----------
    network, section
        On one device.

    Returns
    -------
    ``(n, d)`` float32.
    """
    network.eval()
    values: NDArray[np.float32] = network.encode(section).latent.float().cpu().numpy()
    return values


def _sample(size: int, wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw indices without replacement, all of them in order where all are wanted."""
    if wanted == 0 or wanted >= size:
        return np.arange(size)
    return generator.choice(size, wanted, replace=False)
