from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from semst._problems import Problems, is_whole
from semst.nn._losses import dicr, spatial_contrastive
from semst.nn._observed import Observed
from semst.nn._precision import mixed_precision
from semst.nn._processes import ALONE, Processes

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
        Of Adam, at least 0.
    reconstruction_weight, spatial_weight, dicr_weight
        Weights of the three terms of the loss, at least 0; the paper's 1, 0.1, 0.1.
    spots_per_step, genes_per_step
        How many random spots and genes are reconstructed in each step; 0 takes all, and a spot has no batch norm alone.
        The gradient keeps its expectation.
    pairs_per_spot
        How many random pairs of neighbours, and as many of strangers, are compared in each step for each spot of the
        section; 0 takes all neighbours. The gradient keeps its expectation.
    snapshots
        Epochs after which the latent is kept, each between 1 and ``epochs``; the last state is always kept.

    Raises
    ------
    ValueError
        If a number is out of its range; one error names all that are.
    """

    epochs: int = 60
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    reconstruction_weight: float = 1.0
    spatial_weight: float = 0.1
    dicr_weight: float = 0.1
    spots_per_step: int = 256
    genes_per_step: int = 512
    pairs_per_spot: int = 1
    snapshots: Sequence[int] = ()

    def __post_init__(self) -> None:
        problems = Problems("semst.nn.Plan")
        problems.whole("epochs", self.epochs, least=1)
        for name in ("learning_rate", "weight_decay", "reconstruction_weight", "spatial_weight", "dicr_weight"):
            problems.number(name, getattr(self, name), least=0)
        for name in ("spots_per_step", "genes_per_step", "pairs_per_spot"):
            problems.whole(name, getattr(self, name), least=0)
        if self.spots_per_step == 1:
            problems.add("spots_per_step must be 0 (all) or at least 2, got 1: one spot alone has no batch norm.")
        lasting = is_whole(self.epochs, least=1)
        if lasting and not all(is_whole(epoch, least=1) and epoch <= self.epochs for epoch in self.snapshots):
            problems.add(f"snapshots must be whole numbers between 1 and epochs ({self.epochs}), got {self.snapshots}.")
        problems.raise_if_any()


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
        if on_epoch is not None:
            on_epoch()

    gaussian = network.decoder.likelihood == "gaussian"
    share = (section.averages() if gaussian else section.share()).to(section.features.device)
    history = descend(network, lambda _: section, plan, share=share, generator=generator, after=after)
    for epoch, values in latents.items():  # the last step may be the one that diverges, and no loss follows it
        check_finite(torch.from_numpy(values), epoch)
    return Fitted(latents, history)


def descend(
    network: SemSTNetwork,
    section_of: Callable[[int], Section],
    plan: Plan,
    *,
    share: Tensor,
    generator: np.random.Generator,
    after: Callable[[int], object],
    sections_per_step: int = 1,
    processes: Processes = ALONE,
) -> dict[str, NDArray[np.float64]]:
    """Take the steps of a training, each on one section or several: the same ones, or tile after tile of large tissue.

    The loss of a step is the mean over its sections, and several processes share them out: the gradients of all are
    added up before the step is taken, so that the result is, up to rounding, that of one process with as many sections.

    On a GPU everything that a step needs is there already, and nothing is asked back before the training has ended.

    Parameters
    ----------
    network, plan, generator
        As in :func:`fit`.
    section_of
        Gives section 0, 1, ..., on the device of the network; ``sections_per_step`` of them make a step.
    share
        ``(n_genes,)`` share of each gene in all counts of the tissue; ``(s, n_genes)`` in those of each of its slices.
    after
        Called with the number of steps taken, after each.
    sections_per_step
        At least 1.
    processes
        Those that train this network; each of them calls this with the same arguments.

    Returns
    -------
    The history, as in :class:`Fitted`.
    """
    device = share.device
    optimiser = torch.optim.Adam(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=_fused(device)
    )
    seeds = generator.integers(2**63, size=sections_per_step)
    draws = [torch.Generator(device).manual_seed(int(seed)) for seed in seeds]
    exact = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs know no doubles
    history = torch.zeros(plan.epochs, len(TERMS), dtype=exact, device=device)
    observed: Observed | None = None
    for epoch in range(plan.epochs):
        network.train()
        optimiser.zero_grad(set_to_none=processes.size == 1)
        for number in processes.mine(sections_per_step):
            section = section_of(epoch * sections_per_step + number)
            if observed is None or observed.section is not section:
                observed = Observed(section, device)
            terms = _terms(network, observed, plan, share=share, draw=draws[number]) / sections_per_step
            total = terms.sum()
            total.backward()  # type: ignore[no-untyped-call]
            history[epoch] += torch.cat([total.detach()[None], terms.detach()])
        for parameter in network.parameters() if processes.size > 1 else ():
            if parameter.grad is None:  # this process had no section in the step
                parameter.grad = torch.zeros_like(parameter)
            processes.add_up(parameter.grad)
        optimiser.step()
        after(epoch + 1)
    processes.add_up(history)
    told = history.cpu().numpy().astype(np.float64)
    check_finite(history[-1], int(np.isfinite(told).all(axis=1).sum()))
    return {term: told[:, column].copy() for column, term in enumerate(TERMS)}


def _terms(network: SemSTNetwork, observed: Observed, plan: Plan, *, share: Tensor, draw: torch.Generator) -> Tensor:
    """Weighted terms of the loss on a section, ``(3,)``: reconstruction, spatial, DICR."""
    section, device = observed.section, share.device
    with mixed_precision(device):
        encoding = network.encode(section)
    latent, first, second = (
        each.float() for each in (encoding.latent, encoding.spatial_view, encoding.expression_view)
    )
    spots = _sample(section.n_spots, plan.spots_per_step, draw)
    genes = _sample(share.shape[-1], plan.genes_per_step, draw)
    neighbours = section.neighbours
    if 0 < plan.pairs_per_spot * section.n_spots < neighbours.shape[1]:
        some = (plan.pairs_per_spot * section.n_spots,)
        neighbours = neighbours[:, torch.randint(neighbours.shape[1], some, generator=draw, device=device)]
    strangers = torch.randint(section.n_spots, (2, neighbours.shape[1]), generator=draw, device=device)
    reconstruction = network.decoder(
        latent[spots],
        observed.counts(spots, genes),
        observed.library[spots],
        share if section.slices is None else share[section.slices[spots]],
        genes,
    )
    return torch.stack(
        [
            plan.reconstruction_weight * reconstruction,
            plan.spatial_weight * spatial_contrastive(latent, neighbours, strangers),
            plan.dicr_weight * dicr(first, second),
        ]
    )


def check_finite(values: Tensor, epochs: int) -> None:
    """Refuse what is not finite after so many epochs.

    Raises
    ------
    FloatingPointError
        If anything is not.
    """
    if not torch.isfinite(values).all():
        message = (
            f"training is no longer finite after {epochs} epochs; look for extreme values in counts and semantics, or "
            "lower the learning rate of the plan, where you have one."
        )
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


def _sample(size: int, wanted: int, draw: torch.Generator) -> Tensor:
    """Draw indices without replacement, all of them in order where all are wanted, on the device of the generator."""
    if wanted == 0 or wanted >= size:
        return torch.arange(size, device=draw.device)
    return torch.randperm(size, generator=draw, device=draw.device)[:wanted]
