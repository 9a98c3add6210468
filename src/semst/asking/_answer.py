"""How much of what was asked each spot shows, against genes drawn at random among those of like expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from semst.asking._relative import permuted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.asking._relative import RelativeExpression

_CHUNK = 1000  # spots whose null scores are in memory at a time: few enough for the cache
_ROUNDING = 1e-5  # a draw that deals the weights as they were is a tie, whatever rounding makes of it


@dataclass(frozen=True)
class Answer:
    """The answer to one query.

    Parameters
    ----------
    score
        ``(n,)`` float32: in standard deviations of the null; 0 is what genes drawn at random give in the mean.
    p_value
        ``(n,)`` float32 in (0, 1]: how often genes drawn at random score as high in the spot.
    coherence
        In (0, 1]: how often genes drawn at random have as much of a pattern in common.
    contribution
        ``(g,)`` float64 in [0, 1]: share of each gene in the pattern, among those that are asked for and go with it;
        the sum over genes is 1.
    """

    score: NDArray[np.float32]
    p_value: NDArray[np.float32]
    coherence: float
    contribution: NDArray[np.float64]


def answer(
    expression: RelativeExpression, weights: NDArray[np.float64], *, n_permutations: int, random_state: int
) -> Answer:
    r"""Score spots by the pattern that the weighted genes share.

    Text alone picks many genes that fit the words and do nothing in this tissue. What fits the words *and* goes
    together is found by one step along the covariance of genes: with :math:`S` the relative expression
    (:class:`~semst.asking._relative.RelativeExpression`), :math:`C = S^\top S / n` and weights :math:`w` centred among
    genes of like expression,

    .. math:: y = S C w,

    so that a gene counts in the end as much as it varies together with all that the words mean. The null deals the
    weights anew among genes of like expression and does everything else alike.

    Parameters
    ----------
    expression
        Of the tissue.
    weights
        ``(g,)``, not centred.
    n_permutations
        Draws of the null, at least 1.
    random_state
        Their seed.
    """
    covariance = expression.covariance()
    generator = np.random.default_rng(random_state)
    centred = expression.centre(weights)
    drawn = expression.loadings @ permuted(centred, expression.bins, n=n_permutations, generator=generator)
    asked = expression.loadings @ centred
    along, null = covariance @ asked, covariance @ drawn
    together = (1 - _ROUNDING) * (asked @ along)
    coherence = (1 + np.sum((drawn * null).sum(axis=0) >= together)) / (1 + n_permutations)
    # Mean square of all null scores, by the covariance of the components.
    scale = np.sqrt((null * (covariance @ null)).sum(axis=0).mean())
    slack = np.float32(_ROUNDING * scale)
    n = len(expression.scores)
    score, reached = np.empty(n, dtype=np.float32), np.empty(n)
    along_all = np.column_stack([along, null]).astype(np.float32)
    with threadpool_limits(1):  # many small products: threads inside each would wait longer than they work
        for start in range(0, n, _CHUNK):
            rows = slice(start, start + _CHUNK)
            scores = expression.scores[rows] @ along_all
            score[rows] = scores[:, 0]
            # Ones of one byte, summed: several times as fast as counting along an axis.
            as_high = scores[:, 1:] >= scores[:, :1] - slack
            reached[rows] = as_high.view(np.uint8).sum(axis=1, dtype=np.uint32)
    # Genes that are not asked for and go against the pattern fit as well, but nobody would call them its genes.
    shared = np.maximum(centred, 0) * np.maximum(expression.loadings.T @ along, 0)
    total = shared.sum()
    return Answer(
        score=score / np.float32(scale if scale > 0 else 1),
        p_value=((1 + reached) / (1 + n_permutations)).astype(np.float32),
        coherence=float(coherence),
        contribution=shared / (total if total > 0 else 1),
    )
