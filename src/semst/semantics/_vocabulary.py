"""Phrases that a domain may be named by: the vocabulary that ships with the package, and a user's own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from semst._problems import listed
from semst.semantics._tab_separated import read_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst._problems import Problems

VocabularySource: TypeAlias = "Sequence[str] | Mapping[str, str] | os.PathLike[str] | str"

KINDS = ("cell type", "region", "structure", "process")
"""Kinds of the packaged terms; a user's own vocabulary may have others."""

VECTORS = ("plain", "asked", "defined")
"""Names of the arrays of a :class:`Vocabulary`."""

ASK = "The protein encoded by this gene functions in {}."
"""A phrase in the style of the summaries that gene vectors are made of: nearer to its genes than the bare phrase."""

_FILE = "vocabulary.npz"
_ANY_ORGAN = "any"
_COLUMNS = ("term", "kind", "organ", "definition")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms and their place in the space of the packaged gene table.

    Attributes
    ----------
    terms
        ``n`` phrases, no two the same but for case.
    kinds
        Kind of each: ``"cell type"``, ``"region"`` (a part of an organ), ``"structure"`` (what one would outline and
        name on a section, tumors included) or ``"process"``.
    organs
        Where each belongs, such as ``"brain"`` or ``"immune"``; with a slash if it belongs to one part alone, such as
        ``"brain/cortex"``; ``"any"`` if it is found all over the body.
    definitions
        One sentence each: what it is made of or does, in the language of molecular biology.
    plain, asked, defined
        ``(n, 128)`` float32, read-only, not of unit length: what ``PackagedTable.project`` makes of the embedding of
        the term, of the sentence that asks for it (:data:`ASK`), and of its definition.
    """

    terms: tuple[str, ...]
    kinds: tuple[str, ...]
    organs: tuple[str, ...]
    definitions: tuple[str, ...]
    plain: NDArray[np.float32]
    asked: NDArray[np.float32]
    defined: NDArray[np.float32]


class Terms(NamedTuple):
    """Terms without vectors; all of one length.

    Kinds and definitions that are not given are ``""``, organs ``"any"``.
    """

    terms: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    organs: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def packaged_vocabulary() -> Vocabulary:
    """Vocabulary that ships with semst; read once, then kept.

    Returns
    -------
    The vocabulary. Its arrays are read-only, since everybody shares them.

    Notes
    -----
    ``term, question or definition -> all-MiniLM-L6-v2 (384 dimensions) -> PackagedTable.project (128) -> int8``.
    ``datasets/vocabulary`` in the repository holds the terms, the script, and what was measured.

    Examples
    --------
    >>> vocabulary = packaged_vocabulary()
    >>> vocabulary.kinds[vocabulary.terms.index("choroid plexus")]
    'structure'
    >>> vocabulary.defined.shape == (len(vocabulary.terms), 128)
    True
    """
    path = files("semst.semantics").joinpath("tables", _FILE)
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        texts: dict[str, Any] = {name: tuple(archive[name].tobytes().decode().split("\n")) for name in Terms._fields}
        vectors: dict[str, Any] = {
            name: archive[name].astype(np.float32) * np.float32(archive["scale"]) for name in VECTORS
        }
    for array in vectors.values():
        array.setflags(write=False)
    return Vocabulary(**texts, **vectors)


def read_vocabulary(source: VocabularySource, *, problems: Problems) -> Terms:
    """Read the user's own vocabulary; it is not embedded here.

    Parameters
    ----------
    source
        Terms, at least one: a sequence of str (list, tuple, or one-dimensional array, Series or Index of str); a
        mapping of each term to its kind; or the path of a tab-separated file in UTF-8 with a header that names the
        column ``term`` and, if there are such columns, ``kind``, ``organ`` and ``definition``. Any kind and organ is
        allowed; other columns are ignored. Spaces around a term are removed, several inside it become one.
    problems
        Collects whatever makes the vocabulary unusable.

    Returns
    -------
    Terms in the order given; none if there was a problem.

    Examples
    --------
    >>> from semst._problems import Problems
    >>> found = read_vocabulary({"mossy fibers": "structure", "spiny  cells": "cell type"}, problems=Problems("here"))
    >>> found.terms, found.kinds, found.organs
    (('mossy fibers', 'spiny cells'), ('structure', 'cell type'), ('any', 'any'))
    """
    before = len(problems)
    rows = _rows(source, problems)
    if rows is not None:
        _check(rows, problems)
    if rows is None or len(problems) > before:
        return Terms()
    terms, kinds, organs, definitions = zip(*rows, strict=True)
    return Terms(
        terms=tuple(_tidy(term) for term in terms),
        kinds=tuple(_tidy(kind) for kind in kinds),
        organs=tuple(_tidy(organ) or _ANY_ORGAN for organ in organs),
        definitions=tuple(_tidy(definition) for definition in definitions),
    )


_Row: TypeAlias = tuple[Any, Any, str, str]


def _rows(source: Any, problems: Problems) -> list[_Row] | None:  # noqa: ANN401 - told apart here
    """Term, kind, organ and definition of each entry, unchecked; None if the source is of no known form."""
    if isinstance(source, Mapping):
        return [(term, kind, _ANY_ORGAN, "") for term, kind in source.items()]
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source), problems)
    # Arrays, Series and Index are no Sequence; a DataFrame has no tolist, and would yield its column names.
    terms = source.tolist() if hasattr(source, "tolist") else source
    if not isinstance(terms, Sequence) or isinstance(terms, str | bytes | bytearray):
        problems.add(
            "a vocabulary must be a sequence of str, a mapping of terms to kinds, or the path of a tab-separated file, "
            f"got {type(source).__name__}."
        )
        return None
    return [(term, "", _ANY_ORGAN, "") for term in terms]


def _read_file(path: Path, problems: Problems) -> list[_Row] | None:
    fields = read_fields(
        path, _COLUMNS, problems, needed=["term"], what="a vocabulary",
        way_out="; a str is taken for a path, so put terms into a list, even one",
    )  # fmt: skip
    if fields is None:
        return None
    return [(field["term"], field["kind"], field["organ"], field["definition"]) for field in fields]


def _check(rows: list[_Row], problems: Problems) -> None:
    """Note all that is wrong with the entries."""
    if not rows:
        problems.add("the vocabulary holds no terms; give at least one.")
    no_text = [term for term, *_ in rows if not isinstance(term, str)]
    if no_text:
        problems.add(f"the terms of a vocabulary must be str; {listed(no_text)} are not.")
    empty = [number for number, (term, *_) in enumerate(rows, start=1) if isinstance(term, str) and not term.strip()]
    if empty:
        problems.add(f"the vocabulary holds empty terms, as number {listed(empty)}; remove them.")
    # MiniLM reads everything in lower case: terms that differ in case only would be one vector twice.
    spellings = defaultdict(list)
    for term, *_ in rows:
        if isinstance(term, str) and term.strip():
            spellings[_tidy(term).casefold()].append(term)
    repeated = [several[0] for several in spellings.values() if len(several) > 1]
    if repeated:
        problems.add(
            f"the vocabulary holds {len(repeated)} terms more than once, upper and lower case and spaces aside: "
            f"{listed(repeated)}; keep one of each."
        )
    no_kind = [term for term, kind, *_ in rows if not isinstance(kind, str)]
    if no_kind:
        problems.add(f"the kinds of a vocabulary must be str; those of {listed(no_kind)} are not.")


def _tidy(text: str) -> str:
    return " ".join(text.split())
