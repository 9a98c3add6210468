from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from semst._batch_key import read_slices
from semst._inputs import check_names, find_table, read_counts
from semst._joined import warn_of_domains_of_slices
from semst._keys import CLUSTER, IN_DESCRIPTION, SEMANTICS, UNNAMED, DescriptionKeys
from semst._labels import empty_as_missing
from semst._problems import Problems, is_between, listed
from semst._provenance import versions
from semst._results import actualise, check_untaken, check_writable
from semst.asking._domain_profiles import Profiles, against_genes, against_spots, profiles
from semst.asking._gene_space import gene_space
from semst.asking._questions import broad, weights_of_directions
from semst.asking._relative import centre
from semst.pp._gene_semantics import write_semantics
from semst.semantics._shown import shown
from semst.semantics._vocabulary import Terms, packaged_vocabulary, read_vocabulary
from semst.semantics._words import word_space

if TYPE_CHECKING:
    import os

    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

    from semst.semantics import Encoder
    from semst.semantics._vocabulary import VocabularySource

logger = logging.getLogger("semst")

WHERE = "semst.tl.describe"

_GENES = 5  # that are listed for a term
_EVERYWHERE = "any"
_PROCESS = "process"  # goes on in a domain, but does not name it


def describe(
    data: AnnData | SpatialData,
    *,
    key: str = CLUSTER.base,
    organs: str | Sequence[str] | None = None,
    vocabulary: VocabularySource | None = None,
    fdr: float = 0.05,
    n_permutations: int = 99,
    semantics_key: str = SEMANTICS.base,
    encoder: Encoder | str | os.PathLike[str] | None = None,
    layer: str | None = None,
    random_state: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    table_key: str | None = None,
    batch_key: str | None = None,
) -> pd.DataFrame:
    r"""Name each domain and give an account of it in standard terms, with the genes behind each.

    Parameters
    ----------
    data
        AnnData, or SpatialData with such a table: raw counts in ``X`` or a layer, human or mouse gene names, domains in
        ``obs``. Spots without a domain are left out.
    key
        Key of ``obs`` with the domains: ``key_added`` of :func:`semst.tl.cluster`, or labels of your own; whole
        numbers are labels too, unless there are nearly as many as spots. NaN and an empty str are none. The key cannot
        hold ``/``, which no file could keep the result under.
    organs
        Organs whose terms may be used beside those found all over the body: ``"brain"``, ``("breast", "immune")``; or a
        part of one, ``"brain/cortex"``, which leaves out the terms of its other parts. You know what was on the slide:
        say it as closely as you can, for the vectors do not tell neurons of one part from those of another. See
        :func:`semst.semantics.packaged_vocabulary`. The default uses all.
    vocabulary
        Terms of your own: a sequence of str, a mapping of terms to kinds, or the path of a tab-separated file with the
        column ``term`` and, if you like, ``kind``, ``organ`` and ``definition``. The default is that of semst.
    fdr
        False discovery rate below which a term counts, in (0, 1).
    n_permutations
        Draws of the null for each domain, at least 9; each counts for all terms.
    semantics_key
        ``key_added`` of :func:`semst.pp.gene_semantics` in its mode ``"genes"``. Where nothing has the default key, the
        default gene vectors are made and written.
    encoder
        What a vocabulary of your own is read with; see :func:`semst.tl.query`.
    layer
        Key of ``layers`` with raw counts; the default reads ``X``.
    random_state
        Seed of the null, from 0 to 2 147 483 647.
    cache_dir
        Folder that keeps the vectors of texts, for encoders other than the default one.
    table_key
        Name of the table in a SpatialData that has several.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it: spots of a domain
        are then compared with the others of their own slice, so that no name tells slices apart; a domain that shares
        no slice with another has none. The default takes all spots for one slice, with a warning
        where the domains were found with ``batch_key``.

    Returns
    -------
    DataFrame with a row for each domain and term with a false discovery rate below ``fdr`` and an effect above 0, the
    largest effects of each domain first: ``domain``, ``term``, ``kind``, ``effect`` (Cohen's d between spots of the
    domain and all others, of their slice), ``z`` (against genes of like expression), ``p_value`` and ``fdr`` (in
    [0, 1], within the domain), ``genes`` (the five that contribute most, separated by spaces; symbols where
    ``var_names`` holds Ensembl ids). Written into the table:

    ``uns["{key}_description"]``
        Dict of ``names`` (DataFrame with the index ``domain`` and the columns ``name`` and ``account``), ``terms`` (the
        DataFrame above), ``params`` and ``versions``. The name of a domain is its first term that is no process;
        ``"no term fits"`` if it has none.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If the table, the layer, the domains, ``batch_key``, the gene vectors or a file are missing.
    ValueError
        If there are fewer than two domains, or measured numbers in their place; if labels read alike, or ``key`` cannot
        be written to disk; if ``uns["{key}_description"]`` is no earlier result of this; if an organ is unknown or no
        term is left; if an argument is out of range; if the vocabulary cannot be used; if no gene has a vector; if
        counts are no raw counts; if a spot has no slice, or a slice fewer than 10 spots.
    OSError
        If the model is needed and cannot be loaded.

    In all cases ``data`` is left as it was.

    Notes
    -----
    Words are brought to genes as in :func:`semst.tl.query`; a gene weighs the square of its standardised cosine, and
    nothing where that is below 0, which is flatter than a query's weights, because a test lives on many genes. Two
    things must hold. Against genes: those that fit the term stand out in the domain among genes of like expression, by
    permutation. Against spots: single spots of the domain score higher than all others, by Welch's test. The p-value is
    the larger of the two, and is corrected within each domain [1]_. Both look at the counts that domains were drawn by,
    so a small p-value says that the term fits the domain, not that the domain is real.

    References
    ----------
    .. [1] Benjamini & Hochberg, *Journal of the Royal Statistical Society B* 57, 1995.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
    >>> terms = semst.tl.describe(adata, key="ground_truth")
    >>> adata.uns["ground_truth_description"]["names"].columns.tolist()
    ['name', 'account']
    """
    table = find_table(data, table_key=table_key, where=WHERE)
    problems = Problems(WHERE)
    check_names(table, problems)
    if fdr == 0 or not is_between(fdr, 0, 1):
        problems.add(f"fdr must lie between 0 and 1, got {fdr!r}.")
    problems.whole("n_permutations", n_permutations, least=9)
    problems.seed(random_state)
    check_writable(table, problems, copy=False)
    domains = _domains(table, key, problems)
    place = ("uns", DescriptionKeys(key).uns)
    known_by = (IN_DESCRIPTION.names, IN_DESCRIPTION.terms)
    check_untaken(table, key, [place], problems, known_by=known_by, argument="key")
    terms = _terms(vocabulary, organs, problems)
    counts = read_counts(table, problems, layer=layer)
    slices = read_slices(table, batch_key, problems)
    space = gene_space(table, semantics_key, problems, layer=layer)
    source = None if space is None or problems else space.source
    words = word_space(source, encoder, problems, key=semantics_key, cache_dir=cache_dir)
    problems.raise_if_any()
    assert counts is not None  # for the type checker: else a problem was raised, here and below
    assert domains is not None
    assert space is not None
    assert words is not None

    if batch_key is None:
        warn_of_domains_of_slices(table, key, where="describe")
    found = profiles(counts, np.asarray(domains.codes, dtype=np.int64), slices)
    directions = words.of_terms(terms.terms, terms.definitions)
    weights = centre(weights_of_directions(directions, space.vectors, emphasis=broad)[0], found.bins)
    z, by_genes = against_genes(found, weights, n_permutations=n_permutations, random_state=random_state)
    effect, by_spots = against_spots(found, weights, random_state=random_state)
    p = np.maximum(by_genes, by_spots)
    rate = np.stack([false_discovery_control(of_domain) for of_domain in p])
    columns = {"effect": effect, "z": z, "p_value": p, "fdr": rate}
    account = _account(domains, terms, found, weights, columns, fdr, shown(table.var_names))
    names = _names(account, [str(name) for name in domains.categories])
    if account.empty:
        logger.warning(
            "describe: no term fits any of the %d domains; of the %d genes %d have a vector. Panels of few genes are "
            "often too small for it; terms of your own (`vocabulary`) leave more power to each.",
            len(domains.categories),
            table.n_vars,
            int(space.vectors.any(axis=1).sum()),
        )
    params = {
        "key": key,
        "fdr": fdr,
        "n_permutations": n_permutations,
        "semantics_key": semantics_key,
        "random_state": random_state,
        "n_terms": len(terms.terms),
        **({} if organs is None else {"organs": np.array(_as_list(organs), dtype=np.str_)}),
        **({} if layer is None else {"layer": layer}),
        **({} if batch_key is None else {"batch_key": batch_key}),
    }
    actualise(table)
    if space.fresh is not None:
        write_semantics(table, space.fresh, key=semantics_key)
    table.uns[DescriptionKeys(key).uns] = {
        IN_DESCRIPTION.names: names,
        IN_DESCRIPTION.terms: account,
        "params": params,
        "versions": versions(),
    }
    return account


