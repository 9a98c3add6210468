"""What counts as a label, and what as none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def empty_as_missing(labels: pd.Series) -> pd.Series:
    """Take the empty string for no label: files of text have no other way to leave one out.

    Parameters
    ----------
    labels
        Of any dtype.

    Returns
    -------
    The same, or a copy with NaN in place of empty strings; categories stay, also one that is the empty string.

    Examples
    --------
    >>> import pandas as pd
    >>> empty_as_missing(pd.Series(["a", "", None])).isna().tolist()
    [False, True, True]
    """
    empty = (labels == "").fillna(value=False).to_numpy(dtype=bool)
    return labels.mask(empty) if empty.any() else labels
