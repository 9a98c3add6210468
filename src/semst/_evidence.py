"""What the numbers that :func:`semst.tl.query` leaves allow to say, alike in the log and above a picture."""

from __future__ import annotations

# The usual bound; and one above which a fifth of all draws of random genes have as much of a pattern in common.
WEAK, ABSENT = 0.05, 0.2
# Cosine with the nearest term. All 36 different queries of benchmarks/queries lie above it, most nonsense below, and
# so do some terms of biology that the vocabulary lacks, such as "villus tip": reason to look twice, not to refuse.
FAR = 0.45


def pattern_words(p_value: float) -> str:
    """Say what a p-value of the pattern that genes share allows to say; "" for none, which a single gene has.

    Examples
    --------
    >>> pattern_words(0.004), pattern_words(0.055), pattern_words(0.31), pattern_words(float("nan"))
    ('p = 0.004', 'weak pattern, p = 0.055', 'no pattern beyond chance, p = 0.31', '')
    """
    if p_value > ABSENT:
        return f"no pattern beyond chance, p = {p_value:.2g}"
    if p_value > WEAK:
        return f"weak pattern, p = {p_value:.2g}"
    return f"p = {p_value:.2g}" if p_value == p_value else ""  # NaN differs from itself


def is_far(nearness: float) -> bool:
    """Tell whether words are far from all terms that semst knows; NaN, where nobody knows, is not."""
    return nearness < FAR
