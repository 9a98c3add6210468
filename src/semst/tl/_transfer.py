"""Domains of a trained model, found in another tissue."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._inputs import find_table
from semst._keys import CLUSTER, IN_CLUSTER, SPATIAL, ClusterKeys
from semst._problems import Problems
from semst._provenance import versions
from semst._results import Data, check_key, check_writable, target
from semst.clustering._checks import check_free
from semst.clustering._write import forget

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from semst.model import SemST
    from semst.model._kept import Kept
    from semst.model._new_tissue import NewTissue

logger = logging.getLogger("semst")

WHERE = "semst.tl.transfer"
_DOUBTFUL = 0.05  # the confidence is read as a p-value


def transfer(
    model: SemST | str | os.PathLike[str],
    data: Data,
    *,
    center: bool = True,
    layer: str | None = None,
    min_coverage: float = 0.1,
    device: str = "auto",
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    key_added: str = CLUSTER.base,
    copy: bool = False,
) -> Data | None:
    r"""Find the domains of a trained model in another tissue, without training.

    Parameters
    ----------
    model
        A :class:`semst.SemST`, or the folder of one.
    data
        AnnData, or SpatialData with such a table: spots x genes with raw counts (what the model was trained on), and
        where the spots lie. Genes may be named otherwise than in the model (aliases, Ensembl ids, the other of human
        and mouse), and some of the model's may be missing: what they would have said is estimated from the others.
    center
        Whether each gene's mean in this tissue takes the place of its mean in the training tissue. The default takes
        out what differs between slices in chemistry and depth, and asks that both hold about the same domains. Set it
        to False for a piece of the same slice, or one that is known to lack some domains; of a model that was trained
        on several slices it then takes the mean over all of their spots.
    layer
        Key of ``layers`` with the counts; the default reads ``X``.
    min_coverage
        Share of the genes that the model reads, in [0, 1], that must be there. Below 0.3 a warning says so.
    device
        ``"auto"`` takes a GPU where there is one; or a name such as ``"cpu"`` or ``"cuda:1"``.
    table_key
        Name of the table in a SpatialData that has several.
    spatial_key
        Key of ``obsm`` with the coordinates, ``(n_spots, 2)`` in any unit.
    coordinate_system
        For SpatialData: where the centroids are taken; the default is ``"global"``, or the only one. Slices
        (``batch_key``) that share none are placed each in its own.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, with at least 10 spots in each, where the tissue has
        several; it need not be that of the training. No edge leads from one slice to another, and ``center`` takes each
        slice by itself. Neighbours in expression are sought among the spots of all slices, so that a spot in a hundred
        may have another label than where slices come one by one. The default takes all spots for one slice, with a
        warning where they look like several.
    key_added
        Name of all that is written. Only earlier domains of semst are replaced, as :func:`semst.tl.cluster` says.
    copy
        Return a copy with the results and leave ``data`` alone; the default writes into ``data``.

    Returns
    -------
    None, or the copy. Written into the table, in place of earlier domains of the same name; all else that belongs to
    those (modulation, description, the latent ``obsm["X_" + key_added]``, colours) is taken away:

    ``obs[key_added]``
        Categorical of str: the domains, with all names of the model, also of domains that are not found.
    ``obs[key_added + "_confidence"]``
        float32 in [0, 1]: how firmly the spot belongs to its domain and not to another, times how usual it would be
        there, see Notes. On tissue like that of the training it is spread out, with a median of about 0.3; spots that
        such tissue does not have are near 0.
    ``uns[key_added]``
        Dict of ``params``; ``coverage``: ``genes`` and ``counts`` (float: share of the model's genes that are there,
        and of the counts that they have in the training tissue), ``n_genes`` and ``n_found`` (int: that the networks
        read, and of these there), ``missing`` (str array), ``how`` (way of matching -> number); ``model``:
        ``params`` and ``versions`` of the training; ``device``; ``versions``.
    ``uns[key_added + "_colors"]``
        List of str, where the model has colours.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData, or ``model`` neither a model nor a path.
    FileNotFoundError
        If the folder holds no model.
    KeyError
        If a layer, key, table or coordinate system is missing, ``batch_key`` is not in ``obs``, or there are no
        coordinates, or no semantics of the kind that the model was trained with.
    ValueError
        If the folder is damaged, was edited, or is of another format; an argument is out of its range; ``key_added``
        names what semst did not write; names are duplicated; there are fewer than 2 spots; counts are negative, not
        whole numbers (or raw, where the model was trained on logged expression), not finite, or missing from a spot;
        coordinates are not finite; a spot has no slice, a slice fewer than 10 spots, or a graph that is there edges
        between slices or none; semantics were made in another way than those of the training; fewer of the model's
        genes are there than ``min_coverage`` asks for; or ``data`` is a view of a backed AnnData and ``copy`` is not
        set. ``data`` is as it was.
    FloatingPointError
        If the model's networks give values that are not finite on this tissue; ``data`` is as it was.

    Notes
    -----
    Counts are stabilised and turned onto the axes of the training tissue, with the library size that it would have had
    with the shared genes alone; places make a graph as in :func:`semst.tl.cluster`; the networks read both. In each
    latent :math:`v` (the smoothed input of a view, and what its network makes of it) a spot lies at the Mahalanobis
    distance :math:`\delta_{vk}` from domain :math:`k`. It goes to the domain of highest mean posterior

    .. math::

        \bar p_k = \frac{1}{V} \sum_v \frac{e^{-\delta_{vk}^2 / 2}}{\sum_l e^{-\delta_{vl}^2 / 2}}

    with the confidence :math:`\bar p_k \min(\bar t_k, u_k)`. Here :math:`t_{vk}` is the share of the domain's training
    spots that lie at least as far from its mean, and :math:`u_k` the share that are no more like it in what they
    express (cosine between the mean expression of the domain and that of the spot and all at most two steps away, both
    relative to the tissue as a whole). Labels are not smoothed over space: the latents are already.

    Missing semantics are pooled from the packaged gene vectors, if those of the training were; they are not written.

    Examples
    --------
    >>> import semst
    >>> first = semst.datasets.simulated(n_spots=400, n_genes=300, random_state=0, progress=False)
    >>> second = semst.datasets.simulated(n_spots=400, n_genes=300, random_state=1, progress=False)
    >>> model = semst.SemST.train(first, n_clusters=4, epochs=5, progress=False)
    >>> semst.tl.transfer(model, second)
    >>> second.obs["semst"].cat.categories.tolist()
    ['1', '2', '3', '4']
    """
    from semst.model._new_tissue import prepare

    trained = _model(model)
    kept = trained._kept
    table = find_table(data, table_key=table_key, where=WHERE)
    problems = Problems(WHERE)
    check_writable(table, problems, copy=copy)
    check_key(key_added, problems)
    read = {"spatial_key": spatial_key, "semantics_key": kept.params.get("semantics_key"), "batch_key": batch_key}
    check_free(table, key_added, problems, read=read)
    new = prepare(
        kept,
        data,
        problems,
        layer=layer,
        min_coverage=min_coverage,
        device=device,
        table_key=table_key,
        spatial_key=spatial_key,
        coordinate_system=coordinate_system,
        batch_key=batch_key,
    )
    best, confidence = _judged(kept, new, center=center)
    if np.median(confidence) < _DOUBTFUL:
        logger.warning(
            "transfer: half of the spots have a confidence below %s: the model does not know such tissue well. Compare "
            "with `semst.tl.cluster` of the old and the new slice together (`batch_key`).",
            _DOUBTFUL,
        )
    params = {
        "center": center,
        "min_coverage": float(min_coverage),
        "spatial_key": spatial_key,
        "key_added": key_added,
        **({} if layer is None else {"layer": layer}),
        **({} if coordinate_system is None else {"coordinate_system": coordinate_system}),
        **({} if batch_key is None else {"batch_key": batch_key}),
    }
    told = {"params": trained.params, "versions": trained.versions}

    data, table = target(data, new.table, copy=copy)
    keys = ClusterKeys(key_added)
    forget(table, keys)
    names = np.array(kept.domains, dtype=object)[new.in_order(best)]
    table.obs[keys.obs] = pd.Categorical(names, categories=list(kept.domains))
    table.obs[keys.confidence] = new.in_order(confidence)
    table.uns[keys.uns] = {
        IN_CLUSTER.params: params,
        "coverage": new.overlap.coverage,
        IN_CLUSTER.model: told,
        "device": str(new.device),
        IN_CLUSTER.versions: versions(),
    }
    if trained.colors is not None:
        table.uns[keys.colors] = trained.colors
    return data if copy else None


def _model(model: SemST | str | os.PathLike[str]) -> SemST:
    from semst.model import SemST

    if isinstance(model, SemST):
        return model
    if isinstance(model, str | Path) or hasattr(model, "__fspath__"):
        return SemST.load(model)
    message = f"{WHERE}: model must be a semst.SemST or the folder of one, got {type(model).__name__}."
    raise TypeError(message)


def _judged(kept: Kept, new: NewTissue, *, center: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Domain of each spot, from 0, and confidence, rows in the order of the tiles."""
    from semst.model._discriminant import posterior
    from semst.model._latents import latents

    size: Any = (new.table.n_obs, len(kept.domains))
    share, typical = np.zeros(size), np.zeros(size)
    found = latents(kept, new.tissue, new.overlap, tiles=new.tiles, recentre=center, device=new.device)
    for discriminant, latent in zip(kept.discriminants, found, strict=True):
        squared = discriminant.squared_distances(latent)
        share += posterior(squared) / len(kept.discriminants)
        typical += discriminant.typicality(squared) / len(kept.discriminants)
    best = share.argmax(axis=1)
    rows = np.arange(best.size)
    assert kept.profiles is not None  # only while a model is made
    alike = kept.profiles.typicality(
        kept.plainest, new.tissue, new.overlap, np.concatenate(new.tiles), best, recentre=center
    )
    confidence = share[rows, best] * np.minimum(typical[rows, best], alike)
    return best, np.clip(confidence, 0, 1).astype(np.float32)
