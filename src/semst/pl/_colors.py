"""Which category of which key has which colour."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semst._keys import ClusterKeys
from semst._labels import empty_as_missing
from semst._problems import Problems, listed, meant
from semst.pl._palette import PALETTE, oklab, pick_distinct

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("semst")

Palette = str | Sequence[str] | Mapping[str, str]

_CONTINUOUS = 256  # colours from which on a list of matplotlib's is a scale, such as viridis
_SAME = 0.03  # distance in OKLab at which the two ends of a scale are one colour, such as those of hsv


def as_labels(column: pd.Series) -> pd.Categorical | None:
    """Read a column of ``obs`` as categories of str, or tell that it holds numbers.

    Returns
    -------
    The column's own categories in their own order, so that they parallel ``uns["{key}_colors"]``; text and booleans
    become categories in natural order; an empty str is no label; None where the column holds numbers.
    """
    from natsort import natsorted

    column = empty_as_missing(column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        dtype = pd.CategoricalDtype(column.cat.categories.astype(str), ordered=column.cat.ordered)
        return pd.Categorical.from_codes(codes, dtype=dtype)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return None
    missing = column.isna().to_numpy()
    text = column.astype(str).to_numpy(dtype=object)
    categories = natsorted(pd.unique(text[~missing]))  # as anndata makes them when it writes a file
    text[missing] = None
    return pd.Categorical(text, categories=categories)


def check_labels(column: pd.Series, key: str, problems: Problems) -> bool:
    """Note categories that are one as text, such as 1 and "1"; tell whether there are none."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return True
    names = column.cat.categories.astype(str)
    alike = names[names.duplicated()].unique()
    if len(alike):
        problems.add(
            f"obs[{key!r}] has several categories that are {listed(alike)} as text; give each a name of its own with "
            f"`adata.obs[{key!r}].cat.rename_categories`."
        )
    return not len(alike)


def reading_order(labels: pd.Categorical) -> list[str]:
    """Names in the order of the legend: the user's own where the categories are ordered, else the natural one."""
    from natsort import natsorted, ns

    used = [str(name) for name in labels.remove_unused_categories().categories]
    return used if labels.ordered else list(natsorted(used, alg=ns.IGNORECASE))


