"""All that is wrong with an input, gathered first and raised once."""

from __future__ import annotations

import math
from difflib import get_close_matches
from numbers import Integral, Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


MOST_SEED = 2**31 - 1
"""Highest ``random_state``: libraries take 32 bits, and the starts of one run count on from it."""


class InputError(ValueError):
    """The input cannot be used; the message lists every problem and the way out of each."""


class MissingKeyError(InputError, KeyError):
    """As :class:`InputError`, where something is missing under a name; also a ``KeyError``."""

    # KeyError shows the repr of its argument, which would print line breaks as "\n".
    __str__ = ValueError.__str__


class Problems:
    """Collects problems while an input is checked.

    Examples
    --------
    >>> problems = Problems("semst.tl.cluster")
    >>> problems.add("n_clusters must be at least 2, got 1.")
    >>> problems.raise_if_any()
    Traceback (most recent call last):
    ...
    semst._problems.InputError: semst.tl.cluster: n_clusters must be at least 2, got 1.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._found: list[str] = []
        self._only_missing = True

    def add(self, message: str) -> None:
        """Note a problem of value: say the name, what is allowed, what was got, and the way out."""
        self._note(message)
        self._only_missing = False

    def missing(self, message: str) -> None:
        """Note that something is absent under a key: say what is there and the call that makes it."""
        self._note(message)

    def _note(self, message: str) -> None:
        # What is read slice by slice is often wrong in each of them alike.
        if message not in self._found:
            self._found.append(message)

    def whole(self, name: str, value: object, *, least: int) -> None:
        """Note an argument that is no whole number, or below ``least``."""
        if not is_whole(value, least=least):
            self.add(f"{name} must be a whole number of at least {least}, got {value!r}.")

    def seed(self, value: object) -> None:
        """Note a ``random_state`` that is no seed of all random numbers used here."""
        if not is_whole(value, least=0) or int(value) > MOST_SEED:  # type: ignore[call-overload]
            self.add(f"random_state must be a whole number from 0 to {MOST_SEED}, got {value!r}.")

    def number(self, name: str, value: object, *, least: float) -> None:
        """Note an argument that is no finite number, or below ``least``."""
        if not is_between(value, least, math.inf):
            self.add(f"{name} must be a finite number of at least {least:g}, got {value!r}.")

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self) -> None:
        """Raise one error that lists all problems, or do nothing.

        Raises
        ------
        MissingKeyError
            If all problems are missing keys.
        InputError
            If there is any other problem.
        """
        if not self._found:
            return
        kind = MissingKeyError if self._only_missing else InputError
        if len(self._found) == 1:
            message = f"{self.where}: {self._found[0]}"
            raise kind(message)
        listed = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(self._found, start=1))
        message = f"{self.where}: {len(self._found)} problems with the input.\n{listed}"
        raise kind(message)


def is_whole(value: object, *, least: int) -> bool:
    """Tell a whole number, Python's or numpy's, of at least ``least``; True and False are none.

    Examples
    --------
    >>> [is_whole(value, least=1) for value in (1, 0, 1.0, True, None)]
    [True, False, False, False, False]
    """
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def is_between(value: object, least: float, below: float) -> bool:
    """Tell a number, Python's or numpy's, of at least ``least`` and below ``below``; True and False are none.

    Examples
    --------
    >>> [is_between(value, 0, 1) for value in (0, 0.5, 1, True, "0.5", float("nan"))]
    [True, True, False, False, False, False]
    """
    return not isinstance(value, bool) and isinstance(value, Real) and bool(least <= float(value) < below)


def unknown(name: str, value: object, allowed: Sequence[str]) -> str:
    """Say that an argument has a value that there is not, and which one may have been meant.

    Examples
    --------
    >>> unknown("mode", "gens", ["genes", "spots"])
    "mode must be one of 'genes', 'spots', got 'gens' (did you mean 'genes'?)."
    """
    near = meant(value, allowed)
    return f"{name} must be one of {listed(allowed)}, got {value!r}{f' ({near})' if near else ''}."


def meant(name: object, names: Iterable[object]) -> str:
    """Ask whether a name was meant that is like the one that was given; empty where none is like it.

    Examples
    --------
    >>> meant("Cuonts", ["counts", "raw"])
    "did you mean 'counts'?"
    """
    spelled = {str(each).lower(): str(each) for each in names}
    near = [spelled[each] for each in get_close_matches(str(name).lower(), spelled, n=3, cutoff=0.6)]
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def counted(number: int, one: str, many: str) -> str:
    """Say how many there are, in the words for one or for several.

    Examples
    --------
    >>> counted(1, "spot has", "spots have"), counted(2, "spot has", "spots have")
    ('1 spot has', '2 spots have')
    """
    return f"{number} {one if number == 1 else many}"


def listed(names: object, *, limit: int = 8) -> str:
    """Show names in one line, at most ``limit`` of them.

    Examples
    --------
    >>> listed(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    >>> listed([])
    'none'
    """
    all_names = [str(name) for name in names]  # type: ignore[attr-defined]
    if not all_names:
        return "none"
    shown = ", ".join(repr(name) for name in all_names[:limit])
    rest = len(all_names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
