"""What FSM does in the networks of a run, taken up as they are trained."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from semst.nn._modulation import Modulation, modulation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.nn import Section, SemSTNetwork
    from semst.nn._network import Encoding
    from semst.nn._processes import Processes


@dataclass(frozen=True)
class Modulated:
    """The modulation of all networks together.

    Parameters
    ----------
    alpha, beta, size
        ``(n,)`` float32: root mean square over views of what :func:`semst.nn._modulation.modulation` measures.
    constant_alpha, constant_beta
        The same for the part that all spots have in common.
    gradients
        By number of rings, ``(n, m)`` float32: derivative of ``size ** 2`` by the semantics that the views with so many
        rings read.
    """

    alpha: NDArray[np.float32]
    beta: NDArray[np.float32]
    size: NDArray[np.float32]
    constant_alpha: float
    constant_beta: float
    gradients: dict[int, NDArray[np.float32]]


def seen_in(network: SemSTNetwork, section: Section, encoding: Encoding) -> Modulation | None:
    """Look at what the FSM of a network does to what its branches gave; None without semantics."""
    if network.fsm is None or section.semantics is None:
        return None
    both = torch.cat([encoding.spatial_view, encoding.expression_view], dim=1)
    return modulation(network.fsm, both, section.semantics)


class InTiles:
    """Takes up what one network does in the tiles of a tissue.

    The part that all spots have in common is told from the spots of a tile, which come from all over the tissue.

    Parameters
    ----------
    n_spots
        Of the whole tissue.
    n_features
        Semantic features.
    """

    def __init__(self, n_spots: int, n_features: int) -> None:
        self._sizes, self._gradient = torch.zeros(n_spots, 3), torch.zeros(n_spots, n_features)
        self._constants = torch.zeros(2)

    def add(self, spots: NDArray[np.int64], seen: Modulation) -> None:
        """Take up a tile."""
        self._sizes[spots] = torch.stack([seen.alpha, seen.beta, seen.size], dim=1).cpu()
        self._gradient[spots] = seen.gradient.cpu()
        squares = torch.tensor([seen.constant_alpha, seen.constant_beta]).square()
        self._constants += squares * len(spots) / len(self._sizes)

    def whole(self, processes: Processes) -> Modulation:
        """Give what the network does in the tiles that all processes took up."""
        for values in (self._sizes, self._gradient, self._constants):
            processes.add_up(values)
        alpha, beta, size = self._sizes.unbind(dim=1)
        constant_alpha, constant_beta = self._constants.sqrt().tolist()
        return Modulation(alpha, beta, size, self._gradient, constant_alpha, constant_beta)


@dataclass
class Collected:
    """Takes up the modulation of one network after the other, and keeps none of them."""

    views: int = 0
    squares: dict[str, Any] = field(default_factory=lambda: defaultdict(float))
    gradients: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def add(self, seen: Modulation, *, rings: int) -> None:
        """Take up what a network with so many rings does."""
        self.views += 1
        for name in ("alpha", "beta", "size"):
            self.squares[name] = self.squares[name] + np.square(getattr(seen, name).cpu().numpy(), dtype=np.float64)
        for name in ("constant_alpha", "constant_beta"):
            self.squares[name] += getattr(seen, name) ** 2
        gradient = seen.gradient.float().cpu().numpy()
        if rings in self.gradients:
            self.gradients[rings] += gradient
        else:
            self.gradients[rings] = gradient.copy()

    def mean(self) -> Modulated | None:
        """Give the mean over networks; None where none has semantics."""
        if not self.views:
            return None
        roots: dict[str, Any] = {name: np.sqrt(square / self.views) for name, square in self.squares.items()}
        return Modulated(
            **{name: roots[name].astype(np.float32) for name in ("alpha", "beta", "size")},
            constant_alpha=float(roots["constant_alpha"]),
            constant_beta=float(roots["constant_beta"]),
            gradients={rings: gradient / np.float32(self.views) for rings, gradient in self.gradients.items()},
        )
