from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._inputs import as_numbers, find_table, is_spatialdata
from semst._keys import CLUSTER, IN_CLUSTER, ClusterKeys
from semst._problems import Problems, is_whole, listed
from semst.pl._axes import given_axes, new_panel
from semst.pl._palette import PALETTE

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_WHERE = "semst.pl.stability"


def stability(
    data: AnnData | SpatialData, *, key: str = CLUSTER.base, table_key: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how well two halves of the molecules reproduce each number of domains, and which number was taken.

    A flat curve says that the tissue has no one number of domains: its domains lie inside each other, and a look at
    two or three numbers tells more than the highest point.

    Parameters
    ----------
    data
        What :func:`semst.tl.cluster` was run on with ``n_clusters=None``.
    key
        Its ``key_added``.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    ax
        Axes to draw on; the default makes a new figure.

    Returns
    -------
    The Axes: a line through the mean over splits of the molecules, a dot for each split, the number that was taken, and
    a hollow circle for each other that another split might have preferred: one whose best split reaches the worst of
    the number that was taken. Nothing is written.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If there is no stability under the key, or a part of it is missing.
    ValueError
        If numbers and values of the curve do not match, the number that was taken is not among them, or ``ax`` is no
        Axes.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> import semst
    >>> adata = AnnData(np.ones((3, 2), dtype=np.float32))
    >>> curve = {"n_clusters": np.array([2, 3, 4]), "values": np.array([[0.4, 0.5], [0.9, 0.8], [0.6, 0.5]])}
    >>> adata.uns["semst"] = {"n_clusters": 3, "stability": curve}
    >>> semst.pl.stability(adata).get_xlabel()
    'number of domains'
    """
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    curve = _read_curve(table, ClusterKeys(key).uns, problems, name="sdata" if is_spatialdata(data) else "adata")
    axes = given_axes(ax, 1, problems, of="picture")
    problems.raise_if_any()
    assert curve is not None  # for the type checker: missing is a problem, raised above
    numbers, values, chosen = curve
    ax = new_panel() if axes is None else axes[0]
    mean = values.mean(axis=1)
    ax.plot(numbers, mean, color=PALETTE[0], linewidth=2)
    for split in values.T:
        ax.plot(numbers, split, ".", color=PALETTE[0], alpha=0.5, markersize=5)
    near = _near_ties(values, numbers == chosen)
    ax.plot(numbers[near], mean[near], "o", color=PALETTE[1], markersize=10, markerfacecolor="white", zorder=3)
    ax.plot(chosen, mean[numbers == chosen], "o", color=PALETTE[1], markersize=10, zorder=3)
    ax.annotate(
        f"{chosen} domains",
        (chosen, mean[numbers == chosen][0]),
        xytext=(0, 10),
        textcoords="offset points",
        horizontalalignment="center",
        fontweight="bold",
    )
    ax.set_xticks(numbers)
    ax.set_xlabel("number of domains")
    ax.set_ylabel("stability (adjusted Rand index)")
    ax.margins(y=0.15)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _read_curve(
    table: AnnData, uns: str, problems: Problems, *, name: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], int] | None:
    """Numbers of domains that were tried ``(m,)``, their values ``(m, splits)``, and the number that was taken."""
    stored: Any = table.uns.get(uns)
    if not isinstance(stored, Mapping) or not isinstance(stored.get(IN_CLUSTER.stability), Mapping):
        problems.missing(
            f"no stability in uns[{uns!r}]; uns has {listed(table.uns)}. "
            f"It is left by `semst.tl.cluster({name}, n_clusters=None)`."
        )
        return None
    curve = stored[IN_CLUSTER.stability]
    inside = f"uns[{uns!r}][{IN_CLUSTER.stability!r}]"
    lacking = [f"{inside}[{each!r}]" for each in (IN_CLUSTER.n_clusters, IN_CLUSTER.values) if each not in curve]
    if IN_CLUSTER.n_clusters not in stored:
        lacking.insert(0, f"uns[{uns!r}][{IN_CLUSTER.n_clusters!r}]")
    again = f"Run `semst.tl.cluster({name}, n_clusters=None)` again."
    if lacking:
        problems.missing(f"no {' and no '.join(lacking)}. {again}")
        return None
    numbers, values = (as_numbers(curve[each]) for each in (IN_CLUSTER.n_clusters, IN_CLUSTER.values))
    chosen = stored[IN_CLUSTER.n_clusters]
    if numbers is None or values is None or not is_whole(chosen, least=1):
        problems.add(f"the curve in {inside}, or the number of domains beside it, is no number. {again}")
        return None
    if values.ndim != 2 or numbers.shape != values.shape[:1] or chosen not in numbers:
        problems.add(
            f"the curve in {inside} needs a row of values for each of its numbers and {chosen} among them; got "
            f"{values.shape} values for {numbers.tolist()}. {again}"
        )
        return None
    return numbers.astype(np.int64), values, int(chosen)


def _near_ties(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which other rows ``(m, splits)`` reach, at their best, the worst of the chosen one."""
    near: NDArray[np.bool_] = (values.max(axis=1) >= values[chosen].min()) & ~chosen
    return near
