from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from semst.nn._fsm import FSM

_CHUNK = 16_384  # spots; bounds the memory for gradients and changes nothing else


@dataclass(frozen=True)
class Modulation:
    """What an FSM does to the features of each spot, beyond what it does to all spots alike.

    Parameters
    ----------
    alpha, beta, size
        ``(n,)`` float32, at least 0: size of the factor, of the shift, and of both together, relative to the size of
        the features.
    gradient
        ``(n, semantic_features)`` float32: derivative of each spot's ``size ** 2`` by its semantics.
    constant_alpha, constant_beta
        Size of the part that all spots have in common, at least 0.
    """

    alpha: Tensor
    beta: Tensor
    size: Tensor
    gradient: Tensor
    constant_alpha: float
    constant_beta: float


def modulation(fsm: FSM, z: Tensor, s: Tensor) -> Modulation:
    r"""Measure how strongly an FSM modulates each spot.

    Parameters
    ----------
    fsm
        Trained; it is left as it is.
    z
        ``(n, in_features)`` features that are modulated.
    s
        ``(n, semantic_features)`` semantics, on the device of ``z``.

    Returns
    -------
    Sizes and gradients, without a graph, on the device of ``z``.

    Notes
    -----
    An FSM also learns a factor and a shift that are the same for every spot, for which no semantics are needed. Only
    what goes beyond them is counted. With the means :math:`\bar\alpha_j`, :math:`\bar\beta_j` over spots and the mean
    square :math:`q_j = n^{-1} \sum_i z_{ij}^2` of each feature,

    .. math::

        a_i^2 = \frac{\sum_j (\alpha_{ij} - \bar\alpha_j)^2 q_j}{\sum_j q_j}, \qquad
        b_i^2 = \frac{\sum_j (\beta_{ij} - \bar\beta_j)^2}{\sum_j q_j}, \qquad
        m_i^2 = \frac{\sum_j \left((\alpha_{ij} - \bar\alpha_j) z_{ij} + \beta_{ij} - \bar\beta_j\right)^2}{\sum_j q_j}

    so that :math:`a_i = 0.1` scales the features of a typical spot by a tenth, and :math:`b_i = 0.1` shifts them by a
    tenth of their size. The parts in common are :math:`\sum_j \bar\alpha_j^2 q_j / \sum_j q_j` and
    :math:`\sum_j \bar\beta_j^2 / \sum_j q_j`, under the root. In the gradient of :math:`m_i^2` the means are constants.

    Examples
    --------
    >>> import torch
    >>> from semst.nn import FSM
    >>> fsm = FSM(4, 3)
    >>> modulation(fsm, torch.rand(5, 4), torch.rand(5, 3)).alpha  # an untrained FSM does nothing
    tensor([0., 0., 0., 0., 0.])
    """
    z, s = z.detach(), s.detach()
    with torch.no_grad():
        squares = z.square().mean(dim=0)
        total = squares.sum().clamp_min(torch.finfo(z.dtype).tiny)
        mean_alpha, mean_beta = z.new_zeros(2, z.shape[1])
        for rows in _chunks(z.shape[0]):
            alpha, beta = fsm.coefficients(s[rows])
            mean_alpha += alpha.sum(dim=0) / z.shape[0]
            mean_beta += beta.sum(dim=0) / z.shape[0]
    parts = []
    for rows in _chunks(z.shape[0]):
        meaning = s[rows].clone().requires_grad_()
        alpha, beta = fsm.coefficients(meaning)
        alpha, beta = alpha - mean_alpha, beta - mean_beta
        squared = (alpha * z[rows] + beta).square().sum(dim=1) / total
        (gradient,) = torch.autograd.grad(squared.sum(), meaning)
        sizes = (alpha.detach().square() @ squares / total, beta.detach().square().sum(dim=1) / total, squared.detach())
        parts.append((*(each.sqrt() for each in sizes), gradient))
    alphas, betas, both_sizes, gradients = (torch.cat(each) for each in zip(*parts, strict=True))
    return Modulation(
        alphas,
        betas,
        both_sizes,
        gradients,
        constant_alpha=float((mean_alpha.square() @ squares / total).sqrt()),
        constant_beta=float((mean_beta.square().sum() / total).sqrt()),
    )


def _chunks(n: int) -> Iterator[slice]:
    yield from (slice(start, start + _CHUNK) for start in range(0, n, _CHUNK))
