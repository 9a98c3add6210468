from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from semst._batch_key import check_graph, read_slices
from semst._doubts import warn_of_bare_glass
from semst._inputs import check_names, find_table, read_coordinates, read_counts
from semst._joined import warn_of_joined_slices
from semst._keys import QUERY, SEMANTICS, SPATIAL, QueryKeys
from semst._problems import Problems
from semst._results import actualise, check_key, check_writable
from semst.asking._answer import answer
from semst.asking._earlier_queries import check_columns, check_meant, earlier_queries
from semst.asking._gene_space import gene_space
from semst.asking._questions import Questions, read_questions, weigh
from semst.asking._relative import relative_expression
from semst.asking._results import Result, genes_of, has_pattern, write
from semst.asking._warnings import warn
from semst.pp._gene_semantics import write_semantics
from semst.pp._graphs import spatial_graph
from semst.semantics._words import word_space

if TYPE_CHECKING:
    import os

    import numpy as np
    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

    from semst.semantics import Encoder

WHERE = "semst.tl.query"


def query(
    data: AnnData | SpatialData,
    queries: Questions,
    *,
    encoder: Encoder | str | os.PathLike[str] | None = None,
    smooth: bool = True,
    n_genes: int = 20,
    n_permutations: int = 999,
    semantics_key: str = SEMANTICS.base,
    layer: str | None = None,
    n_neighbors: int = 6,
    random_state: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    key_added: str = QUERY.base,
) -> pd.DataFrame:
    r"""Ask a tissue in words where something is.

    Parameters
    ----------
    data
        AnnData, or SpatialData with such a table: raw counts in ``X`` or a layer, human or mouse gene names.
    queries
        Words, such as ``"myelin sheath of oligodendrocytes"``; several of them; or a mapping of names of your own to
        words or to lists of gene names (any collection of str). A str that is the name of a gene of the table, in any
        case, asks for that gene, and so does a word in capitals that is a symbol, an id or an alias with a digit of
        one (``"SEPT7"``, ``"ENSG00000197971"``). Genes of lists may be spelled in all these ways.
    encoder
        What the words are read with: it must be what the gene vectors were made with. The default is all-MiniLM-L6-v2,
        which made those that come with semst; a folder with that model serves as well.
    smooth
        Whether expression is averaged over a spot and its neighbours, which needs coordinates.
    n_genes
        How many genes are listed for each query, at least 1.
    n_permutations
        Draws of the null, at least 19; the smallest p-value is one divided by one more than this.
    semantics_key
        ``key_added`` of :func:`semst.pp.gene_semantics` in its mode ``"genes"``. Where nothing has the default key, the
        default gene vectors are made and written.
    layer
        Key of ``layers`` with raw counts; the default reads ``X``.
    n_neighbors
        Nearest neighbours of a spot, where there is neither a Visium grid nor a graph of squidpy in the table.
    random_state
        Seed, from 0 to 2 147 483 647, of the null, and of the components of expression that maps are made of: with
        another, or with spots in another order, scores move by some hundredths of their spread (one to four on a
        section of 613 spots).
    cache_dir
        Folder that keeps the vectors of texts, for encoders other than the default one.
    table_key
        Name of the table in a SpatialData that has several.
    spatial_key
        Key of ``obsm`` with the coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it: nothing is
        averaged over slices, and each is standardised by its own means. Maps then tell where in a slice something is,
        not in which slice there is more of it. The default takes all spots for one slice (with a warning where they
        look like several).
    key_added
        Beginning of the names of all that is written.

    Returns
    -------
    DataFrame with a row for each query and gene: ``query``, ``gene``, ``contribution`` (share of the gene in the
    pattern, at most 1; the highest first) and ``likeness`` (cosine with the words in [-1, 1]; NaN for sets of genes).
    Written into the table for each query, under a short name made from its letters and digits: of words in lower case,
    of genes and of names of your own in their spelling.

    ``obs["{key_added}_{name}"]``
        float32: the score, in standard deviations of the null; 0 is what genes drawn at random give in the mean.
    ``obs["{key_added}_{name}_pval"]``
        float32 in (0, 1]: how often genes drawn at random score as high in that spot. Not corrected for the number of
        spots.
    ``uns[key_added][name]``
        Dict of ``asked``; ``order`` (int: as which of all it was asked); ``called`` (the name as you gave it, or the
        words); ``p_value`` (float in (0, 1]: how often genes drawn at random have as much of a pattern in common; NaN
        for a single gene); ``genes`` (the rows of the DataFrame); ``read_as`` (str array: terms of the vocabulary that
        the words were read as, the nearest first; empty for genes); ``nearness`` (float in [-1, 1]: cosine of the words
        with the first of these; below 0.45 they are far from all biology that semst knows; NaN for genes); ``params``
        and ``versions``. Earlier queries stay.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If the table, the layer, the coordinates, ``batch_key`` or the gene vectors are missing.
    ValueError
        If a query is empty, or two have the same name, also one asked before in other words; if none of its genes is in
        the table; if no gene has a vector, or none varies; if names of spots or genes are duplicated, or there is a
        single spot; if an argument is out of range; if ``key_added`` names what semst did not write, or gene vectors
        would take the place of spot vectors from elsewhere; if the table is a view of one on disk; if counts are no raw
        counts; if a spot has no slice, a slice fewer than 10 spots, or a graph that is there edges between slices; if a
        graph that is there has no edges; if the encoder is not the one that made the gene vectors.
    OSError
        If the model cannot be loaded.

    In all cases ``data`` is left as it was.

    Notes
    -----
    Words lead to a direction in the space of the gene vectors (half of it through the definitions of the most similar
    terms of a vocabulary); each gene is weighted by the exponential of its standardised cosine with it; one step along
    the covariance of genes in this tissue leaves those that also go together. Expression is standardised for each gene
    and taken relative to genes of like mean expression, and the null deals the weights anew among these.
    A warning is logged where a word is taken for a gene that the table spells otherwise; where genes that were asked
    for are left out, as they are not in the table or do not vary from spot to spot; where none is left, or those of
    like expression were all asked for, so that there is nothing to compare and the map is empty (score 0 and p-value 1
    everywhere); where no term is near the words (``nearness`` below 0.45), and where their genes share a weak pattern
    (``p_value`` above 0.05) or none (above 0.2). That one or two genes make up half of a pattern says nothing of its
    worth. Area under the ROC curve over a bank of 72 queries, and what does not work: :doc:`/queries`.

    References
    ----------
    Tirosh et al., *Science* 352, 2016 (scores against genes of like expression); Rocchio, in *The SMART Retrieval
    System*, 1971 (relevance feedback).

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
    >>> genes = semst.tl.query(adata, "myelin sheath of oligodendrocytes")
    >>> genes.columns.tolist()
    ['query', 'gene', 'contribution', 'likeness']
    >>> adata.obs["query_myelin_sheath_of_oligodendrocytes"].dtype
    dtype('float32')
    """
    table = find_table(data, table_key=table_key, where=WHERE)
    problems = Problems(WHERE)
    check_key(key_added, problems)
    for name, number, least in (
        ("n_genes", n_genes, 1),
        ("n_permutations", n_permutations, 19),
        ("n_neighbors", n_neighbors, 1),
    ):
        problems.whole(name, number, least=least)
    problems.seed(random_state)
    check_writable(table, problems, copy=False)
    reserved = key_added in (SPATIAL.coordinates, SEMANTICS.base, semantics_key)
    if reserved:
        problems.add(f"key_added={key_added!r} is a name that coordinates or semantics have; choose another name.")
    check_names(table, problems)
    if table.n_obs == 1:
        problems.add("at least 2 spots are needed to compare them, got 1.")
    gene_names = [str(name) for name in table.var_names]
    earlier = earlier_queries(table, key_added)
    questions = read_questions(queries, gene_names, problems, earlier=earlier)
    if not isinstance(queries, Mapping):
        check_meant(table, key_added, questions, problems)
    if not reserved:
        check_columns(table, key_added, [question.name for question in questions], problems)
    counts = read_counts(table, problems, layer=layer)
    slices = read_slices(table, batch_key, problems)
    coordinates = None
    if smooth:
        coordinates = read_coordinates(
            data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system, slices=slices
        )
        check_graph(table, problems, slices)
    texts = [question.text for question in questions if question.text]
    space, words = None, None
    if texts:
        space = gene_space(table, semantics_key, problems, layer=layer)
        source = None if space is None else space.source
        words = word_space(source, encoder, problems, key=semantics_key, cache_dir=cache_dir)
    problems.raise_if_any()
    assert counts is not None  # for the type checker: else a problem was raised
    warn_of_bare_glass(table, where="query")
    if batch_key is None:
        _warn_of_joined_slices(data, table, coordinates, spatial_key, coordinate_system)
    graph = None
    if coordinates is not None:
        graph = spatial_graph(table, coordinates, n_neighbors=n_neighbors, slices=slices)
    expression = relative_expression(counts, graph, random_state=random_state, slices=slices)
    weighed = weigh(questions, len(gene_names), None if space is None else space.vectors, words)
    answers = [
        answer(expression, each.weights, n_permutations=n_permutations, random_state=random_state) for each in weighed
    ]
    params = {
        "smooth": smooth,
        "n_permutations": n_permutations,
        "n_neighbors": n_neighbors,
        "random_state": random_state,
        **({"semantics_key": semantics_key} if texts else {}),
        **({} if layer is None else {"layer": layer}),
        **({} if batch_key is None else {"batch_key": batch_key}),
    }
    results = [
        Result(each, found, genes_of(each, found, gene_names, n_genes), has_pattern(each, expression))
        for each, found in zip(weighed, answers, strict=True)
    ]
    actualise(table)
    if space is not None and space.fresh is not None:
        write_semantics(table, space.fresh, key=semantics_key)
    write(table, QueryKeys(key_added), results, params)
    for each in results:
        warn(each, expression, gene_names)
    return pd.concat([each.genes for each in results], ignore_index=True)


def _warn_of_joined_slices(
    data: AnnData | SpatialData,
    table: AnnData,
    coordinates: NDArray[np.float64] | None,
    spatial_key: str,
    coordinate_system: str | None,
) -> None:
    """Look where spots lie also where nothing is averaged: without coordinates nothing can be told, and nothing is."""
    if coordinates is None:
        unheard = Problems(WHERE)
        coordinates = read_coordinates(
            data, table, unheard, spatial_key=spatial_key, coordinate_system=coordinate_system
        )
    if coordinates is not None:
        warn_of_joined_slices(table, coordinates, where="query")
