"""What networks read of each spot of a large tissue, computed for those that are asked for."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._sample import sample
from semst._slices import means_of_slices
from semst.pp._reader import reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from semst.nn import Likelihood
    from semst.pp._expression import Transform
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue


class LargeFeatures:
    """Features of a large tissue: those of a spot are computed once, whatever tiles and views ask for them.

    Parameters
    ----------
    tissue
        What is fitted sees a sample of its spots.
    transform
        How counts are stabilised.
    recipe
        Says how many components. Scaled genes, as published, are too wide to be kept and are computed each time.
    likelihood
        Of the networks.
    random_state
        Seed of the sample.
    """

    def __init__(
        self, tissue: Tissue, transform: Transform, recipe: Recipe, *, likelihood: Likelihood, random_state: int
    ) -> None:
        self._tissue, self._transform, self._n_components = tissue, transform, recipe.n_components
        self._likelihood, self._random_state = likelihood, random_state
        self._counts: Any = tissue.counts
        self._asking = Lock()  # views that are trained side by side ask for the same spots at the same time
        self._known = np.zeros(self._counts.shape[0], dtype=bool)
        self._values = np.empty((0, 0), dtype=np.float32)

    def of(self, spots: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the features of some spots, ``(len(spots), d)`` float32; of several slices centred in each."""
        with self._asking:
            if not self._n_components:
                return self._read(spots)
            missing = spots[~self._known[spots]]
            if missing.size:
                self._keep(missing, self._read(missing))
            return self._values[spots]

    def _keep(self, spots: NDArray[np.int64], found: NDArray[np.float32]) -> None:
        if not self._known.any():
            self._values = np.empty((self._known.size, found.shape[1]), dtype=np.float32)
        self._values[spots] = found
        self._known[spots] = True

    @cached_property
    def _read(self) -> Callable[[Any], NDArray[np.float32]]:
        """The way from spots to features, fitted when it is needed."""
        slices = self._tissue.slices
        chosen = sample(self._known.size, self._random_state)
        from_counts = reader(
            self._counts[chosen],
            self._tissue.genes,
            transform=self._transform,
            n_components=self._n_components,
            normalise=self._likelihood != "gaussian",
            random_state=self._random_state,
            slices=None if slices is None else slices[chosen],
        )
        if slices is None:
            return lambda spots: from_counts(self._counts[spots])
        # Over all spots: a sample may miss small slices.
        level = means_of_slices(lambda spots: from_counts(self._counts[spots]), slices)
        return lambda spots: from_counts(self._counts[spots]) - level[slices[spots]]
