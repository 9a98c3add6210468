"""Which domain a latent speaks for, and how usual it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRID = 201  # quantiles of the distances that are kept


@dataclass(frozen=True)
class Discriminant:
    r"""A linear discriminant of one latent: a mean for each domain, one covariance for all.

    Parameters
    ----------
    axes
        ``(d, c)`` float64: leading principal axes of the training tissue's latent, turned and scaled so that the
        covariance inside domains is the identity.
    means
        ``(k, c)`` float64 of the domains, so turned.
    distances
        ``(k, 201)`` float64: quantiles of the squared distances of a domain's training spots from its mean.
    """

    axes: NDArray[np.float64]
    means: NDArray[np.float64]
    distances: NDArray[np.float64]

    @classmethod
    def fit(cls, latent: NDArray[np.float32], numbers: NDArray[np.int64], width: int) -> Discriminant:
        """Fit to a latent ``(n, d)`` and domains ``(n,)`` from 1, each with a spot; ``width`` components, 0 for all."""
        points = latent.astype(np.float64)
        centred = points - points.mean(axis=0)
        axes = np.eye(points.shape[1])
        if width:
            axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :width]
        scores = points @ axes
        means = np.stack([scores[numbers == one].mean(axis=0) for one in range(1, int(numbers.max()) + 1)])
        inside = scores - means[numbers - 1]
        values, vectors = np.linalg.eigh(inside.T @ inside / max(len(points) - len(means), 1))
        floor = max(1e-6 * float(values.mean()), 1e-12)  # as the mixtures: a direction that never varies stays finite
        turn = vectors / np.sqrt(np.maximum(values, floor))
        squared = np.square(inside @ turn).sum(axis=1)
        distances = np.stack([quantiles(squared[numbers == one]) for one in range(1, len(means) + 1)])
        return cls(axes @ turn, means @ turn, distances)

    def squared_distances(self, latent: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mahalanobis distances of points ``(n, d)`` from the domains, squared: ``(n, k)``."""
        points = latent.astype(np.float64) @ self.axes
        cross = points @ self.means.T
        total: NDArray[np.float64] = (
            np.square(points).sum(axis=1)[:, None] - 2 * cross + np.square(self.means).sum(axis=1)
        )
        return np.maximum(total, 0)

    def typicality(self, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of a domain's training spots that lie at least as far from its mean: ``(n, k)`` in [0, 1]."""
        return np.stack([share_beyond(squared[:, one], each) for one, each in enumerate(self.distances)], axis=1)


def quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles ``(201,)`` that stand for the distribution of values."""
    return np.quantile(values, np.linspace(0, 1, _GRID))


def share_beyond(values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a distribution, given by its :func:`quantiles`, that lies above each value."""
    share: NDArray[np.float64] = 1 - np.interp(values, known, np.linspace(0, 1, known.size))
    # A single spot has a distribution without width, which interpolation does not know what to do with.
    return np.where(values <= known[0], 1.0, share)


def posterior(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Posterior of each domain by squared distances ``(n, k)``; every domain is as likely beforehand as every other."""
    weight = np.exp((squared.min(axis=1, keepdims=True) - squared) / 2)
    share: NDArray[np.float64] = weight / weight.sum(axis=1, keepdims=True)
    return share
