"""What is drawn on: Axes of the user, or panels of a new figure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._problems import Problems, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_GAP = 0.1  # inches between panels


def given_axes(ax: Axes | Sequence[Axes] | None, n: int, problems: Problems, *, of: str) -> list[Axes] | None:
    """Read the Axes that the user gave.

    Parameters
    ----------
    ax
        One, or several in a list or an array of any shape, such as ``plt.subplots`` returns.
    n
        How many there must be.
    problems
        Collects: what are no Axes, another number of them.
    of
        What they are for, for the message.

    Returns
    -------
    The Axes, row by row; None where there are none, or ``problems`` says why not.
    """
    from matplotlib.axes import Axes as AnyAxes

    if ax is None:
        return None
    given = list(np.ravel(np.asarray(ax, dtype=object)))
    wrong = [type(each).__name__ for each in given if not isinstance(each, AnyAxes)]
    if wrong:
        problems.add(f"`ax` must hold Axes of matplotlib, got {listed(dict.fromkeys(wrong))}.")
        return None
    if len(given) != n:
        problems.add(f"`ax` has {len(given)} Axes for {n} {of}; give as many, or leave it out.")
        return None
    return given


def stack_from_left(axes: Sequence[Axes]) -> None:
    """Let a legend that has no room lie above the tissue to its right."""
    for left, right in pairwise(axes):
        right.set_zorder(min(right.get_zorder(), left.get_zorder() - 0.01))


def new_panel() -> Axes:
    """Make a figure for one curve."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(5.5, 3.5), layout="constrained")[1]


def new_axes(
    n: int, *, ncols: int, size: tuple[float, float], beside: float, above: float, blocks: int = 1
) -> list[Axes]:
    """Make a figure that panels and what explains them fill.

    Parameters
    ----------
    n
        Panels of a block, at least 1.
    ncols
        Of them in a row, at most.
    size
        Width and height of each, in inches.
    beside, above
        Inches for the legend of each panel, and for its title and scale bar.
    blocks
        Each begins a row of its own.

    Returns
    -------
    The Axes, block by block.
    """
    import matplotlib.pyplot as plt

    ncols = min(ncols, n)
    nrows = -(-n // ncols)
    width, height = size
    figure, grid = plt.subplots(
        blocks * nrows,
        ncols,
        figsize=(ncols * (width + beside + _GAP), blocks * nrows * (height + above)),
        layout="compressed",
        squeeze=False,
    )
    axes: list[Any] = []
    for block in grid.reshape(blocks, nrows * ncols):
        axes += list(block[:n])
        for unused in block[n:]:
            figure.delaxes(unused)
    return axes
