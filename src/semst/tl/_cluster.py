"""Spatial domains of a tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semst._keys import CLUSTER, SEMANTICS, SPATIAL
from semst.clustering._checks import ClusterOptions
from semst.clustering._run import run

if TYPE_CHECKING:
    import os

    from semst._results import Data
    from semst.nn import Convolution, Likelihood
    from semst.training._recipe import Partition, Preset


def cluster(
    data: Data,
    *,
    n_clusters: int | None = None,
    preset: Preset = "default",
    semantics_key: str | None = SEMANTICS.base,
    layer: str | None = None,
    likelihood: Likelihood = "zinb",
    convolution: Convolution = "gcn",
    partition: Partition | None = None,
    refine: bool = False,
    n_top_genes: int = 3000,
    n_neighbors: int = 6,
    epochs: int | None = None,
    device: str = "auto",
    random_state: int = 0,
    progress: bool = True,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    tiles_per_step: int | None = None,
    key_added: str = CLUSTER.base,
    copy: bool = False,
) -> Data | None:
    r"""Find the spatial domains of a tissue section, or of several at once.

    Trains graph networks on counts, places and the meaning of genes (SemST), cuts their latents in many ways, and keeps
    what the counts support best. No label is ever read.

    Parameters
    ----------
    data
        AnnData, or SpatialData with such a table: spots x genes with raw counts, and where the spots lie. A view such
        as ``adata[some]`` becomes a table of its own when the results are written, and ``adata`` stays as it was; keep
        it under a name (``part = adata[some]``), or the results are lost with it. Counts that lie on disk (a backed
        AnnData) or in a dask array are read a piece at a time and stay there; the results are written into the object
        in memory, which of a backed AnnData ``adata.write()`` brings to disk (opened with ``backed="r+"``; else
        ``adata.write_h5ad(path)``).
    n_clusters
        Number of domains, at least 2 and at most a third of the spots; exactly so many are returned. The default None
        chooses the number between 2 and 15 that is most stable when only half of the molecules are looked at, see Notes
        and :func:`semst.pl.stability`.
    preset
        ``"default"``: our recipe, the same for every tissue. ``"published"``: the paper's architecture, loss weights
        and k-means on the last state of the training.
    semantics_key
        Key of ``obsm`` with the semantics of the spots. Where the default key is missing,
        :func:`semst.pp.gene_semantics` runs first with its defaults and the same ``layer`` (with the Gaussian
        likelihood with ``weights="raw"``), and a line in the log says so. None leaves meaning out.
    layer
        Key of ``layers`` with the counts; the default reads ``X``.
    likelihood
        Of the decoder: ``"zinb"`` and ``"nb"`` take raw counts, ``"gaussian"`` takes expression that is normalised and
        logged already.
    convolution
        ``"gcn"`` as published, ``"gat"`` or ``"sage"``.
    partition
        How a latent is cut: ``"mixture"`` (Gaussian, one covariance for all), ``"kmeans"``, or ``"leiden"`` (needs the
        extra ``semst[leiden]``). The default is ``"mixture"``, and k-means for ``preset="published"``.
    refine
        Whether each spot finally takes the label most frequent among the spots at most two steps away.
    n_top_genes
        Genes that are used, at least 1; all where there are fewer. The default preset takes those of highest Moran's I.
    n_neighbors
        Nearest neighbours in the spatial graph, at least 1, where neither ``obsp["spatial_connectivities"]`` (squidpy's
        graph, used as it is) nor Visium's grid says who lies beside whom.
    epochs
        Steps of training for each network, at least 1. The default is 30 up to 1200 spots, then 36 000 divided by their
        number, and 10 at least (eight networks, with the Gaussian likelihood two); 200 as published (one).
    device
        ``"auto"`` takes a GPU where there is one; or a name such as ``"cpu"`` or ``"cuda:1"``.
    random_state
        Seed of everything random, 0 to 2 147 483 647. The same seed on the same machine with the same versions gives
        the same bytes.
    progress
        Whether bars show the training and the partitions.
    table_key
        Name of the table in a SpatialData that has several.
    spatial_key
        Key of ``obsm`` with the coordinates, ``(n_spots, 2)`` in any unit.
    coordinate_system
        For SpatialData: where the centroids are taken; the default is ``"global"``, or the only one. Slices
        (``batch_key``) that share none are placed each in its own.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to (squidpy's ``library_key``), with at least 10 spots in
        each; of a SpatialData with several regions, their ``region_key``. All slices then get one set of domains: no
        edge leads from one to another, each has its own coordinates in a unit of its own, and differences in depth and
        chemistry are taken out, see Notes. The default takes all spots for one slice (with a warning where they look
        like several), and so does a key that names one.
    checkpoint
        Folder where each network is kept once its training has ended. The same call made again, after Ctrl-C or a
        crash, takes up those that are there and ends with the same result; with other data, options or versions it is
        refused. A network that cannot be kept, as on a full disk, is told in the log and costs no result. The files
        stay; delete the folder when you are done. The default keeps nothing.
    tiles_per_step
        On more than 5000 spots, tiles over which each step of the training averages its gradient, at least 1. Where
        torchrun started several processes they share them, so that it must be a multiple of their number; with the same
        ``tiles_per_step`` they find what one process finds. The default is one for each process.
    key_added
        Name of all that is written. Only earlier domains of semst are replaced: a name is refused where something else
        has a place in ``obs``, ``obsm`` or ``uns`` that this or :func:`semst.tl.describe` writes, and so are
        ``"spatial"`` and the names that ``spatial_key``, ``semantics_key`` and ``batch_key`` give. Under the default
        name domains and a latent may be there without ``uns``, since :func:`anndata.concat` drops it.
    copy
        Return a copy with the results and leave ``data`` alone; the default writes into ``data``. The copy of a backed
        AnnData is in memory.

    Returns
    -------
    None, or the copy. Written into the table, in place of earlier domains of the same name, of which nothing stays (nor
    their description and colours; colours that are there before any domains are yours, and stay):

    ``obs[key_added]``
        Categorical of str, ``"1"`` (most spots) to ``str(n_clusters)``: the domains.
    ``obs[key_added + "_confidence"]``
        float32 in [0, 1]: share of the partitions that put the spot where the result puts it.
    ``obsm["X_" + key_added]``
        ``(n_spots, d)`` float32: the latents of all networks side by side.
    ``uns[key_added]``
        Dict of ``params``; ``history`` (``"total"``, ``"reconstruction"``, ``"spatial"``, ``"dicr"``: float64
        ``(epochs,)``, the weighted terms of the loss, averaged over networks); ``score`` (float: how well the domains,
        as they are after a vote among spots up to four steps apart, explain the counts, nats per molecule; about 0
        where domains are smaller than that); ``n_clusters``, ``n_partitions``, ``n_genes`` (int); ``device``;
        ``versions``; and where the number of domains was chosen, ``stability``: ``"n_clusters"`` int64 ``(m,)``,
        the numbers that were tried, and ``"values"`` float64 ``(m, splits)``, at most 1.

    With semantics and up to 10 000 spots, for :func:`semst.pl.modulation`, which explains the numbers:

    ``obs[key_added + "_alpha"]``, ``obs[key_added + "_beta"]``
        float32, at least 0: size of the factor and of the shift that meaning gave to the spot, beyond what all spots
        have in common, relative to the size of the features.
    ``uns[key_added]["modulation"]``
        Dict of ``domains`` (``(k,)`` str); ``alpha`` and ``beta`` (``(k,)`` float32: means over the spots of a domain);
        ``constant`` (``alpha``, ``beta``: float, size of what all spots have in common); and ``genes`` (``(k, 20)``
        str, fewer where fewer genes have a vector), ``influence`` and ``relative_share`` (float32 of that shape: the
        share of the modulation that goes with the gene, by a gradient, those of largest size first; and how much of the
        domain's vectors the gene makes up, 1 where it is as much as in all spots). Where the semantics were not pooled
        from vectors of genes, ``why_no_genes`` (str) stands in place of the last three.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If a layer, key, table or coordinate system is missing, ``batch_key`` is not in ``obs``, or there are no
        coordinates.
    ValueError
        If an argument is out of its range; ``key_added`` names what semst did not write; names are duplicated; counts
        are negative, not whole numbers (with the Gaussian likelihood: raw), not finite, or missing from a spot;
        coordinates are not finite; a table does not match its element, or lies at different z; a spot has no slice, a
        slice fewer than 10 spots, or a graph that is there edges between slices or none; there are fewer than 10 spots,
        or than three to a domain, or spots do not fall into so many groups; no gene is recognised, or a single one;
        ``n_clusters`` is None and the likelihood Gaussian; ``checkpoint`` is no place for a folder, or holds another
        run; the table is a view of a file on disk; or processes that train together were not called alike. One error
        names all problems, and ``data`` is as it was.
    FloatingPointError
        If training diverges; ``data`` is as it was.
    MemoryError
        If a GPU has too little memory for the smallest tiles as well; ``data`` is as it was.

    Notes
    -----
    For each of eight views (logarithm at two depths, square root, or scaled logarithm of the counts; one or two rings
    of neighbours; with the Gaussian likelihood of two: expression as it is, one or two rings) a
    :class:`semst.nn.SemSTNetwork` is trained on

    .. math::

        L = \mathrm{NLL}_{\mathrm{ZINB}} + 0.1 \, L_{\mathrm{spatial}} + 0.1 \, L_{\mathrm{DICR}}

    Its input averaged over the neighbourhood, and its latent at the end of the training, are cut at 8, 12, 16 and 20
    principal components by a Gaussian mixture from two starts (more below 3200 spots): 128 to 512 partitions. Each is
    judged by how well it agrees with the others and by how well the domains around a spot explain its counts; the
    consensus of the best eighth is returned. Genes that are zero in all spots are left out.

    Above 5000 spots cost and memory grow with their number alone. The principal components, the mixtures and the
    Moran's I of genes are fitted on a random 5000 spots and applied to all, and partitions are judged by such a
    sample (so is ``score``). A network takes each step on a tile of about 2500 spots, made up of eight patches from
    all over the tissue, and then reads every tile once. Each tile brings along the spots around its own that two graph
    convolutions hear of, so that neighbours in place count as on the whole tissue; neighbours in expression are sought
    inside the tile. The number of domains, where it is not given, is chosen on two such tiles. A script that torchrun
    starts in several processes calls this as any other; the processes share the tiles of each step and all end with the
    same domains. Where the memory of a GPU is not enough, a warning says so and the training starts again on tiles of
    half the size; on a GPU with bfloat16 dense products of the training are taken in that precision.

    With ``batch_key`` all that is compared is compared within slices. The spatial graph is built slice by slice. From
    each gene's stabilised expression its mean over the slice is subtracted before principal components and Moran's I,
    and so is the slice's mean from semantics. The decoder's mean :math:`\mu_{ij} = l_i \, p_{s(i) j} \, e^{\eta_{ij}}`
    takes the share :math:`p_{sj}` of gene :math:`j` in the spot's own slice :math:`s`, so that nothing has to be learnt
    of what tells slices apart. Partitions are judged by what a domain multiplies those shares by, the same in every
    slice. Neighbours in expression may lie in any slice. A tissue that one slice has and another lacks shifts their
    means against each other: slices should hold much the same tissue.

    With ``n_clusters=None`` the molecules are dealt to two halves, three times, and partitioned apart into 2, 3, ...
    domains. That number is taken whose partition of one half agrees best (adjusted Rand index) with those of the other
    into as many domains, one less and one more.

    References
    ----------
    Long et al., *When Genes Speak: A Semantic-Guided Framework for Spatially Resolved Transcriptomics Data Clustering*,
    AAAI 2026, arXiv:2511.11380. The views, the shortcut and the choice among partitions are ours.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
    >>> semst.tl.cluster(adata, n_clusters=4, epochs=5, progress=False)
    >>> sorted(adata.obs["semst"].unique())
    ['1', '2', '3', '4']
    """
    options = ClusterOptions(
        n_clusters=n_clusters,
        preset=preset,
        semantics_key=semantics_key,
        layer=layer,
        likelihood=likelihood,
        convolution=convolution,
        partition=partition,
        refine=refine,
        n_top_genes=n_top_genes,
        n_neighbors=n_neighbors,
        epochs=epochs,
        device=device,
        random_state=random_state,
        spatial_key=spatial_key,
        coordinate_system=coordinate_system,
        batch_key=batch_key,
        key_added=key_added,
        tiles_per_step=tiles_per_step,
    )
    return run(data, options, table_key=table_key, progress=progress, checkpoint=checkpoint, copy=copy)
