from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from semst._inputs import find_table, is_spatialdata
from semst._keys import CLUSTER, IN_DESCRIPTION, UNNAMED, DescriptionKeys
from semst._problems import Problems, listed
from semst.pl._axes import given_axes
from semst.pl._colors import as_labels, assign_colors, check_labels, keep_colors, reading_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_WHERE = "semst.pl.describe"
_CMAP = "viridis_r"
_COLUMN, _ROW = 0.24, 0.28  # inches
_LETTER = 0.078  # inches of a letter of small type
_SLOPE = 50  # degrees by which the terms are turned
_RATES = (0.05, 0.01, 0.001, 0.0001)  # false discovery rates of the key; dots do not grow below the last
_FAINTEST, _LARGEST = 10.0, 140.0  # square points of a dot for a rate of 0.1 and for the last of these
_KEY = 3.6  # inches from the head of the colour bar to the foot of the legend
_TICKS = [1, 2, 2.5, 5, 10]  # steps between numbers on the colour bar, times a power of ten
_RING = 4.5  # points that a ring is wider than its dot
_FEWEST = 4  # columns that the figure has room for, so that it can say of a domain that no term fits


def describe(
    data: AnnData | SpatialData,
    *,
    key: str = CLUSTER.base,
    n_terms: int = 4,
    table_key: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which terms fit which domain, how well and how surely.

    Parameters
    ----------
    data
        What :func:`semst.tl.describe` was run on.
    key
        Its ``key``: that of the domains.
    n_terms
        Terms of each domain that get a column, at least 1: the one that names it, then those of the largest effect.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    ax
        Axes to draw on; the default makes a new figure that is large enough for all terms.

    Returns
    -------
    The Axes: a row for each domain, with its colour of ``uns["{key}_colors"]`` in front, and a column for each term.
    Domains that were described and have no spots, as in a part of the tissue, are left out; all are drawn where
    ``obs[key]`` has others than those that were described.
    There is a dot wherever the term fits the domain significantly: its colour is the effect (Cohen's d), its area the
    logarithm of the false discovery rate, down to 0.0001. Few effects far above the others have the last colour, and
    the largest is written above the colour bar then. The term that names a domain has a ring; processes never name
    one, so that it need not be the term of the largest effect. Written are the colours alone, where there are none yet.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If there is no description under the key.
    ValueError
        If ``n_terms`` is out of range, ``ax`` is no Axes, or categories are one as text.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
    >>> terms = semst.tl.describe(adata, key="ground_truth")
    >>> ax = semst.pl.describe(adata, key="ground_truth")
    >>> len(ax.get_yticks()) == adata.obs["ground_truth"].nunique()
    True
    """
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    names = read_names(table, key, problems, name="sdata" if is_spatialdata(data) else "adata")
    problems.whole("n_terms", n_terms, least=1)
    axes = given_axes(ax, 1, problems, of="picture")
    if key in table.obs:
        check_labels(table.obs[key], key, problems)
    problems.raise_if_any()
    assert names is not None  # for the type checker: missing is a problem, raised above
    terms: pd.DataFrame = table.uns[DescriptionKeys(key).uns][IN_DESCRIPTION.terms]
    colors = _colors(table, key)
    domains = _rows(colors, names)
    terms = terms[terms["domain"].isin(domains)]
    columns = _columns(terms, names, domains, n_terms)
    ax = _new_axes(domains, columns) if axes is None else axes[0]
    _frame(ax, domains, columns)
    fills = [colors.get(each, "none") for each in domains]
    ax.scatter(np.full(len(domains), -1), range(len(domains)), 70, fills, marker="s").set_gid("domains")
    if columns:
        _explain(ax, _draw_dots(ax, terms[terms["term"].isin(columns)], names, domains, columns))
    described = set(terms["domain"])
    for place, domain in enumerate(domains):
        if domain not in described:
            note = ax.text(-0.3, place, UNNAMED, verticalalignment="center", fontsize="small", color="0.45")
            note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    return ax


def has_description(table: AnnData, key: str) -> bool:
    """Tell whether :func:`semst.tl.describe` was run on these domains."""
    stored: Any = table.uns.get(DescriptionKeys(key).uns)
    return hasattr(stored, "get") and IN_DESCRIPTION.names in stored and IN_DESCRIPTION.terms in stored


def read_names(table: AnnData, key: str, problems: Problems, *, name: str) -> dict[str, str] | None:
    """Read what :func:`semst.tl.describe` calls each domain; an empty str where no term fits.

    Parameters
    ----------
    table
        Its ``uns`` is read.
    key
        Key of the domains.
    problems
        Collects: no description, upon which None is returned.
    name
        Of the user's object, for the message.
    """
    if not has_description(table, key):
        uns = DescriptionKeys(key).uns
        problems.missing(
            f"no description in uns[{uns!r}]; uns has {listed(table.uns)}. "
            f"It is left by `semst.tl.describe({name}, key={key!r})`."
        )
        return None
    stored = table.uns[DescriptionKeys(key).uns][IN_DESCRIPTION.names]["name"]
    return {str(domain): "" if words == UNNAMED else str(words) for domain, words in stored.items()}


def _colors(table: AnnData, key: str) -> dict[str, str]:
    """Colours of the domains in the order of the legend of :func:`semst.pl.domains`; none where it knows no domains."""
    labels = as_labels(table.obs[key]) if key in table.obs else None
    if labels is None:
        return {}
    colors = assign_colors(table, {key: labels}, palette=None, match=False)[key]
    keep_colors(table, key, labels, colors)
    color_of = dict(zip(map(str, labels.categories), colors, strict=True))
    return {domain: color_of[domain] for domain in reading_order(labels)}


def _rows(present: Iterable[str], names: dict[str, str]) -> list[str]:
    """Domains that have spots, in the order of the legend; those described where these are others."""
    found = list(present)
    if found and set(found) <= set(names):
        return found
    return list(dict.fromkeys([*(each for each in found if each in names), *names]))


def _columns(terms: pd.DataFrame, names: dict[str, str], domains: Sequence[str], n_terms: int) -> list[str]:
    """Terms to show, in the order of the domains, so that each domain's own stand side by side."""
    columns: dict[str, None] = {}
    for domain in domains:
        own = terms[terms["domain"] == domain].sort_values("effect", ascending=False, kind="stable")["term"]
        first = [names[domain]] if names[domain] in set(own) else []
        columns |= dict.fromkeys(list(dict.fromkeys([*first, *own]))[:n_terms])
    return list(columns)


def _new_axes(domains: Sequence[str], columns: Sequence[str]) -> Axes:
    import matplotlib.pyplot as plt

    left = _LETTER * max(map(len, domains)) + 0.3
    below = _LETTER * max(map(len, columns), default=0) * np.sin(np.radians(_SLOPE)) + 0.3
    overhang = _LETTER * max(map(len, columns), default=0) * np.cos(np.radians(_SLOPE))
    width = _COLUMN * (max(len(columns), _FEWEST) + 1.3) + max(left, overhang) + 1.6
    height = max(_ROW * (len(domains) + 0.6) + below, _KEY if columns else 0.8)
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _frame(ax: Axes, domains: Sequence[str], columns: Sequence[str]) -> None:
    """Rows from above, terms on a slope beneath, and fine lines to follow from the one to the other."""
    ax.set_yticks(range(len(domains)), domains)
    ax.set_xticks(
        range(len(columns)), columns, rotation=_SLOPE, rotation_mode="anchor", horizontalalignment="right", fontsize=9
    )
    ax.set_xlim(-1.7, max(len(columns), _FEWEST) - 0.4)
    ax.set_ylim(len(domains) - 0.4, -0.6)
    ax.grid(color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _draw_dots(
    ax: Axes, terms: pd.DataFrame, names: dict[str, str], domains: Sequence[str], columns: Sequence[str]
) -> PathCollection:
    """Draw what fits, and a ring around what names a domain."""
    from matplotlib.ticker import MaxNLocator

    column = {term: place for place, term in enumerate(columns)}
    row = {domain: place for place, domain in enumerate(domains)}
    pairs = list(zip(terms["term"], terms["domain"], strict=True))
    x = np.array([column[term] for term, _ in pairs])
    y = np.array([row[domain] for _, domain in pairs])
    area = _area(terms["fdr"].to_numpy(dtype=np.float64))
    effect = terms["effect"].to_numpy(dtype=np.float64)
    dots = ax.scatter(
        x,
        y,
        area,
        effect,
        cmap=_CMAP,
        vmin=0,
        # A few effects are several times the others, which would all look alike on their scale. It ends at a number
        # that the colour bar shows.
        vmax=float(MaxNLocator(4, steps=_TICKS).tick_values(0, max(float(np.quantile(effect, 0.95)), 0.5))[-1]),
        linewidths=0,
        zorder=2,
    )
    dots.set_gid("terms")
    naming = np.array([names[domain] == term for term, domain in pairs])
    # Apart from their dots, or nobody would see black rings on dark ones.
    around = np.square(np.sqrt(area[naming]) + _RING)
    ax.scatter(x[naming], y[naming], around, "none", edgecolors="black", linewidths=1.2).set_gid("names")
    return dots


def _area(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square points of a dot."""
    strength = -np.log10(np.maximum(rate, _RATES[-1]))
    return np.interp(strength, [1, -np.log10(_RATES[-1])], [_FAINTEST, _LARGEST])


def _explain(ax: Axes, dots: PathCollection) -> None:
    """Tell effect and rate to the right of the upper corner, in inches, so that they look alike beside any table."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator
    from matplotlib.transforms import ScaledTranslation

    corner: Any = ax.figure.dpi_scale_trans + ScaledTranslation(1, 1, cast("Any", ax.transAxes))
    largest = float(np.max(np.asarray(dots.get_array())))
    beyond = largest > dots.get_clim()[1]
    bar = ax.figure.colorbar(
        dots,
        cax=ax.inset_axes((0.2, -1.3, 0.12, 0.95), transform=corner),
        extend="max" if beyond else "neither",
        ticks=MaxNLocator(4, steps=_TICKS),
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small")
    told = f"effect (Cohen's d),\nup to {largest:.2g}" if beyond else "effect (Cohen's d)"
    bar.ax.set_title(told, fontsize="small", loc="left", pad=13)
    sizes = [float(np.sqrt(area)) for area in _area(np.array(_RATES))]
    marks = [
        Line2D([], [], linestyle="", marker="o", color="0.5", markeredgewidth=0, markersize=size) for size in sizes
    ]
    marks += [Line2D([], [], linestyle="", marker="o", color="none", markeredgecolor="black", markeredgewidth=1.2)]
    marks[-1].set_markersize(sizes[1] + _RING)
    ax.legend(
        marks,
        [*(f"{rate:g}" for rate in _RATES[:-1]), f"≤ {_RATES[-1]:g}", "names the domain\n(processes do not)"],
        title="FDR",
        loc="upper left",
        bbox_to_anchor=(0.1, -1.5),
        bbox_transform=corner,
        borderaxespad=0,
        alignment="left",
        frameon=False,
        fontsize="small",
        title_fontsize="small",
        labelspacing=0.6,
    )
