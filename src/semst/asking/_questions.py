"""What is asked of a tissue: words, a gene, or a set of genes, each under a name that can be written to disk."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from semst._keys import QueryKeys
from semst._problems import counted, listed
from semst.asking._asked_genes import one_gene, positions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from semst._problems import Problems
    from semst.semantics._words import WordSpace

Questions: TypeAlias = "str | Iterable[str] | Mapping[str, str | Iterable[str]]"

_LONGEST = 60  # letters of a name
_TERMS = 5  # that are named as what words were read as


@dataclass(frozen=True)
class Question:
    """One query.

    Parameters
    ----------
    name
        Letters, digits and ``_``: part of the keys under which results are written.
    text
        The words; empty for genes.
    genes
        Positions of the genes in the table; empty for words.
    called
        The name as the user wrote it.
    missing
        Names of genes that were asked for and are not in the table; with a text, that text.
    respelt
        A word that was taken for a gene of another spelling; it may have been meant as a word.
    """

    name: str
    text: str = ""
    genes: tuple[int, ...] = ()
    called: str = field(default="", compare=False)
    missing: tuple[str, ...] = field(default=(), compare=False)
    respelt: str = field(default="", compare=False)

    def asked(self, gene_names: Sequence[str]) -> str:
        """Give the words, or the genes by their names in the table."""
        return self.text or ", ".join(str(gene_names[gene]) for gene in self.genes)


def read_questions(
    asked: Questions, gene_names: Sequence[str], problems: Problems, *, earlier: Iterable[str] | None = None
) -> list[Question]:
    """Tell words from genes, which :mod:`semst.asking._asked_genes` finds in other spellings too.

    Parameters
    ----------
    asked
        Words; several of them; or a mapping of names to words or collections of gene names.
    gene_names
        Of the table.
    problems
        Collects: nothing asked, no text, genes that are not in the table, names that cannot be told apart.
    earlier
        Names of earlier queries that are still there, each of which may be asked anew.
    """
    entries = _entries(asked)
    if entries is None or not entries:
        problems.add(
            "the query must be words, a sequence of them, or a mapping of names to words or lists of genes; "
            f"got {reprlib.repr(asked)}."
        )
        return []
    questions = []
    own = isinstance(asked, Mapping)
    for given, content in entries:
        name = " ".join(given.split())
        if isinstance(content, str):
            text = " ".join(content.split())
            if not text:
                problems.add(f"the query {name!r} holds no words.")
            gene, meant = one_gene(text, gene_names)
            # Names that somebody chose keep their spelling: of the query, and of the gene.
            short = own_name(name) if own or gene is not None else short_name(name)
            questions.append(
                Question(short, genes=(gene,), called=name, respelt="" if text == gene_names[gene] else text)
                if gene is not None
                else Question(short, text=text, called=name, missing=(text,) if meant else ())
            )
            continue
        genes = _strings(content)
        if genes is None:
            problems.add(
                f"the query {name!r} must be words or a list of gene names, got {reprlib.repr(content)}; "
                "make it a list of str."
            )
            continue
        found = positions(genes, gene_names)
        missing = [gene for gene in genes if gene not in found]
        if not found:
            none = f"none of the {counted(len(genes), 'gene', 'genes')}"
            problems.add(f"{none} of the query {name!r} is in var_names ({listed(genes)}).")
        distinct = dict.fromkeys(found.values())
        questions.append(Question(own_name(name), genes=tuple(distinct), called=name, missing=tuple(missing)))
    _check_names([question.name for question in questions], set(earlier or ()), problems)
    return questions


def _check_names(asked: Sequence[str], earlier: set[str], problems: Problems) -> None:
    """Note names that cannot be told apart from each other, or from those of earlier queries."""
    # Some file systems take upper and lower case for the same.
    names = [name.lower() for name in asked]
    repeated = sorted({name for name in names if names.count(name) > 1 or not name})
    if repeated:
        problems.add(
            f"queries must have different names with letters or digits in them; check {listed(repeated)}, or give them "
            "names of your own: `{'a name': 'the words', ...}`."
        )
    there = {name.lower(): name for name in sorted(earlier)}
    respelt = sorted(there[name.lower()] for name in set(asked) - earlier if name.lower() in there)
    if respelt:
        told = "earlier queries have these names in another spelling"
        problems.add(f"{told}: {listed(respelt)}; take theirs, or other names.")
    of_p = {name: QueryKeys("").p_value(name).strip("_") for name in {*names, *there}}
    clashing = sorted(p for name, p in of_p.items() if p in of_p and (name in names or p in names))
    if clashing:
        problems.add(
            f"the p-values of another query would be called {listed(clashing)} as well; name one of them otherwise."
        )


def _entries(asked: Questions) -> list[tuple[str, Any]] | None:
    if isinstance(asked, str):
        return [(asked, asked)]
    if isinstance(asked, Mapping):
        return [(str(name), content) for name, content in asked.items()]
    several = _strings(asked)
    return None if several is None else [(one, one) for one in several]


def _strings(collection: object) -> list[str] | None:
    """Give the str in a list, an array, an index or a set (which has no order of its own); None for all else."""
    if not isinstance(collection, Iterable):
        return None
    found = list(collection)
    if not all(isinstance(each, str) for each in found):
        return None
    return sorted(found) if isinstance(collection, Set) else [str(each) for each in found]


def short_name(words: str) -> str:
    """Make a name that can be written to disk from words.

    Examples
    --------
    >>> short_name("Myelin sheath, of oligodendrocytes!")
    'myelin_sheath_of_oligodendrocytes'
    """
    return own_name(words.lower())


def own_name(name: str) -> str:
    """Make a name that can be written to disk from one that somebody chose, in the same spelling.

    Examples
    --------
    >>> own_name("T cells: CD3+")
    'T_cells_CD3'
    """
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:_LONGEST].rstrip("_")


@dataclass(frozen=True)
class Weighed:
    """A query as weights of genes.

    Parameters
    ----------
    question
        What was asked.
    weights
        ``(g,)`` float64.
    likeness
        ``(g,)`` float32 cosines of the genes with the words; NaN for genes without a vector, and for sets of genes.
    read_as
        Terms of the vocabulary most like the words, the nearest first; none for sets of genes.
    nearness
        Cosine of the words with the first of these; NaN for sets of genes.
    """

    question: Question
    weights: NDArray[np.float64]
    likeness: NDArray[np.float32]
    read_as: tuple[str, ...] = ()
    nearness: float = math.nan


def weigh(
    questions: Sequence[Question], n_genes: int, vectors: NDArray[np.float32] | None, space: WordSpace | None
) -> list[Weighed]:
    """Turn queries into weights of ``n_genes`` genes; vectors ``(g, d)`` and space are needed where there are words."""
    texts = [question.text for question in questions if question.text]
    of_words: dict[str, tuple[Any, ...]] = {}
    if texts and vectors is not None and space is not None:
        directions, terms = space.directions(texts)
        weights, cosines = weights_of_directions(directions, vectors, emphasis=steep)
        of_words = dict(zip(texts, zip(weights.T, cosines.T, terms, strict=True), strict=False))
    weighed = []
    for question in questions:
        if question.text:
            weight, cosine, likeness = of_words[question.text]
            nearest = np.argsort(-likeness, kind="stable")[:_TERMS]
            read_as = tuple(space.glossary.terms[term] for term in nearest) if space is not None else ()
            weighed.append(Weighed(question, weight, cosine, read_as, float(likeness.max())))
        else:
            weight = np.zeros(n_genes)
            weight[list(question.genes)] = 1
            weighed.append(Weighed(question, weight, np.full(n_genes, np.nan, dtype=np.float32)))
    return weighed


Emphasis: TypeAlias = "Callable[[NDArray[np.float64]], NDArray[np.float64]]"


def steep(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh genes exponentially: few carry a map, which covariance then widens."""
    weights: NDArray[np.float64] = np.exp(z)
    return weights


