"""The terms of the loss, as pure functions of tensors. None of them builds anything n x n."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def nb_negative_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    r"""Negative log-likelihood of counts under a negative binomial, one value per entry.

    .. math::

        -\log \mathrm{NB}(x; \mu, \theta) = \log\frac{\Gamma(\theta)\,\Gamma(x+1)}{\Gamma(x+\theta)}
        - \theta \log\frac{\theta}{\theta+\mu} - x \log\frac{\mu}{\theta+\mu}

    At :math:`x = 0` only :math:`\theta \log\frac{\theta + \mu}{\theta}` remains, so the log-gamma functions are
    evaluated at the non-zero entries alone: 10-20 % of the work on ordinary tissue.

    Parameters
    ----------
    counts
        ``(n, g)`` whole numbers, at least 0.
    mean, dispersion
        ``(n, g)`` :math:`\mu` and :math:`\theta`, above 0; ``dispersion`` may be ``(g,)``.

    Returns
    -------
    ``(n, g)``, at least 0 up to rounding.
    """
    dispersion = dispersion.expand_as(mean)
    loss = dispersion * torch.log1p(mean / dispersion)
    seen = torch.nonzero(counts.flatten() > 0).squeeze(1)  # looked for once: a mask would be searched by each use
    x, mu, theta = (each.flatten().index_select(0, seen) for each in (counts, mean, dispersion))
    extra = (
        torch.lgamma(theta)
        + torch.lgamma(x + 1)
        - torch.lgamma(x + theta)
        + x * (torch.log(theta + mu) - torch.log(mu))
    )
    return loss.flatten().index_add(0, seen, extra).view_as(loss)


def zinb_negative_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor, dropout_logit: Tensor) -> Tensor:
    r"""Negative log-likelihood under a zero-inflated negative binomial, one value per entry.

    .. math::

        -\log\left(\pi\,[x = 0] + (1 - \pi)\,\mathrm{NB}(x; \mu, \theta)\right), \qquad
        \pi = \sigma(\mathrm{dropout\_logit})

    computed from the logit, so that it neither overflows nor needs a small constant.

    Parameters
    ----------
    counts, mean, dispersion
        As in :func:`nb_negative_log_likelihood`.
    dropout_logit
        ``(n, g)`` logit of :math:`\pi`, the probability of a zero that is no count.

    Returns
    -------
    ``(n, g)``, at least 0 up to rounding.
    """
    nb = nb_negative_log_likelihood(counts, mean, dispersion)
    log_one_minus_pi = -functional.softplus(dropout_logit)
    at_zero = -(torch.logaddexp(dropout_logit, -nb) + log_one_minus_pi)
    return torch.where(counts > 0, nb - log_one_minus_pi, at_zero)


def dropout_ridge(dropout_logit: Tensor) -> Tensor:
    r"""Mean of :math:`\pi^2`: keeps the model from explaining every zero as a dropout (weight 0.05 in the paper).

    Parameters
    ----------
    dropout_logit
        ``(n, g)`` logit of :math:`\pi`.

    Returns
    -------
    Scalar in (0, 1).
    """
    return torch.sigmoid(dropout_logit).square().mean()


def spatial_contrastive(latent: Tensor, neighbours: Tensor, strangers: Tensor) -> Tensor:
    r"""Neighbours in the tissue should be alike, strangers not.

    With :math:`p_{ij} = \sigma(\cos(z_i, z_j))`,

    .. math::

        -\tfrac{1}{2}\left(\operatorname{mean}_{(i,j) \in E} \log p_{ij}
        + \operatorname{mean}_{(i,j) \in S} \log (1 - p_{ij})\right)

    The paper sums over all pairs that are not neighbours; here ``S`` is a random sample of pairs, drawn anew each step,
    which makes the cost linear in spots. A few of them are neighbours by chance: about one in ``n / degree``.

    Parameters
    ----------
    latent
        ``(n, d)``.
    neighbours, strangers
        ``(2, e)`` and ``(2, s)`` int64 index pairs; of none of a kind the mean is 0.

    Returns
    -------
    Scalar, at least 0.
    """
    unit = functional.normalize(latent, dim=1)

    def similarity(pairs: Tensor) -> Tensor:
        return (unit.index_select(0, pairs[0]) * unit.index_select(0, pairs[1])).sum(dim=1)

    def mean(values: Tensor) -> Tensor:
        return values.mean() if values.numel() else values.sum()

    pull = mean(functional.softplus(-similarity(neighbours)))
    push = mean(functional.softplus(similarity(strangers)))
    return 0.5 * (pull + push)


def dicr(first: Tensor, second: Tensor) -> Tensor:
    r"""Dual information correlation reduction: two views agree feature by feature and repeat nothing across features.

    The ``d x d`` cosine similarity :math:`C` between the columns of the two views is pulled to the identity:

    .. math::

        \frac{1}{d^2} \lVert C - I \rVert_F^2, \qquad C_{jk} = \cos(a_{\cdot j}, b_{\cdot k})

    Parameters
    ----------
    first, second
        ``(n, d)`` latents of the two graph branches.

    Returns
    -------
    Scalar, at least 0.
    """
    correlation = functional.normalize(first, dim=0).T @ functional.normalize(second, dim=0)
    target = torch.eye(correlation.shape[0], dtype=correlation.dtype, device=correlation.device)
    return (correlation - target).square().mean()


def gaussian_negative_log_likelihood(values: Tensor, mean: Tensor) -> Tensor:
    r"""Negative log-likelihood of continuous values under a Gaussian of unit variance, up to a constant.

    Parameters
    ----------
    values, mean
        ``(n, g)``.

    Returns
    -------
    ``(n, g)``: :math:`\tfrac12 (x - \mu)^2`.
    """
    return 0.5 * (values - mean).square()