def _domains(table: AnnData, key: object, problems: Problems) -> pd.Categorical | None:
    if not isinstance(key, str):
        problems.add(f"key must be the name of a column of obs, got {key!r}.")
        return None
    if key not in table.obs:
        problems.missing(
            f"no domains: obs[{key!r}] is missing; obs has {listed(table.obs)}. "
            "They are made by `semst.tl.cluster(adata)`."
        )
        return None
    if "/" in key:
        problems.add(
            f"key={key!r} holds '/', and nothing under such a name can be written to disk; copy the labels: "
            f"`adata.obs['labels'] = adata.obs[{key!r}]`."
        )
    column = empty_as_missing(table.obs[key])
    if _measures(column):
        problems.add(
            f"obs[{key!r}] is numeric ({column.dtype}, {column.nunique()} values in {len(column)} spots) and holds no "
            "domains; name a column of labels."
        )
        return None
    domains = pd.Categorical(column).remove_unused_categories()
    if not 2 <= len(domains.categories) < max(table.n_obs, 3):
        problems.add(
            f"obs[{key!r}] must hold at least two domains, and fewer than spots; it has {len(domains.categories)}."
        )
        return None
    names = domains.categories.astype(str)
    if not names.is_unique:
        problems.add(
            f"obs[{key!r}] holds labels that differ but read alike, as 1 and '1' do "
            f"({listed(names[names.duplicated()].unique())}); make them one, or name them otherwise."
        )
        return None
    return domains


