from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semst.nn import SemSTNetwork
    from semst.training._modulated import Modulated


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
        What FSM did in all networks together; None without semantics, and above 10 000 spots, where it is not kept.
    networks
        One for each view, as training left it.
    """

    latents: list[NDArray[np.float32]]
    latent: NDArray[np.float32]
    history: dict[str, NDArray[np.float64]]
    modulated: Modulated | None = None
    networks: tuple[SemSTNetwork, ...] = ()