def best_overlap(reference: pd.Categorical, labels: pd.Categorical) -> dict[str, str]:
    """Pair the categories of two labellings so that the paired ones share as many spots as possible.

    Returns
    -------
    For each paired category of ``labels``, its partner in ``reference``; pairs that share no spot are left out.
    """
    from scipy.optimize import linear_sum_assignment

    both = (reference.codes >= 0) & (labels.codes >= 0)
    shared = np.zeros((len(labels.categories), len(reference.categories)), dtype=np.int64)
    np.add.at(shared, (labels.codes[both], reference.codes[both]), 1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    names, partners = list(labels.categories), list(reference.categories)
    return {names[row]: partners[column] for row, column in zip(rows, columns, strict=True) if shared[row, column]}


def stored_colors(table: AnnData, key: str, labels: pd.Categorical) -> dict[str, str]:
    """Colours by category that ``uns["{key}_colors"]`` holds; none where they are of another number, or no colours.

    A list that is as long as the categories that occur, but not as all, is that of those: queries of spatialdata drop
    the colours of what they cut away, and leave its categories.
    """
    from matplotlib.colors import is_color_like, to_hex

    stored = table.uns.get(ClusterKeys(key).colors)
    if isinstance(stored, str) or not np.iterable(stored):
        return {}
    colors = list(stored)
    for categories in (labels.categories, labels.remove_unused_categories().categories):
        if len(colors) == len(categories) and all(is_color_like(color) for color in colors):
            return {str(name): to_hex(color) for name, color in zip(categories, colors, strict=True)}
    return {}


def check_palette(palette: Palette | None, labels: Mapping[str, pd.Categorical], problems: Problems) -> None:
    """Note a name or entries that are no colours, and a list that is too short for the key that it colours."""
    import matplotlib as mpl
    from matplotlib.colors import is_color_like

    if palette is None:
        return
    unknown = isinstance(palette, str) and palette not in mpl.colormaps
    if unknown or not isinstance(palette, Mapping | Sequence):
        way_out = meant(palette, mpl.colormaps) or "matplotlib.colormaps lists the names."
        problems.add(
            f"`palette` must be a list of colours, a mapping from category to colour, or the name of a matplotlib "
            f"colour map such as 'tab20', got {palette!r}; {way_out}"
        )
        return
    longest = max((len(reading_order(categories)) for categories in labels.values()), default=0)
    colors = list(palette.values()) if isinstance(palette, Mapping) else _in_order(palette, longest)
    wrong = [color for color in colors if not is_color_like(color)]
    if wrong:
        problems.add(f"`palette` holds entries that are no colours: {listed(wrong)}.")
    known = [str(name) for categories in labels.values() for name in categories.categories]
    lost = [name for name in palette if name not in known] if isinstance(palette, Mapping) else []
    if lost and known:
        logger.warning(
            "%s: `palette` names %s, which no category is; there is %s, as str.",
            problems.where.rpartition(".")[2],
            ", ".join(map(repr, lost)),
            listed(name for name in dict.fromkeys(known) if name),
        )
    if not isinstance(palette, Mapping) and len(colors) < longest:
        named = f" {palette!r}" if isinstance(palette, str) else ""
        problems.add(f"`palette`{named} has {len(colors)} colours for {longest} categories; give more, or a mapping.")


def _in_order(palette: str | Sequence[str], n: int) -> list[str]:
    """Colours for ``n`` categories: those of a list, listed or named, or ``n`` along a continuous colour map."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap, to_hex

    if not isinstance(palette, str):
        return list(palette)
    scale = mpl.colormaps[palette]
    if isinstance(scale, ListedColormap) and scale.N < _CONTINUOUS:
        return [to_hex(scale(place)) for place in range(scale.N)]
    first, last = oklab([to_hex(scale(end)) for end in (0.0, 1.0)])
    closed = bool(np.linalg.norm(first - last) < _SAME)
    return [to_hex(scale(place)) for place in np.linspace(0, 1, n, endpoint=not closed)]


def assign_colors(
    table: AnnData, labels: Mapping[str, pd.Categorical], *, palette: Palette | None, match: bool
) -> dict[str, list[str]]:
    """Give every category of every key its colour.

    Parameters
    ----------
    table
        Its ``uns`` may hold colours of earlier pictures.
    labels
        Labels by key.
    palette
        Colours that the user asked for. A list or a name does away with all that earlier pictures fixed.
    match
        Whether keys without colours of earlier pictures take over those of the categories that they overlap best: of
        the first key that has some, or of the first key where none has.

    Returns
    -------
    Hex colours by key, parallel to the key's categories.
    """
    from matplotlib.colors import to_hex

    named = palette if isinstance(palette, Mapping) else {}
    ordered = None if palette is None or isinstance(palette, Mapping) else palette
    stored = {} if ordered else {key: stored_colors(table, key, categorical) for key, categorical in labels.items()}
    # A domain looks alike in all pictures, so what one of them fixed is what the others go by.
    reference = next((key for key in labels if stored.get(key)), next(iter(labels), ""))
    assigned: dict[str, list[str]] = {}
    for key, categorical in sorted(labels.items(), key=lambda item: item[0] != reference):
        names = [str(name) for name in categorical.categories]
        shown = reading_order(categorical)
        in_order = [to_hex(color) for color in _in_order(ordered, len(shown))] if ordered else []
        pool = in_order + [color for color in PALETTE if color not in in_order]
        fixed: dict[str, str] = {}
        matched = match and key != reference and not stored.get(key)
        if earlier := stored.get(key):
            fixed = dict(earlier)
        elif matched:
            color_of = dict(zip(labels[reference].categories, assigned[reference], strict=True))
            fixed = {name: color_of[other] for name, other in best_overlap(labels[reference], categorical).items()}
        fixed |= {name: to_hex(named[name]) for name in names if name in named}
        open_names = [name for name in shown if name not in fixed]
        open_names += [name for name in names if name not in fixed and name not in open_names]
        taken = {*fixed.values(), *(assigned[reference] if matched else ())}
        fixed |= zip(open_names, pick_distinct(len(open_names), taken=sorted(taken), pool=pool), strict=True)
        assigned[key] = [fixed[name] for name in names]
    return assigned


def keep_colors(table: AnnData, key: str, labels: pd.Categorical, colors: list[str]) -> None:
    """Store colours in ``uns["{key}_colors"]`` for the next picture; a view of a table stays a view."""
    if not table.is_view and stored_colors(table, key, labels) != dict(zip(labels.categories, colors, strict=True)):
        table.uns[ClusterKeys(key).colors] = list(colors)
