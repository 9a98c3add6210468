"""The genes behind the modulation of each domain, in cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semst._keys import IN_MODULATION
from semst.pl._palette import PALETTE
from semst.semantics._shown import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from semst.pl._read_modulation import Modulated

_MORE, _LESS = PALETTE[4], PALETTE[0]  # of a gene than elsewhere


def n_shown(found: Modulated, n_genes: int) -> int:
    """How many genes each domain is shown with; none where they cannot be told."""
    genes = found.stored.get(IN_MODULATION.genes)
    return 0 if genes is None else min(n_genes, np.shape(genes)[1])


def draw_genes(ax: Axes, found: Modulated, n_genes: int) -> None:
    """Name genes in cells, the deeper in colour the more goes with them."""
    ax.set_title("genes behind it")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if IN_MODULATION.genes not in found.stored:
        reason = str(found.stored.get(IN_MODULATION.why_no_genes, "no genes are stored"))
        ax.text(0.5, 0.5, f"Genes cannot be told:\n{reason}.", wrap=True, **_middle(), transform=ax.transAxes)
        return
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch, Rectangle

    stored = (IN_MODULATION.genes, IN_MODULATION.influence, IN_MODULATION.relative_share)
    genes, influence, share = (np.asarray(found.stored[each]) for each in stored)
    shown_of_each = n_shown(found, n_genes)
    strongest = max(float(np.abs(influence[found.rows, :shown_of_each]).max(initial=0)), 1e-12)
    scales = [LinearSegmentedColormap.from_list("", ["white", color]) for color in (_LESS, _MORE)]
    for place, row in enumerate(found.rows):
        named = shown(genes[row, :shown_of_each])
        for number in range(shown_of_each):
            told = float(influence[row, number])
            fill = scales[int(share[row, number] >= 1)](0.06 + 0.94 * abs(told) / strongest)
            ink = "white" if np.dot(fill[:3], (0.299, 0.587, 0.114)) < 0.5 else "black"
            ax.add_patch(Rectangle((number + 0.03, place - 0.44), 0.94, 0.88, facecolor=fill, linewidth=0))
            label = ax.text(number + 0.5, place - 0.13, named[number], **_middle(), color=ink)
            label.set_fontsize(float(np.clip(76 / max(len(label.get_text()), 1), 5.5, 9.0)))
            percent = _percent(told)
            ax.text(number + 0.5, place + 0.22, percent, **_middle(), color=ink, fontsize="x-small")
    ax.set_xlim(0, shown_of_each)
    ax.set_ylim(len(found.names) - 0.4, -0.6)
    ax.legend(
        [Patch(facecolor=_MORE), Patch(facecolor=_LESS)],
        ["more of the gene here than elsewhere", "less of it"],
        title="share of the modulation that goes, to first order,\nwhen the gene's vector becomes the mean gene's;\n"
        "shares overlap and need not add up to 100 %",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=2,
        frameon=False,
        fontsize="small",
        title_fontsize="small",
        handlelength=1.0,
    )


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:{'.0f' if abs(percent) >= 10 else '.2g'}} %".replace("-", "−")


def _middle() -> dict[str, Any]:
    return {"horizontalalignment": "center", "verticalalignment": "center"}