def broad(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh genes by squares, and none that fits worse than the mean gene: a test lives on many genes."""
    weights: NDArray[np.float64] = np.square(np.maximum(z, 0))
    return weights


def weights_of_directions(
    directions: NDArray[np.float32], vectors: NDArray[np.float32], *, emphasis: Emphasis
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    r"""Weigh genes by how well words fit them.

    .. math:: w_g = f(z_g), \qquad z_g = (\cos(e_g, q) - m) / s

    with the mean :math:`m` and standard deviation :math:`s` over the genes that have a vector; the others get the
    mean weight, which says nothing.

    Parameters
    ----------
    directions
        ``(m, d)``: of the words.
    vectors
        ``(g, d)`` float32, rows of zeros for genes without one.
    emphasis
        :math:`f`: :func:`steep` or :func:`broad`.

    Returns
    -------
    Weights ``(g, m)`` float64, and cosines ``(g, m)`` float32, NaN for genes without a vector.
    """
    from semst.semantics._words import unit

    known = vectors.any(axis=1)
    cosines = (unit(vectors) @ unit(directions).T).astype(np.float32)
    among = cosines[known].astype(np.float64)
    spread = among.std(axis=0)
    weights = np.empty(cosines.shape)
    weights[known] = emphasis((among - among.mean(axis=0)) / np.where(spread > 0, spread, 1))
    weights[~known] = weights[known].mean(axis=0)
    cosines[~known] = np.nan
    return weights, cosines
