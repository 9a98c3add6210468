"""What a user should know of an answer before looking at the map."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from semst._evidence import ABSENT, WEAK, is_far
from semst._problems import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semst.asking._questions import Weighed
    from semst.asking._relative import RelativeExpression
    from semst.asking._results import Result

logger = logging.getLogger("semst")

_ROUNDING = 1e-9  # share of the largest weight


def warn(result: Result, expression: RelativeExpression, gene_names: Sequence[str]) -> None:
    """Log all there is to say."""
    empty = _is_empty(result.weighed, expression)
    _warn_of_genes(result.weighed, expression, gene_names, empty=empty)
    _warn_of_evidence(result, empty=empty)


def _warn_of_genes(weighed: Weighed, expression: RelativeExpression, gene_names: Sequence[str], *, empty: bool) -> None:
    """Name the genes that were asked for and left out, and say why nothing is left, where that is so."""
    question = weighed.question
    if question.text and question.missing:
        told = "query: %r is a gene that var_names does not have; it is read as words, which is something else."
        logger.warning(told, question.text)
    elif question.missing:
        told = "query: %r leaves out genes that are not in var_names: %s."
        logger.warning(told, question.called, listed(question.missing))
    if question.respelt:
        told = "query: %r is read as the gene %s; if it is meant as a word, say it in several."
        logger.warning(told, question.respelt, gene_names[question.genes[0]])
    used = set(expression.used.tolist())
    idle = listed([gene_names[gene] for gene in question.genes if gene not in used])
    left = [gene_names[gene] for gene in question.genes if gene in used]
    if not empty:
        if len(left) < len(question.genes):
            told = "query: %r leaves out genes that do not vary from spot to spot: %s."
            logger.warning(told, question.called, idle)
        return
    if question.text:
        why = "no gene fits the words better than others of like expression"
    elif not left:
        why = f"what it asks for does not vary from spot to spot ({idle})"
    else:
        why = f"all genes of like expression were asked for, and none is left to compare with ({listed(left)})"
    logger.warning("query: the map of %r is empty (score 0 and p-value 1 everywhere): %s.", question.called, why)


def _is_empty(weighed: Weighed, expression: RelativeExpression) -> bool:
    """Tell whether all genes of like expression weigh the same, up to rounding."""
    highest = np.abs(weighed.weights).max()
    return bool(np.abs(expression.centre(weighed.weights)).max() <= _ROUNDING * highest)


def _warn_of_evidence(result: Result, *, empty: bool) -> None:
    """Say where the words are far from all that is known, and where there is no pattern."""
    weighed, found = result.weighed, result.found
    text = weighed.question.text
    if is_far(weighed.nearness):
        logger.warning(
            "query: %r is far from all terms of biology that semst knows (nearest: %r), so its map may mean nothing; "
            "say it in other words, or ask for genes by name.",
            text,
            weighed.read_as[0],
        )
    if empty or not result.pattern or found.coherence <= WEAK:
        return
    told = (
        "query: the genes of %r have no more of a pattern in common in this tissue than genes drawn at random "
        "(p = %.2g); do not read its map."
        if found.coherence > ABSENT
        else "query: the genes of %r have only a weak pattern in common in this tissue (p = %.2g); look at the genes "
        "before its map."
    )
    logger.warning(told, text or weighed.question.name, found.coherence)
