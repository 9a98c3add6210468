from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from semst._inputs import find_table, is_spatialdata
from semst._keys import CONTROL, IN_CONTROL
from semst._problems import Problems, listed
from semst.pl._axes import given_axes
from semst.pl._palette import PALETTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData

_WHERE = "semst.pl.semantic_control"
_COLORS = {"semantics": PALETTE[0], "permuted": PALETTE[4], "none": PALETTE[6]}
_NAMES = {"semantics": "true", "permuted": "permuted", "none": "none"}  # of gene vectors
# Columns of the table of runs: what they are, in which unit, and which way is better.
_PANELS = {
    "stability": ("stability over seeds", "ARI", "more"),
    "held_out": ("held-out explained counts", "nats per molecule", "more"),
    "pas": ("incoherence in space, PAS", "share of spots", "less"),
    "chaos": ("incoherence in space, CHAOS", "standard deviations", "less"),
    "ari": ("agreement with labels", "ARI", "more"),
}
# The least that an axis spans, or differences of no account would fill it: of a share or index, and as a part of the
# mean for measures that have no scale of their own.
_SPAN = {"stability": 0.1, "pas": 0.05, "ari": 0.1}
_RELATIVE_SPAN = 0.1
_REQUIRED = ("arm", "seed", "stability", "held_out", "pas", "chaos")
_PANEL_WIDTH, _PANEL_HEIGHT = 2.6, 2.7  # inches
_LETTERS_PER_INCH = 13.5  # of the small type that the verdict is set in
_LINE = 0.17  # inches


