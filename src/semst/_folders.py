"""Where semst keeps what it need not fetch or compute twice."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(path: str | os.PathLike[str] | None = None, *, variable: str) -> Path:
    """Find a folder for the cache: what the user names, in a call or in the environment, or the system's place.

    Parameters
    ----------
    path
        As an argument of a public function; a leading ``~`` is the user's home, here and in the environment.
    variable
        Environment variable that counts where no path is given, if it is set and not empty.

    Returns
    -------
    A path that need not exist.
    """
    named = (os.environ.get(variable) or None) if path is None else path
    if named is not None:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("semst"))
