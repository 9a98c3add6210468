"""The meaning of genes, brought to the spots that express them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from semst._inputs import find_table
from semst._keys import IN_SEMANTICS, SEMANTICS, SemanticsKeys
from semst._problems import Problems
from semst._results import Data, check_key, check_untaken, check_writable, target
from semst.pp._compute_semantics import WHERE, SemanticsResult, compute_gene_semantics
from semst.pp._semantics_options import Mode, SemanticsOptions

if TYPE_CHECKING:
    import os

    from anndata import AnnData

    from semst.pp._pool import Weights
    from semst.semantics._encoders import Encoder
    from semst.semantics._resolve import Species
    from semst.semantics._user_table import TextSource, VectorSource


def gene_semantics(
    data: Data,
    *,
    mode: Mode = "genes",
    vectors: VectorSource | None = None,
    encoder: Encoder | str | os.PathLike[str] | None = None,
    gene_text: TextSource | None = None,
    species: Species | None = None,
    layer: str | None = None,
    weights: Weights = "lognorm",
    n_top: int | None = None,
    min_spots: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    table_key: str | None = None,
    key_added: str = SEMANTICS.base,
    copy: bool = False,
) -> Data | None:
    r"""Give every spot a vector that says what its genes do.

    Without further arguments the vectors of human and mouse genes that come with semst are averaged in each spot by
    expression: no network, no model, about a second for a Visium slice.

    Parameters
    ----------
    data
        AnnData, or SpatialData with such a table: spots x genes, gene names (human or mouse: symbols, previous symbols,
        aliases, Ensembl ids) in ``var_names``, counts in ``X`` or a layer. Spatial coordinates are not needed. Counts
        on disk (a backed AnnData) or in a dask array are read a piece at a time; results are written into the object in
        memory, as :func:`semst.tl.cluster` says.
    mode
        ``"genes"`` (default): vectors of genes, averaged in each spot; the cost grows with the genes. ``"spots"``: the
        names of the genes most expressed in a spot make up one text, which an encoder reads; the cost grows with the
        spots. The latter is the published way.
    vectors
        Gene vectors of your own, for ``mode="genes"``: a DataFrame (index: gene names; columns: numbers), a mapping of
        gene names to vectors, the path of a ``.npz`` file (arrays ``genes`` and ``vectors``) or ``.parquet`` file
        (index: gene names), or the name of an array ``(n_genes, d)`` in ``varm``. Genes are matched by equal name, else
        by the official symbol that both names mean in the species of the data, so that a table of human genes serves
        mouse data and Ensembl ids as well. Rows with NaN or only zeros count as no vector. What is written down of
        their origin holds a checksum, but of an array in ``varm`` its name alone. The default takes the
        vectors that come with semst (128 dimensions).
    encoder
        What turns text into vectors: an :class:`~semst.semantics.Encoder` such as
        :class:`~semst.semantics.LanguageModelEncoder`, or the name or folder of a sentence-transformers model. The
        default is none for ``mode="genes"``, and all-MiniLM-L6-v2 for ``mode="spots"``.
    gene_text
        What there is to say about each gene, for ``mode="genes"`` with an ``encoder``: a mapping of gene names to
        texts, or the path of a tab-separated file with the columns ``symbol`` and ``text``. Without it the encoder
        reads bare symbols, which carry little meaning, and a warning says so.
    species
        ``"human"`` or ``"mouse"``; the default finds it by the names.
    layer
        Key of ``layers`` with the counts; the default reads ``X``.
    weights
        How much a gene counts in a spot, for ``mode="genes"``: ``"lognorm"`` (default), the logarithm of its counts
        scaled to 10 000 for each spot, which takes raw counts; or ``"raw"``, the values as they are, which takes any
        values that are not negative, such as data already log-normalised.
    n_top
        Genes used in each spot, those of highest weight, at least 1. The default uses all genes for ``mode="genes"``
        and 10 for ``mode="spots"``, as published.
    min_spots
        For ``mode="spots"``: genes seen in fewer spots are not named, at least 1. The default is 100, as published, or
        a twentieth of the spots where this is less.
    cache_dir
        Folder that keeps the vectors of texts, so that none is encoded twice and an interrupted run continues. The
        default is the environment variable ``SEMST_CACHE_DIR``, else the place for caches of the operating system.
    progress
        Whether a bar shows how many texts are encoded.
    table_key
        Name of the table in a SpatialData that has several.
    key_added
        Name of all that is written.
    copy
        Return a copy with the results (of a SpatialData with a copied table that shares all other elements) and leave
        ``data`` alone; the default writes into ``data``.

    Returns
    -------
    None, or the copy. Written into the table, in place of what was there under the same names:

    ``obsm[key_added]``
        ``(n_spots, d)`` float32: the vectors of the spots.
    ``varm[key_added]``
        ``(n_genes, d)`` float32: the vectors of the genes, their mean removed, zeros for genes without one. Only
        ``mode="genes"``.
    ``uns[key_added]``
        Dict of ``params`` (those that applied, and the ``source`` of the vectors); ``coverage`` (``genes`` and
        ``counts``: fractions in [0, 1] of genes that have a vector and of the counts they carry; ``n_genes``,
        ``n_with_vector``, ``n_recognised``, ``n_ambiguous``, ``n_unknown``, ``n_spots_without`` (spots that express no
        gene with a vector): int; ``without_vector`` (recognised, but not in the source), ``ambiguous`` and ``unknown``:
        arrays of str with all such names; ``how``: number of genes for each way of recognition; for ``mode="spots"``
        every recognised gene counts as one with a vector); ``center`` (``(d,)`` float32:
        the mean removed from the gene vectors, only ``mode="genes"``); ``versions``.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData, or ``encoder`` is no encoder.
    KeyError
        If the table, the layer, the key in ``varm`` or a file is missing.
    ValueError
        If an argument has no such value or does not go with ``mode``; if ``key_added`` names what semst did not write
        (of its default only ``uns`` can tell: ``anndata.concat`` loses that and keeps the vectors); if names are
        duplicated, the table is empty, or a spot has no counts; if counts are negative, NaN, infinite, or not whole
        where raw counts are needed; if the vectors or texts cannot be used, or hold one vector for all genes; if not a
        single gene is recognised.
    OSError
        If a model cannot be loaded, or the cache cannot be written.

    In all cases ``data`` is left as it was.

    Notes
    -----
    ``mode="genes"``: from the vectors :math:`v_g` of the known genes :math:`K` their mean is removed,
    :math:`e_g = v_g - |K|^{-1} \sum_{h \in K} v_h`, because vectors of texts share a large common direction. With
    counts :math:`x_{ig}` and weights :math:`w_{ig} = \log(1 + 10^4 x_{ig} / \sum_h x_{ih})`, spot :math:`i` gets

    .. math:: s_i = \sum_{g \in K} w_{ig} e_g \, / \sum_{g \in K} w_{ig}.

    Genes that are not in :math:`K` have no weight; a spot that expresses none that is gets zeros.

    ``mode="spots"`` follows [1]_: counts are scaled to 10 000 for each spot and divided by the standard deviation of
    each gene, values are cut at 10, and the 10 highest genes of a spot, the highest first, are named in a text. Equal
    texts are read once.

    References
    ----------
    .. [1] J. Long et al., "When Genes Speak: A Semantic-Guided Framework for Spatially Resolved Transcriptomics Data
       Clustering", AAAI 2026, arXiv:2511.11380.

    Examples
    --------
    >>> import anndata, numpy, semst
    >>> counts = numpy.array([[9, 5, 0], [0, 1, 7]], dtype=numpy.float32)
    >>> adata = anndata.AnnData(counts)
    >>> adata.var_names = ["MBP", "PLP1", "SNAP25"]
    >>> semst.pp.gene_semantics(adata)
    >>> adata.obsm["gene_semantics"].shape
    (2, 128)
    >>> float(adata.uns["gene_semantics"]["coverage"]["genes"])
    1.0

    Vectors of your own:

    >>> own = {"MBP": [1.0, 0.0], "PLP1": [1.0, 0.2], "SNAP25": [0.0, 1.0]}
    >>> semst.pp.gene_semantics(adata, vectors=own, key_added="own")
    >>> adata.varm["own"].shape
    (3, 2)
    """
    table = find_table(data, table_key=table_key, where=WHERE)
    problems = Problems(WHERE)
    check_key(key_added, problems)
    keys = SemanticsKeys(key_added)
    # Of our own name all is ours, also where uns is lost, as `anndata.concat` leaves it.
    beside: list[tuple[str, str]] = [] if key_added == SEMANTICS.base else [("obsm", keys.obsm), ("varm", keys.varm)]
    known_by = (IN_SEMANTICS.params, IN_SEMANTICS.coverage)
    check_untaken(table, key_added, [("uns", keys.uns), *beside], problems, known_by=known_by)
    check_writable(table, problems, copy=copy)
    options = SemanticsOptions(
        mode=mode,
        vectors=vectors,
        encoder=encoder,
        gene_text=gene_text,
        species=species,
        layer=layer,
        weights=weights,
        n_top=n_top,
        min_spots=min_spots,
        cache_dir=cache_dir,
        progress=progress,
    )
    result = compute_gene_semantics(table, options, problems=problems)
    written, written_table = target(data, table, copy=copy)
    write_semantics(written_table, result, key=key_added)
    return written if copy else None


def written_params(table: AnnData, key: str) -> dict[str, Any]:
    """Read the parameters under which the semantics of that name were made; empty where nobody wrote them."""
    stored = table.uns.get(SemanticsKeys(key).uns)
    params = stored.get(IN_SEMANTICS.params) if isinstance(stored, Mapping) else None
    return dict(params) if isinstance(params, Mapping) else {}


def write_semantics(table: AnnData, result: SemanticsResult, *, key: str = SEMANTICS.base) -> None:
    """Write a result into ``obsm``, ``varm`` and ``uns`` of a table, in place of an earlier one of the same name."""
    keys = SemanticsKeys(key)
    table.obsm[keys.obsm] = result.spot_vectors
    if result.gene_vectors is not None:
        table.varm[keys.varm] = result.gene_vectors
    elif keys.varm in table.varm:
        # Those of an earlier call would not belong to these spot vectors.
        del table.varm[keys.varm]
    written: dict[str, Any] = {
        IN_SEMANTICS.params: result.params,
        IN_SEMANTICS.coverage: result.coverage,
        "versions": result.versions,
    }
    if result.center is not None:
        written["center"] = result.center
    table.uns[keys.uns] = written
