"""Tables of text, tab-separated with a header, as spreadsheets write them and people mend them by hand."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from semst._problems import listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from semst._problems import Problems


def read_fields(
    path: Path, columns: Sequence[str], problems: Problems, *, needed: Sequence[str], what: str, way_out: str = ""
) -> list[dict[str, str]] | None:
    """Read some columns of such a table.

    Parameters
    ----------
    path
        The file, UTF-8 with or without a byte order mark. Quotes are ordinary characters; NA is a gene.
    columns
        Columns to read; others are passed over.
    problems
        Collects: no such file, what cannot be read, columns that are missing, lines with more fields than the header.
    needed
        Those of the columns that must be there.
    what
        What the file holds, for the error message.
    way_out
        What else may be meant where there is no such file.

    Returns
    -------
    A dict for each line that is not blank, with a str for each of ``columns``, empty where the line or the whole table
    has none; None where ``problems`` says why not.
    """
    if not path.is_file():
        problems.missing(f"no file {str(path)!r} with {what}{way_out}.")
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            header, *lines = list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        problems.add(f"{path.name!r} cannot be read: {error}")
        return None
    there = [name.strip() for name in header]
    if not set(needed) <= set(there):
        named = "the column" if len(needed) == 1 else "the columns"
        problems.missing(
            f"{path.name!r} must be tab-separated with a header that names {named} "
            f"{' and '.join(map(repr, needed))}; it has {listed(there)}."
        )
        return None
    too_long = [number for number, line in enumerate(lines, start=2) if any(line[len(there) :])]
    if too_long:
        problems.add(f"{path.name!r} has more fields than its header in the lines {listed(too_long)}.")
    place = {name: there.index(name) for name in columns if name in there}
    return [
        {name: line[place[name]] if name in place and place[name] < len(line) else "" for name in columns}
        for line in lines
        if any(field.strip() for field in line)
    ]