def _measures(column: pd.Series) -> bool:
    """Tell what is measured in each spot from labels, which may be numbers: whole ones that recur."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values != np.rint(values)).any() or 2 * np.unique(values).size > max(values.size, 4))


def _terms(vocabulary: VocabularySource | None, organs: str | Sequence[str] | None, problems: Problems) -> Terms:
    """Read the vocabulary and keep the terms of the organs."""
    are_names = organs is None or all(isinstance(organ, str) for organ in _as_list(organs))
    if not are_names:
        problems.add(f"organs must be a str or a sequence of str, got {organs!r}.")
    if vocabulary is None:
        known = packaged_vocabulary()
        terms = Terms(known.terms, known.kinds, known.organs, known.definitions)
    else:
        terms = read_vocabulary(vocabulary, problems=problems)
    if organs is None or not are_names or not terms.terms:
        return terms
    known_as = {organ.casefold(): organ for organ in terms.organs}
    wanted = [known_as.get(organ.casefold(), organ) for organ in _as_list(organs)]
    unknown = sorted(set(wanted) - set(terms.organs))
    if unknown or not wanted:
        problems.add(f"organs must be among {listed(sorted(set(terms.organs)), limit=40)}, got {listed(wanted)}.")
        return terms
    kept = [row for row in zip(*terms, strict=True) if row[2] == _EVERYWHERE or any(_within(row[2], w) for w in wanted)]
    return Terms(*zip(*kept, strict=True))


def _within(organ: str, wanted: str) -> bool:
    """Tell whether terms of an organ, or of a part of one, are found in another: ``"brain"`` in ``"brain/cortex"``."""
    return f"{organ}/".startswith(f"{wanted}/") or f"{wanted}/".startswith(f"{organ}/")


def _as_list(organs: object) -> list[Any]:
    return list(organs) if isinstance(organs, Iterable) and not isinstance(organs, str) else [organs]


def _account(
    domains: pd.Categorical,
    terms: Terms,
    found: Profiles,
    weights: NDArray[np.float64],
    columns: dict[str, NDArray[np.float64]],
    fdr: float,
    symbols: Sequence[str],
) -> pd.DataFrame:
    """List what fits, domain by domain, the largest effects first."""
    rows: list[dict[str, Any]] = []
    for domain, name in enumerate(domains.categories):
        fitting = np.flatnonzero((columns["fdr"][domain] < fdr) & (columns["effect"][domain] > 0))
        for term in fitting[np.argsort(-columns["effect"][domain, fitting], kind="stable")]:
            share = np.maximum(found.differences[domain], 0) * np.maximum(weights[:, term], 0)
            genes = np.argsort(-share, kind="stable")[:_GENES]
            rows.append(
                {
                    "domain": str(name),
                    "term": terms.terms[term],
                    "kind": terms.kinds[term],
                    **{column: float(values[domain, term]) for column, values in columns.items()},
                    "genes": " ".join(str(symbols[gene]) for gene in genes if share[gene] > 0),
                }
            )
    listing = pd.DataFrame(rows, columns=["domain", "term", "kind", *columns, "genes"])
    return listing.astype(dict.fromkeys(columns, np.float64))  # so that an empty one has them too


def _names(account: pd.DataFrame, domains: list[str]) -> pd.DataFrame:
    """Name each domain by its first term that is no process, and sum it up in a sentence."""
    names, accounts = [], []
    for domain in domains:
        own = account[account["domain"] == domain]
        things, processes = own[own["kind"] != _PROCESS], own[own["kind"] == _PROCESS]
        names.append(UNNAMED if things.empty else str(things["term"].iloc[0]))
        told = ", ".join(things["term"][:3])
        going_on = ", ".join(processes["term"][:3])
        genes = " ".join(dict.fromkeys(" ".join(own["genes"][:3]).split()))
        parts = [told, f"processes: {going_on}" if going_on else "", f"genes: {genes}" if genes else ""]
        accounts.append("; ".join(part for part in parts if part))
    return pd.DataFrame({"name": names, "account": accounts}, index=pd.Index(domains, name="domain"))
