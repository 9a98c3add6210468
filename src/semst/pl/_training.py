from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from semst._inputs import as_numbers, find_table, is_spatialdata
from semst._keys import CLUSTER, IN_CLUSTER, ClusterKeys
from semst._problems import Problems, listed
from semst.pl._axes import given_axes, new_panel
from semst.pl._palette import PALETTE

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_WHERE = "semst.pl.training"
_TOTAL = "total"
_NARROW = 6.0  # a span within which 1, 2 and 5 give too few ticks, and even steps look even enough
_DARK = tuple(PALETTE[index] for index in (0, 4, 6, 2, 5))  # dark enough for small type on white


def training(
    data: AnnData | SpatialData, *, key: str = CLUSTER.base, table_key: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how the loss and each of its terms fell during the training.

    Parameters
    ----------
    data
        What :func:`semst.tl.cluster` was run on.
    key
        Its ``key_added``.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    ax
        Axes to draw on; the default makes a new figure.

    Returns
    -------
    The Axes. Nothing is written.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If there is no history under the key.
    ValueError
        If the terms of the history differ in length or hold no epoch, or ``ax`` is no Axes.

    Notes
    -----
    The terms differ by orders of magnitude, so each is drawn relative to its value in the first epoch, on a logarithmic
    axis, and its last value stands beside its line. Where a term is not positive throughout (a Gaussian likelihood may
    fall below zero) all are drawn as the change since the first epoch instead.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> import semst
    >>> adata = AnnData(np.ones((3, 2), dtype=np.float32))
    >>> adata.uns["semst"] = {"history": {"total": np.array([3.0, 2.0, 1.5])}}
    >>> semst.pl.training(adata).get_xlabel()
    'epoch'
    """
    from matplotlib.ticker import FixedLocator, MaxNLocator

    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    terms = _read_history(table, ClusterKeys(key).uns, problems, name="sdata" if is_spatialdata(data) else "adata")
    axes = given_axes(ax, 1, problems, of="picture")
    problems.raise_if_any()
    ax = new_panel() if axes is None else axes[0]
    epochs = np.arange(1, len(terms[_TOTAL]) + 1)
    relative = all((values > 0).all() for values in terms.values())
    lines = {name: values / values[0] if relative else values - values[0] for name, values in terms.items()}
    marker = "o" if len(epochs) == 1 else ""  # a line through one point is not seen
    for (name, line), color in zip(lines.items(), _colors(lines), strict=True):
        ax.plot(epochs, line, color=color, linewidth=2.5 if name == _TOTAL else 1.5, marker=marker, gid=name)
    ax.xaxis.set_major_locator(FixedLocator(epochs.tolist()) if marker else MaxNLocator("auto", integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss relative to first epoch" if relative else "change since first epoch")
    if relative:
        _log_axis(ax, lines)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0)
    _label_ends(ax, lines, {name: float(values[-1]) for name, values in terms.items()}, end=float(epochs[-1]))
    return ax


def _read_history(table: AnnData, key: str, problems: Problems, *, name: str) -> dict[str, NDArray[np.float64]]:
    """Values by term, the total first."""
    stored = table.uns.get(key)
    history = stored.get(IN_CLUSTER.history) if isinstance(stored, Mapping) else None
    if not isinstance(history, Mapping) or _TOTAL not in history:
        problems.missing(
            f"no training history in uns[{key!r}]; uns has {listed(table.uns)}. "
            f"It is left by `semst.tl.cluster({name}, n_clusters=...)`."
        )
        return {}
    names = [_TOTAL, *(term for term in history if term != _TOTAL)]
    read = {term: as_numbers(history[term]) for term in names}
    terms = {term: values for term, values in read.items() if values is not None}
    if len(terms) < len(read):
        problems.add(
            f"uns[{key!r}][{IN_CLUSTER.history!r}] holds what is no number under {listed(read.keys() - terms.keys())}."
        )
        return {}
    shapes = {values.shape for values in terms.values()}
    if len(shapes) > 1 or terms[_TOTAL].ndim != 1 or terms[_TOTAL].size == 0:
        problems.add(
            f"the terms of uns[{key!r}][{IN_CLUSTER.history!r}] must be of one length, at least 1; got shapes {shapes}."
        )
    return terms


def _colors(names: Mapping[str, object]) -> list[str]:
    others = cycle(_DARK)
    return ["black" if name == _TOTAL else next(others) for name in names]


def _log_axis(ax: Axes, lines: Mapping[str, NDArray[np.float64]]) -> None:
    """Logarithmic, with several ticks that read as plain numbers, whether the loss moved by a hundredth or by 10^5."""
    from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter, NullLocator

    ax.set_yscale("log")
    values = np.concatenate(list(lines.values()))
    low, high = float(values.min()), float(values.max())
    if low == high:
        ax.set_ylim(0.9 * low, 1.1 * high)  # else matplotlib shows a factor of a hundred
    locator: Locator = LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0))
    if high < _NARROW * low:
        locator = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
    ax.yaxis.set_major_locator(locator)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())


def _label_ends(ax: Axes, lines: Mapping[str, NDArray[np.float64]], last: Mapping[str, float], *, end: float) -> None:
    """Write each term's name and last value at the end of its line, moved apart where they would overlap."""
    low, high = ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    places = {name: ax.transData.transform((end, line[-1]))[1] for name, line in lines.items()}
    color_of = {line.get_gid(): line.get_color() for line in ax.lines}
    step = 12 * ax.figure.dpi / 72
    below = high + step
    tops = {}
    for name in sorted(places, key=lambda name: -places[name]):
        below = min(places[name], below - step)
        tops[name] = below
    lift = max(0.0, low - below)  # the lowest must not run into the axis
    for name, top in tops.items():
        y = (top + lift - low) / (high - low)
        ax.annotate(
            f"{name} {last[name]:#.3g}".rstrip("."),
            (1, y),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            color=color_of[name],
            verticalalignment="center",
            fontsize="small",
            fontweight="bold" if name == _TOTAL else "normal",
            annotation_clip=False,
        )
