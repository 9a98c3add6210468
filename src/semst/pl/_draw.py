"""Marks on an Axes: spots, legend, colour bar, scale bar, frame."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from semst.pl._colors import reading_order
from semst.pl._palette import UNLABELLED
from semst.pl._spots import RASTERIZE_ABOVE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import EllipseCollection
    from matplotlib.colorbar import Colorbar
    from numpy.typing import NDArray

    from semst.pl._image import View

NO_LABEL = "unlabelled"
_TITLE = 10.5  # letters of a title in an inch, in type of twelve points


def draw_spots(
    ax: Axes,
    coordinates: NDArray[np.float64],
    diameter: float | NDArray[np.float64],
    *,
    rows: NDArray[np.bool_],
    alpha: float,
    color: str | None = None,
    name: str | None = None,
) -> EllipseCollection:
    """Draw circles whose size is in the unit of the coordinates, so that it holds at any zoom and figure size.

    Parameters
    ----------
    ax
        Where to draw.
    coordinates, diameter
        Of all spots.
    rows
        Which of them are drawn.
    alpha
        Opacity in [0, 1].
    color
        One for all; None where the caller maps values to colours.
    name
        Left on the collection as its ``gid``, by which it is found again, also in an SVG.
    """
    from matplotlib.collections import EllipseCollection

    # One size for all lets matplotlib stamp a single path: a million cells take three seconds.
    across = [float(diameter)] if np.ndim(diameter) == 0 else np.asarray(diameter)[rows]
    circles = EllipseCollection(
        across,
        across,
        np.zeros(len(across)),
        units="xy",
        offsets=coordinates[rows],
        offset_transform=ax.transData,
        facecolors=color,
        linewidths=0,
        alpha=alpha,
        zorder=1,
    )
    circles.set_gid(name)
    circles.set_rasterized(len(coordinates) > RASTERIZE_ABOVE)
    ax.add_collection(circles, autolim=False)
    return circles


def draw_labels(
    ax: Axes,
    coordinates: NDArray[np.float64],
    diameter: float | NDArray[np.float64],
    labels: pd.Categorical,
    colors: list[str],
    *,
    alpha: float,
) -> None:
    """Draw spots by category, those without one beneath."""
    shown, missing = legend_of(labels, colors), name_of_missing(labels)
    if missing in shown:
        rows = np.asarray(labels.codes) < 0
        draw_spots(ax, coordinates, diameter, rows=rows, alpha=alpha, color=shown[missing], name=missing)
    for name in reading_order(labels):
        rows = np.asarray(labels == name)
        draw_spots(ax, coordinates, diameter, rows=rows, alpha=alpha, color=shown[name], name=name)


def legend_of(labels: pd.Categorical, colors: list[str]) -> dict[str, str]:
    """Colours by name in the order of the legend, of all categories that occur, and last of spots without one."""
    color_of = {str(name): color for name, color in zip(labels.categories, colors, strict=True)}
    shown = {name: color_of[name] for name in reading_order(labels)}
    missing = bool((np.asarray(labels.codes) < 0).any())
    return shown | ({name_of_missing(labels): UNLABELLED} if missing else {})


def name_of_missing(labels: pd.Categorical) -> str:
    """What spots without a category are called, which no category is."""
    name = NO_LABEL
    while name in labels.categories:
        name = f"({name})"
    return name


def draw_values(
    ax: Axes,
    coordinates: NDArray[np.float64],
    diameter: float | NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    alpha: float,
    cmap: str,
) -> EllipseCollection | None:
    """Draw spots by a number, those without one in grey beneath.

    Returns
    -------
    The coloured collection; None where no spot has a number.
    """
    known = np.isfinite(values)
    if not known.all():
        draw_spots(ax, coordinates, diameter, rows=~known, alpha=alpha, color=UNLABELLED, name=NO_LABEL)
    if not known.any():
        return None
    circles = draw_spots(ax, coordinates, diameter, rows=known, alpha=alpha, name="values")
    circles.set_array(values[known])
    circles.set_cmap(cmap)
    return circles


def add_legend(ax: Axes, shown: dict[str, str], *, rows: int) -> None:
    """Name the colours to the right of the tissue, in as many columns of ``rows`` lines as it takes."""
    from matplotlib.lines import Line2D

    lines = sum(name.count("\n") + 1 for name in shown)
    marks = [Line2D([], [], linestyle="", marker="o", markersize=7, color=color) for color in shown.values()]
    ax.legend(
        marks,
        list(shown),
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        borderaxespad=0.3,
        ncols=max(1, -(-lines // rows)),
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.0,
        fontsize="medium",
    )


def add_colorbar(ax: Axes, circles: ScalarMappable, *, label: str = "", extend: str = "neither") -> Colorbar:
    """Explain the values to the right of the tissue; ``extend`` is matplotlib's, for values beyond the scale."""
    # An inset follows the tissue and takes no room from it, so panels side by side stay equal.
    bar = ax.figure.colorbar(circles, cax=ax.inset_axes((1.03, 0.2, 0.035, 0.6)), extend=extend)
    bar.set_label(label)
    bar.outline.set_visible(False)
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    return bar


def nice_length(longest: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above ``longest``.

    Examples
    --------
    >>> nice_length(870.0)
    500.0
    """
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))


def add_scale_bar(ax: Axes, view: View, *, microns_per_unit: float) -> None:
    """Draw a bar of a round length below the tissue; it is in the unit of the coordinates and so holds at any zoom."""
    from matplotlib.transforms import ScaledTranslation

    microns = nice_length(0.25 * view.width * microns_per_unit)
    length = microns / microns_per_unit
    label = f"{microns / 1000:g} mm" if microns >= 1000 else f"{microns:g} µm"
    along_x = ax.get_xaxis_transform()
    points_down = ScaledTranslation(0, -6 / 72, ax.figure.dpi_scale_trans)
    start, end = view.left, view.left + length
    ax.plot(
        [start, end],
        [0, 0],
        transform=along_x + points_down,
        color="black",
        linewidth=2,
        solid_capstyle="butt",
        clip_on=False,
        gid="scale bar",
    )
    ax.annotate(
        label,
        ((start + end) / 2, 0),
        xycoords=along_x,
        xytext=(0, -9),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="top",
        fontsize="small",
        annotation_clip=False,
    )


def frame(ax: Axes, view: View, *, title: str) -> None:
    """Show the view with equal aspect and y downwards, as images have it, without ticks, spines and ground."""
    ax.set_xlim(view.left, view.right)
    ax.set_ylim(view.bottom, view.top)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.patch.set_visible(False)  # it would cover the legend of the Axes to the left, which reaches into this one
    if title:
        ax.set_title(wrapped(title, ax.get_window_extent().width / ax.figure.dpi))


def wrapped(title: str, width: float) -> str:
    r"""Break a title so that it stays above its panel, which is ``width`` inches wide; breaks that it has stay.

    Examples
    --------
    >>> wrapped("visium_section of donor_12", 1.5)
    'visium_section\nof donor_12'
    >>> wrapped("visium_section_of_donor_12", 1.5)
    'visium_section_\nof_donor_12'
    """
    wrapper = textwrap.TextWrapper(max(8, int(width * _TITLE)))
    wrapper.wordsep_re = re.compile(r"(\s+|(?<=[_-]))")  # names of samples have no spaces
    return "\n".join(part for line in title.split("\n") for part in wrapper.wrap(line) or [""])
