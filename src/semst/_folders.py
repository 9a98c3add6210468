"""Where semst keeps what it need not fetch or compute twice, and how new files take the place of old ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def move_all(made: Mapping[Path, Path]) -> None:
    """Move files and folders to their places, all of them or none.

    Parameters
    ----------
    made
        By the place where it shall be: where it was made, on the same disk. What is at a place already is moved to
        ``"replaced-" + name`` beside the new one, and it is up to the caller to delete it there.

    Raises
    ------
    OSError
        If something cannot be moved. All is then as it was, and so it is where Ctrl-C comes between.
    """
    try:
        for place, new in made.items():
            if os.path.lexists(place):
                place.rename(_replaced(new))
            new.rename(place)
    except BaseException:
        for place, new in made.items():
            _move_back(place, new)
        raise


def _replaced(new: Path) -> Path:
    return new.with_name(f"replaced-{new.name}")


def _move_back(place: Path, new: Path) -> None:
    if os.path.lexists(place) and not os.path.lexists(new):
        place.rename(new)
    if os.path.lexists(_replaced(new)):
        _replaced(new).rename(place)
