"""The text of a spot: its most expressed genes, as the SemST paper hands them to a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semst.pp._pool import top_entries
from semst.pp._published_scaling import scale_as_published

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy import sparse


INSTRUCTION = (
    "Describe the biological state of a cell so that cells of one spatial domain of a tissue can be told from others."
)
N_TOP = 10
_PUBLISHED_MIN_SPOTS = 100
_CHUNK = 4096


def default_min_spots(n_spots: int) -> int:
    """Give the published 100 spots, or a twentieth of a small tissue; at least 1.

    Examples
    --------
    >>> [default_min_spots(n) for n in (4000, 300, 5)]
    [100, 15, 1]
    """
    return max(1, min(_PUBLISHED_MIN_SPOTS, n_spots // 20))


def prompts(counts: sparse.csr_matrix, names: Sequence[str], *, n_top: int = N_TOP, min_spots: int = 1) -> list[str]:
    r"""Write one text for each spot.

    Parameters
    ----------
    counts
        ``(n_spots, n_genes)`` raw counts.
    names
        ``n_genes`` names, as the text shall give them.
    n_top
        Genes that a text names, the most expressed first, ties in the order of the genes.
    min_spots
        Genes seen in fewer spots are not named: after division by their tiny standard deviation they would always win.

    Returns
    -------
    ``n_spots`` texts. A spot that expresses no such gene is said to express ``none``.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> counts = sparse.csr_matrix(np.array([[3, 1, 0], [0, 1, 4]], dtype=np.float32))
    >>> [text.split("\n")[1] for text in prompts(counts, ["MBP", "ACTB", "SNAP25"])]
    ['Highly expressed genes: ACTB, MBP', 'Highly expressed genes: ACTB, SNAP25']

    ACTB comes first although it has fewer counts: it varies less, and values are in units of the standard deviation.
    """
    scaled = scale_as_published(counts, min_spots=min_spots)
    texts: list[str] = []
    for start in range(0, scaled.shape[0], _CHUNK):
        top = top_entries(scaled[start : start + _CHUNK], n_top)
        for first, last in zip(top.indptr[:-1], top.indptr[1:], strict=True):
            genes = ", ".join(names[gene] for gene in top.indices[first:last]) or "none"
            texts.append(f"{INSTRUCTION}\nHighly expressed genes: {genes}")
    return texts
