"""What counts as a label, and what as none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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


def numbered(labels: ArrayLike) -> NDArray[np.int64]:
    """Number the categories of labels ``(n,)``, int64; -1 where there is none."""
    if isinstance(labels, pd.Series | pd.Categorical | pd.Index):
        values = pd.Series(labels)
    elif isinstance(labels, np.ndarray):
        values = pd.Series(labels.ravel())
    else:
        values = pd.Series(list(labels), dtype=object)  # type: ignore[arg-type]
    return np.asarray(pd.factorize(empty_as_missing(values))[0], dtype=np.int64)
