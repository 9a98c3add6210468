"""Colours that stay apart, for readers with and without a colour vision deficiency."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

logger = logging.getLogger("semst")

PALETTE = (
    *("#3448af", "#98b319", "#910534", "#0bbef5", "#c34d10", "#9164d3", "#267f70", "#db88a2"),
    *("#988b69", "#620054", "#e6cd68", "#dd4ba1", "#717742", "#8bcd99", "#c37832", "#4a93fe"),
    *("#c5a073", "#574966", "#83533a", "#996987", "#879ece", "#2024a7", "#6949d2", "#448bb9"),
    *("#034e21", "#9b4ea2", "#b971e2", "#312975", "#f5a663", "#79368d"),
)
"""Thirty colours, found by annealing the smallest distance in OKLab between any two of them as seen with normal vision,
protanopia, deuteranopia and tritanopia. The first eight were placed first, and the others follow by how far they are
from all before them. In CIEDE2000, of which 2.3 is just noticeable, any two of the first eight differ by 18 with normal
vision and by 12.9 with any, of the first sixteen by 13 and 7.4, of all thirty by 8.1 and 4.8: beyond sixteen some look
alike at a glance. The order keeps neighbours in the list 11 apart with any vision, because layers of a tissue are often
numbered in their order."""

UNLABELLED = "#d9d9d9"

# Linear RGB to cone responses, and their cube roots to lightness and two opponent axes (B. Ottosson, OKLab, 2020).
_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Two fills side by side this far apart in OKLab are told apart at a glance.
_CLEARLY_APART = 0.12


def oklab(colors: Sequence[str]) -> NDArray[np.float64]:
    """Place colours in OKLab, where Euclidean distance is close to perceived difference.

    Parameters
    ----------
    colors
        Anything that matplotlib takes for a colour.

    Returns
    -------
    ``(n_colors, 3)`` float64: lightness, green-red, blue-yellow.
    """
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(color) for color in colors]).reshape(-1, 3)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T)


def pick_distinct(n: int, *, taken: Sequence[str] = (), pool: Sequence[str] = PALETTE) -> list[str]:
    """Pick colours that differ from those in use and from each other.

    Parameters
    ----------
    n
        How many, at least 0.
    taken
        Colours in use already.
    pool
        Colours to choose from, most wanted first.

    Returns
    -------
    ``n`` colours of the pool. The first that is clearly apart from all in use goes first; where none is, the farthest.
    A pool that is used up is gone through again, with a warning in the log.

    Examples
    --------
    >>> pick_distinct(2)
    ['#3448af', '#98b319']
    >>> pick_distinct(1, taken=["#3448af"])
    ['#98b319']
    """
    if not taken and n <= len(pool):
        return list(pool[:n])
    free = [color for color in pool if color not in set(taken)]
    in_use = list(taken)
    picked: list[str] = []
    while len(picked) < n:
        if not free:
            logger.warning("More categories than colours (%d): colours repeat; pass `palette`.", len(pool))
            free, in_use = list(pool), []
        color = free[0]
        if in_use:
            gaps = np.linalg.norm(oklab(free)[:, None] - oklab(in_use)[None], axis=2).min(axis=1)
            apart = np.flatnonzero(gaps >= _CLEARLY_APART)
            color = free[int(apart[0] if apart.size else gaps.argmax())]
        free.remove(color)
        in_use.append(color)
        picked.append(color)
    return picked
