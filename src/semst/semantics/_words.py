"""From words of a user to directions in the space of the gene vectors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from semst.semantics._cache import encode_cached
from semst.semantics._encoders import MINILM, why_no_encoder
from semst.semantics._packaged import packaged_table
from semst.semantics._vocabulary import ASK, packaged_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from semst._problems import Problems
    from semst.semantics._encoders import Encoder

    Place = Callable[[Sequence[str]], NDArray[np.float32]]

PACKAGED = "packaged"  # what ``uns`` calls the source of the vectors that come with semst

_SAME = 0.99  # cosine of what an encoder makes of a text and what the packaged one did; number formats differ less
_SHARPNESS = 10.0  # how much nearer terms count for more; chosen by textbook markers, see datasets/vocabulary


@dataclass(frozen=True)
class Glossary:
    """The vocabulary in the space of some gene vectors; each array ``(n, d)`` float32."""

    terms: tuple[str, ...]
    definitions: tuple[str, ...]
    plain: NDArray[np.float32]
    asked: NDArray[np.float32]
    defined: NDArray[np.float32]


@dataclass(frozen=True)
class WordSpace:
    """Gene vectors that words can be compared with.

    Parameters
    ----------
    place
        Puts texts into the space of the gene vectors: ``(n, d)`` float32.
    glossary
        The vocabulary there.
    """

    place: Place
    glossary: Glossary

    def directions(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        r"""Find where genes lie that do what the texts say.

        Half of a direction is the text itself, put into the words in which genes are described; the other half are
        the definitions of the terms of the vocabulary that are most like it, so that "white matter", of which no
        summary of a gene speaks, leads to the genes of myelin. Both are taken against the mean of the vocabulary,
        which removes what all phrases share.

        Parameters
        ----------
        texts
            ``n`` phrases.

        Returns
        -------
        Directions ``(n, d)``, and the cosine of each text with each term of the vocabulary ``(n, terms)``, float32.

        Notes
        -----
        With the texts' vectors :math:`p` (as typed) and :math:`a` (asked for), those of the terms :math:`P, A` and of
        their definitions :math:`D`, bars for means, and :math:`u(x) = x / |x|`:

        .. math::

            q = u(a - \bar A) + u\Big(\sum_t \omega_t (D_t - \bar D)\Big), \qquad
            \omega = \operatorname{softmax}_t \big( 10 \cos(p - \bar P, P_t - \bar P) \big)
        """
        known = self.glossary
        plain = unit(self.place(texts) - known.plain.mean(axis=0))
        asked = unit(self.place([ASK.format(text) for text in texts]) - known.asked.mean(axis=0))
        likeness = plain @ unit(known.plain - known.plain.mean(axis=0)).T
        weights = np.exp(_SHARPNESS * (likeness - likeness.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        return asked + unit(weights @ (known.defined - known.defined.mean(axis=0))), likeness

    def of_terms(self, terms: Sequence[str], definitions: Sequence[str]) -> NDArray[np.float32]:
        """Directions of terms that bring their own definition; of one without (``""``), as :meth:`directions`."""
        known = self.glossary
        row = {term: number for number, term in enumerate(known.terms)}
        meant = dict(zip(known.terms, known.definitions, strict=True))
        if all(text and meant.get(term) == text for term, text in zip(terms, definitions, strict=True)):
            rows = [row[term] for term in terms]
            asked, defined = known.asked[rows], known.defined[rows]
        else:
            asked = self.place([ASK.format(term) for term in terms])
            defined = self.place([text or term for term, text in zip(terms, definitions, strict=True)])
        found = unit(asked - known.asked.mean(axis=0)) + unit(defined - known.defined.mean(axis=0))
        without = [row for row, text in enumerate(definitions) if not text]
        if without:
            found[without] = self.directions([terms[row] for row in without])[0]
        return found


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring rows to unit length; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)


def word_space(
    source: str | None,
    encoder: Encoder | str | os.PathLike[str] | None,
    problems: Problems,
    *,
    key: str,
    cache_dir: str | os.PathLike[str] | None = None,
) -> WordSpace | None:
    """Open the encoder that the gene vectors were made with.

    Parameters
    ----------
    source
        What ``uns`` says the gene vectors were made with, empty where it does not; None where there are none, and the
        encoder alone is checked.
    encoder
        What the user gives; the default is only known for the vectors that come with semst.
    problems
        Collects: no encoder, or another one.
    key
        Of ``varm``, for messages.
    cache_dir
        Folder that keeps the vectors of texts.

    Returns
    -------
    The space; None where ``problems`` says why not.
    """
    no_encoder = "" if encoder is None else why_no_encoder(encoder)
    if no_encoder:
        problems.add(no_encoder)
    if no_encoder or source is None:
        return None
    if not source:
        problems.add(
            f"what the gene vectors in varm[{key!r}] were made with is not known, as uns[{key!r}] is lost "
            "(`anndata.concat` drops it); run `semst.pp.gene_semantics` again."
        )
        return None
    if source == PACKAGED and encoder is not None and not _made_the_package(_open(encoder)):
        problems.add(
            f"the gene vectors in varm[{key!r}] came with semst, and were made by {MINILM!r}, not by "
            f"{_open(encoder).name!r}; leave `encoder` out, or run `semst.pp.gene_semantics` with it."
        )
        return None
    if source == PACKAGED:

        def place_in_package(texts: Sequence[str]) -> NDArray[np.float32]:
            # Opened when the first text comes: the terms of the vocabulary need no model.
            return packaged_table().project(_open(MINILM if encoder is None else encoder).encode(list(texts)))

        return WordSpace(place_in_package, _packaged_glossary())
    if encoder is None:
        problems.add(
            f"the gene vectors in varm[{key!r}] come from {source!r}, and words can only be compared with them through "
            "the encoder that made them: give it with `encoder`, or ask for genes by name."
        )
        return None
    opened = _open(encoder)
    if opened.name != source:
        problems.add(
            f"the gene vectors in varm[{key!r}] were made by {source!r}, not by {opened.name!r}; give that encoder, "
            "ask for genes by name, or run `semst.pp.gene_semantics` again."
        )
        return None

    def place(texts: Sequence[str]) -> NDArray[np.float32]:
        return encode_cached(opened, list(texts), cache_dir=cache_dir, progress=False)

    words = packaged_vocabulary()
    asked = [ASK.format(term) for term in words.terms]
    return WordSpace(
        place, Glossary(words.terms, words.definitions, place(words.terms), place(asked), place(words.definitions))
    )


def _packaged_glossary() -> Glossary:
    words = packaged_vocabulary()
    return Glossary(words.terms, words.definitions, words.plain, words.asked, words.defined)


def _made_the_package(encoder: Encoder) -> bool:
    """Let the encoder read a term whose vector is known; names say nothing, for a model may lie in any folder."""
    words, table = packaged_vocabulary(), packaged_table()
    read = np.asarray(encoder.encode([words.terms[0]]), dtype=np.float32)
    if read.shape != (1, table.mean.size) or not np.isfinite(read).all():
        return False
    return bool((unit(table.project(read)) @ unit(words.plain[:1]).T).item() > _SAME)


def _open(encoder: Encoder | str | os.PathLike[str]) -> Encoder:
    return _load(os.fspath(encoder)) if isinstance(encoder, str | os.PathLike) else encoder


@lru_cache(maxsize=1)
def _load(model: str) -> Encoder:
    """Load a model once: the second question should not wait for it."""
    from semst.semantics._sentence import SentenceEncoder

    return SentenceEncoder(model)
