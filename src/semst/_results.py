"""How results get back into what the user handed in: into it, or into a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from semst._inputs import is_spatialdata
from semst._keys import SPATIAL

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from anndata import AnnData
    from spatialdata import SpatialData

    from semst._problems import Problems

Data = TypeVar("Data", "AnnData", "SpatialData")

# What both anndata and SpatialData can write as the name of a group: the latter is the stricter.
_WRITABLE = re.compile(r"(?!__)[A-Za-z0-9_.-]+")


def check_key(key: object, problems: Problems, *, argument: str = "key_added") -> None:
    """Note a key under which nothing could be written to disk."""
    if not isinstance(key, str) or not _WRITABLE.fullmatch(key) or key in {".", ".."}:
        problems.add(
            f"{argument} must be made of letters, digits, '_', '-' and '.', and not begin with '__', got {key!r}; "
            "other names cannot be written to disk."
        )


def has(stored: object, *entries: str) -> bool:
    """Tell by the entries that a result always has whether that is what was found in ``uns``."""
    return isinstance(stored, Mapping) and set(entries) <= set(stored)


def check_untaken(
    table: AnnData,
    key: object,
    places: Sequence[tuple[str, str]],
    problems: Problems,
    *,
    known_by: Collection[str] = (),
    argument: str = "key_added",
) -> None:
    """Note names under which results would take the place of what semst did not write.

    Parameters
    ----------
    table
        That results go into.
    key
        The value of ``argument``, from which the names are made; one that is no name is left to :func:`check_key`.
    places
        Slots of the table, such as ``"obs"``, each with a name in it.
    problems
        Collects: what is there, or that the name is meant for coordinates.
    known_by
        Entries by which an earlier result of the same verb is known, if the first place holds one: then all places are
        its own. The default knows none: places of earlier results are left out by the caller.
    argument
        That the user passes.
    """
    if not isinstance(key, str) or (known_by and has(table.uns.get(places[0][1]), *known_by)):
        return
    there = [f"{slot}[{name!r}]" for slot, name in places if name in getattr(table, slot)]
    if there:
        problems.add(
            f"{argument}={key!r} would take the place of {' and '.join(there)}, which is no earlier result of semst; "
            "choose another name, or delete that first if it may go."
        )
    elif ("uns", SPATIAL.coordinates) in places:
        problems.add(f"{argument}={key!r} is the name of coordinates and images; choose another name.")


def check_writable(table: AnnData, problems: Problems, *, copy: bool) -> None:
    """Note a table that results cannot be written into, before they are computed."""
    if table.is_view and table.isbacked and not copy:
        # `copy=True` would do as well, but not every verb has it.
        problems.add("nothing can be written into a view of a backed AnnData; pass its `.to_memory()`.")


def actualise(table: AnnData) -> None:
    """Make a view a table of its own before something is written into it, in silence, as ``scanpy.tl.leiden`` does.

    Whoever wants results in ``adata[some]`` can have them nowhere else; what it was cut from stays as it was.
    """
    if table.is_view:
        table.obs_names = table.obs_names  # anndata copies what a view shows when any of it is set


def target(data: Data, table: AnnData, *, copy: bool) -> tuple[Data, AnnData]:
    """Give the object that is to be returned, and the table in it that is to be written.

    Parameters
    ----------
    data
        What the user handed in.
    table
        Its table, as :func:`semst._inputs.find_table` gives it.
    copy
        Whether the results go into a copy, which is in memory also where the table is backed by a file. Of a
        SpatialData only the table is copied; images, shapes and all other elements are shared with the original.

    Returns
    -------
    ``data`` and ``table`` themselves, or their copies; never a view.
    """
    if not copy:
        actualise(table)
        return data, table
    if not is_spatialdata(data):
        copied = table.to_memory() if table.isbacked else table.copy()
        return copied, copied  # data is the table here
    from spatialdata import SpatialData

    copied = table.copy()
    elements = {name: copied if element is table else element for _, name, element in data.gen_elements()}
    return SpatialData.init_from_elements(elements, attrs=dict(data.attrs)), copied