def semantic_control(
    data: AnnData | SpatialData,
    *,
    key: str = CONTROL.base,
    table_key: str | None = None,
    ax: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw each measure of the semantic control with true, permuted and no gene vectors, and the verdict above.

    Parameters
    ----------
    data
        What :func:`semst.tl.semantic_control` was run on.
    key
        Its ``key_added``.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    ax
        Axes to draw on, one for each measure: four, or five where labels were given. They get no more than the head of
        the verdict, as the title of the first. The default makes a new figure, with the whole of it.

    Returns
    -------
    List of the Axes, in the order stability, held-out explained counts, PAS, CHAOS, and ARI where there are labels. In
    each, a dot for every run, a line through the runs of equal seed, and a bar at the mean of each arm. Nothing is
    written.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If there is no semantic control under the key.
    ValueError
        If the stored table lacks columns, or ``ax`` holds no Axes or another number of them.

    Examples
    --------
    >>> import numpy as np, pandas as pd, semst
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((3, 2), dtype=np.float32))
    >>> runs = pd.DataFrame({"arm": ["semantics", "permuted", "none"] * 2, "seed": [0, 0, 0, 1, 1, 1]})
    >>> for measure in ("stability", "held_out", "pas", "chaos"):
    ...     runs[measure] = [0.8, 0.7, 0.7, 0.9, 0.8, 0.7]
    >>> adata.uns["semantic_control"] = {"runs": runs, "verdict": "meaning helps: a little."}
    >>> len(semst.pl.semantic_control(adata))
    4
    """
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    stored = _read(table, key, problems, name="sdata" if is_spatialdata(data) else "adata")
    measures = [measure for measure in _PANELS if stored and measure in stored[IN_CONTROL.runs]]
    axes = given_axes(ax, len(measures), problems, of=f"measures ({listed(measures)})") if stored else None
    problems.raise_if_any()
    runs: pd.DataFrame = stored[IN_CONTROL.runs]
    words = str(stored[IN_CONTROL.verdict])
    if axes is None:
        axes = _new_axes(len(measures), words)
    for panel, measure in zip(axes, measures, strict=True):
        _draw(panel, runs.pivot_table(index="arm", columns="seed", values=measure, observed=True), measure)
    if ax is not None:
        axes[0].set_title(words.split(":")[0], loc="left", fontweight="bold", fontsize="medium")
    return axes


def _read(table: AnnData, key: str, problems: Problems, *, name: str) -> Mapping[str, pd.DataFrame]:
    stored = table.uns.get(key)
    if not hasattr(stored, "get") or IN_CONTROL.runs not in stored or IN_CONTROL.verdict not in stored:
        problems.missing(
            f"no semantic control in uns[{key!r}]; uns has {listed(table.uns)}. "
            f"It is left by `semst.tl.semantic_control({name}, n_clusters=...)`."
        )
        return {}
    lacking = [column for column in _REQUIRED if column not in stored[IN_CONTROL.runs]]
    if lacking:
        problems.add(
            f"uns[{key!r}][{IN_CONTROL.runs!r}] lacks the columns {listed(lacking)}; "
            "run `semst.tl.semantic_control` again."
        )
    return stored  # type: ignore[no-any-return]


def _new_axes(n: int, words: str) -> list[Axes]:
    """Make a row of panels, with the verdict above: its head in bold, the rest wrapped to the width."""
    import matplotlib.pyplot as plt

    width = n * _PANEL_WIDTH
    head, _, rest = words.partition(": ")
    rest = rest.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(rest[:1].upper() + rest[1:], int(width * _LETTERS_PER_INCH))
    above = (len(lines) + 2.2) * _LINE
    height = _PANEL_HEIGHT + above
    figure = plt.figure(figsize=(width, height))
    figure.set_layout_engine("constrained", rect=(0, 0, 1, _PANEL_HEIGHT / height))
    top = 1 - 0.5 * _LINE / height
    left = 0.12 / width
    figure.text(left, top, head[:1].upper() + head[1:], fontweight="bold", verticalalignment="top")
    figure.text(
        left, top - 1.3 * _LINE / height, "\n".join(lines), fontsize="small", verticalalignment="top", linespacing=1.25
    )
    return list(np.atleast_1d(figure.subplots(1, n)))


def _draw(ax: Axes, values: pd.DataFrame, measure: str) -> None:
    """Draw one measure; ``values`` has a row for each arm and a column for each seed."""
    name, unit, better = _PANELS[measure]
    values = values.loc[[arm for arm in _COLORS if arm in values.index]]
    places = np.arange(len(values))
    for seed, run in values.items():
        ax.plot(places, run, color="0.8", linewidth=1, zorder=1, gid=f"seed {seed}")
    for place, (arm, run) in zip(places, values.iterrows(), strict=True):
        color = _COLORS[str(arm)]
        ax.plot(np.full(len(run), place), run, "o", color=color, alpha=0.7, markersize=5, zorder=2, gid=str(arm))
        ax.hlines(run.mean(), place - 0.3, place + 0.3, color=color, linewidth=2.5, zorder=3)
    ax.set_xticks(places, [_NAMES[str(arm)] for arm in values.index], fontsize="small", verticalalignment="baseline")
    ax.tick_params(axis="x", pad=12)  # from the axis to the baseline
    ax.set_xlabel("gene vectors", fontsize="small")
    ax.set_xlim(-0.6, len(values) - 0.4)
    _span(ax, values, measure)
    ax.set_ylabel(f"{name}\n({unit}; {better} is better)", fontsize="small")
    ax.tick_params(axis="y", labelsize="small")
    ax.spines[["top", "right"]].set_visible(False)


def _span(ax: Axes, values: pd.DataFrame, measure: str) -> None:
    """Leave room above and below, but none where the measure has no values."""
    numbers = values.to_numpy(dtype=np.float64)
    low, high = numbers.min(), numbers.max()
    least = _SPAN.get(measure, _RELATIVE_SPAN * abs(numbers.mean()))
    around = max(0.1 * (high - low), (least - (high - low)) / 2, 1e-9)
    ax.set_ylim(low - around, high + around)
    if measure == "pas" and low < around:
        ax.set_ylim(bottom=-0.1 * around)  # no share is below 0
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    ax.locator_params(axis="y", nbins=5)
