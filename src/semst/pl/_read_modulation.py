"""What :func:`semst.tl.cluster` left of the modulation of a tissue, by the domains that the table has now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import IN_MODULATION, ModulationKeys
from semst._problems import Problems, listed
from semst.pl._colors import as_labels, assign_colors, check_labels, reading_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("semst")

_ROUNDING = 1e-4  # of a mean of float32


@dataclass(frozen=True)
class Modulated:
    """What is drawn for each domain, in the order of the legend of :func:`semst.pl.domains`."""

    labels: pd.Categorical  # with ``assigned`` for its categories; the rest for the names
    assigned: list[str]
    names: list[str]
    colors: list[str]
    alpha: list[NDArray[np.float64]]
    beta: list[NDArray[np.float64]]
    rows: list[int]  # of the arrays in uns
    stored: Mapping[str, Any]


def read_modulation(table: AnnData, key: str, problems: Problems, *, name: str) -> Modulated | None:
    """Read it; None where ``problems`` says why not. ``name`` is what the user calls the data."""
    keys = ModulationKeys(key)
    written: Any = table.uns.get(key)
    stored: Any = written.get(keys.uns) if hasattr(written, "get") else None
    missing = [f"obs[{each!r}]" for each in (key, keys.alpha, keys.beta) if each not in table.obs]
    if stored is None:
        missing.append(f"uns[{key!r}][{keys.uns!r}]")
    if missing:
        problems.missing(
            f"no {' and no '.join(missing)}; uns has {listed(table.uns)}. They are left by "
            f"`semst.tl.cluster({name}, n_clusters=...)`, unless it is told to do without semantics or has more than "
            f"10 000 spots, and taken away by later domains under the same key; this table has {table.n_obs}."
        )
        return None
    column = table.obs[key]
    if not check_labels(column, key, problems):
        return None
    labels = as_labels(column)
    if labels is None:  # names that were read as numbers
        labels = as_labels(column.astype(object))
    assert labels is not None  # for the type checker: objects are never numbers
    columns = {IN_MODULATION.alpha: keys.alpha, IN_MODULATION.beta: keys.beta}
    values = {entry: table.obs[each].to_numpy(dtype=np.float64) for entry, each in columns.items()}
    renamed = isinstance(column.dtype, pd.CategoricalDtype)
    place = _rows(labels, values, stored, renamed=renamed)
    names = reading_order(labels)
    if place is None:
        problems.add(
            f"obs[{key!r}] has the domains {listed(names)}, but its modulation is that of "
            f"{listed(stored[IN_MODULATION.domains])}; run `semst.tl.cluster` again, or write other labels under "
            "another key. New names are known by the spots of their domains, of which none may be gone."
        )
        return None
    if not _agree(labels, values, stored, place):
        logger.warning(
            "modulation: the spots of the domains in obs[%r] are not those of the run, as in a part of a tissue; genes "
            "are those of whole domains, found by name. If names were given anew, they may stand beside others.",
            key,
        )
    assigned = assign_colors(table, {key: labels}, palette=None, match=False)[key]
    colors = dict(zip(labels.categories, assigned, strict=True))
    inside = [np.asarray(labels == domain) for domain in names]
    return Modulated(
        labels,
        assigned,
        names,
        [colors[domain] for domain in names],
        [values[IN_MODULATION.alpha][spots] for spots in inside],
        [values[IN_MODULATION.beta][spots] for spots in inside],
        [place[domain] for domain in names],
        stored,
    )


def _rows(
    labels: pd.Categorical,
    values: Mapping[str, NDArray[np.float64]],
    stored: Mapping[str, Any],
    *,
    renamed: bool,
) -> dict[str, int] | None:
    """Row of what is stored for each domain: by its name or, where names may have been changed, by its place or means.

    Parameters
    ----------
    labels
        Of all spots.
    values
        ``(n,)`` of the spots, by the name under which their means over domains are stored.
    stored
        What :func:`semst.tl.cluster` left.
    renamed
        Whether the categories have an order of their own, which they keep when they are renamed.

    Returns
    -------
    The rows; None where the labels are others. The means over domains tell a name that was given to another domain from
    a part of the tissue, in which names hold and means do not.
    """
    told = {str(domain): row for row, domain in enumerate(stored[IN_MODULATION.domains])}
    by_name = told if set(reading_order(labels)) <= set(told) else None
    in_order = {str(domain): row for row, domain in enumerate(labels.categories)}
    by_place = in_order if renamed and len(in_order) == len(told) else None
    for rows in (by_name, by_place):
        if rows is not None and _agree(labels, values, stored, rows):
            return rows
    return _by_means(labels, values, stored) or by_name


def _by_means(
    labels: pd.Categorical, values: Mapping[str, NDArray[np.float64]], stored: Mapping[str, Any]
) -> dict[str, int] | None:
    """Row of each domain by its means over spots; None unless each domain has those of one row, and no two of one."""
    told = {each: np.asarray(stored[each]) for each in values.keys() & stored.keys()}
    found = {}
    for domain in reading_order(labels):
        spots = np.asarray(labels == domain)
        close = [np.isclose(values[each][spots].mean(), means, rtol=_ROUNDING, atol=0) for each, means in told.items()]
        rows = np.flatnonzero(np.all(close, axis=0)) if close else np.empty(0, dtype=np.int64)
        if rows.size != 1:
            return None
        found[str(domain)] = int(rows[0])
    return found if len(set(found.values())) == len(found) else None


def _agree(
    labels: pd.Categorical,
    values: Mapping[str, NDArray[np.float64]],
    stored: Mapping[str, Any],
    rows: Mapping[str, int],
) -> bool:
    """Tell whether the means over domains are those that are stored in these rows, if any are."""
    names = reading_order(labels)
    inside = [np.asarray(labels == domain) for domain in names]
    for each in values.keys() & stored.keys():
        means = [float(values[each][spots].mean()) for spots in inside]
        told = np.asarray(stored[each])[[rows[domain] for domain in names]]
        if not np.allclose(means, told, rtol=_ROUNDING, atol=0):
            return False
    return True
