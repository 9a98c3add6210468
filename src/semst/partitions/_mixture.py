"""Gaussian mixture with one covariance for all groups, by expectation maximisation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import solve

from semst.partitions._rule import Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOLERANCE = 1e-3  # gain in mean log-likelihood of a point below which the fit ends
_MOST_STEPS = 100
_FEW = 10 * np.finfo(np.float64).eps  # points that a group has at the least, so that none is divided by zero


def fit_mixture(points: NDArray[np.float32], n_clusters: int, *, random_state: int) -> Rule:
    r"""Fit the mixture, from k-means, and give the rule by which it assigns points.

    With one covariance the posterior of group :math:`k` is, up to what all groups share, linear in the point,

    .. math::

        \log p(k \mid x) = x^\top \Sigma^{-1} \mu_k - \tfrac12 \mu_k^\top \Sigma^{-1} \mu_k + \log \pi_k + \ldots

    and the covariance follows from the second moment of all points, which is computed once. A step then costs two thin
    products. scikit-learn's ``GaussianMixture(covariance_type="tied")`` fits the same model by the same steps from the
    same start, but multiplies all points by the root of the covariance for each group in each step, which made the
    mixtures of a run the slowest part of its partitions.

    Parameters
    ----------
    points
        ``(n, d)``.
    n_clusters
        Groups, at most ``n``.
    random_state
        Seed of k-means.

    Raises
    ------
    ValueError
        If there are fewer points than groups.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the fit has not ended after 100 steps.

    References
    ----------
    Dempster, Laird & Rubin, *Journal of the Royal Statistical Society B* 39, 1977; Scrucca et al., *The R Journal* 8,
    2016 (model EEE).
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    start = KMeans(n_clusters, n_init=1, random_state=random_state).fit(points).labels_
    middle = points.mean(axis=0, dtype=np.float64)
    x = points - middle
    moment = x.T @ x / len(x)
    # Keeps the covariance invertible, at a millionth of the mean variance whatever the scale.
    ridge = max(1e-6 * float(np.diag(moment).mean()), 1e-12) * np.eye(len(moment))
    told = _maximise(np.eye(n_clusters)[start].T, x, moment, ridge)
    before = -np.inf
    for _ in range(_MOST_STEPS):
        score = told.weights.T @ x.T + told.offsets[:, None]
        highest = score.max(axis=0)
        member = np.exp(score - highest)
        total = member.sum(axis=0)
        likelihood = float((highest + np.log(total)).mean()) - told.shared
        told = _maximise(member / total, x, moment, ridge)
        if abs(likelihood - before) < _TOLERANCE:
            break
        before = likelihood
    else:
        warnings.warn(f"a mixture still moves after {_MOST_STEPS} steps.", ConvergenceWarning, stacklevel=2)
    return Rule(told.weights, told.offsets - middle @ told.weights)


class _Told(NamedTuple):
    """The rule for centred points, and what the mean log-likelihood lacks beside it, up to a constant."""

    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    shared: float


def _maximise(
    member: NDArray[np.float64], x: NDArray[np.float64], moment: NDArray[np.float64], ridge: NDArray[np.float64]
) -> _Told:
    """Find the likeliest mixture for points ``(n, d)`` that belong to groups ``(k, n)`` in part."""
    size = member.sum(axis=1) + _FEW
    means = member @ x / size[:, None]
    share = size / size.sum()
    covariance = moment - (share * means.T) @ means + ridge
    solved = solve(covariance, np.hstack([means.T, moment]), assume_a="pos")
    weights = solved[:, : len(means)]
    offsets = np.log(share) - np.einsum("kd,dk->k", means, weights) / 2
    # The mean of x' S^-1 x over all points is the trace of S^-1 times their second moment.
    shared = (np.trace(solved[:, len(means) :]) + np.linalg.slogdet(covariance)[1]) / 2
    return _Told(weights, offsets, float(shared))
