"""Above a certain size nothing is fitted on all spots: what is fitted sees a sample, and is then applied to all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ENOUGH = 5_000  # spots; whatever is estimated from so many hardly changes with more


def is_large(n_spots: int) -> bool:
    """Tell whether a tissue has more spots than are fitted at once."""
    return n_spots > ENOUGH


def sample(n_spots: int, random_state: int) -> NDArray[np.int64]:
    """Choose the spots on which something is fitted: all, or a random 5000 where there are more; sorted."""
    if not is_large(n_spots):
        return np.arange(n_spots)
    return np.sort(np.random.default_rng(random_state).choice(n_spots, ENOUGH, replace=False))


def chunks(n_spots: int) -> Iterator[slice]:
    """Walk through all spots, so many at a time as a small tissue has."""
    for start in range(0, n_spots, ENOUGH):
        yield slice(start, min(start + ENOUGH, n_spots))
