"""How results get back into what the user handed in: into it, or into a copy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from semst._inputs import is_spatialdata

if TYPE_CHECKING:
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
    ``data`` and ``table`` themselves, or their copies.
    """
    if not copy:
        return data, table
    if not is_spatialdata(data):
        copied = table.to_memory() if table.isbacked else table.copy()
        return copied, copied  # data is the table here
    from spatialdata import SpatialData

    copied = table.copy()
    elements = {name: copied if element is table else element for _, name, element in data.gen_elements()}
    return SpatialData.init_from_elements(elements, attrs=dict(data.attrs)), copied
