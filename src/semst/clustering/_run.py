"""A run of semst.tl.cluster, step by step: check, train, cut, and write at the very end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._doubts import warn_of_bare_glass, warn_of_control_probes
from semst._inputs import find_table
from semst._joined import warn_of_joined_slices, warn_of_unshared_genes
from semst._keys import IN_CLUSTER, SEMANTICS, ClusterKeys, ModulationKeys
from semst._problems import Problems, listed
from semst._results import Data, check_writable, target
from semst._slices import side_by_side
from semst.clustering._checks import ClusterOptions, check, check_free
from semst.clustering._domains import find_domains
from semst.clustering._found import Found, semantics_params
from semst.clustering._modulation import facts as modulation_facts
from semst.clustering._pooled import pooling_of
from semst.clustering._same_run import check_alike, open_checkpoint
from semst.clustering._write import write_domains
from semst.pp._compute_semantics import SemanticsResult, compute_gene_semantics
from semst.pp._gene_semantics import write_semantics
from semst.pp._graphs import spatial_graph
from semst.pp._semantics_options import SemanticsOptions
from semst.training._checkpoint import check_place
from semst.training._device import pick_device
from semst.training._processes import join, share_out
from semst.training._recipe import recipe_for
from semst.training._sections import Tissue, choose_genes
from semst.training._train import train

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import torch
    from anndata import AnnData

    from semst.clustering._checks import Checked
    from semst.clustering._domains import Domains
    from semst.training._recipe import Recipe
    from semst.training._trained import Trained

logger = logging.getLogger("semst")

WHERE = "semst.tl.cluster"
_TAKES_LOGGED = ", or use `likelihood='gaussian'`"


def run(
    data: Data,
    options: ClusterOptions,
    *,
    table_key: str | None,
    progress: bool,
    checkpoint: str | os.PathLike[str] | None,
    copy: bool,
    keep: Callable[[Found], object] | None = None,
) -> Data | None:
    """Do what :func:`semst.tl.cluster` does; ``keep`` is called with what was found, before anything is written."""
    table = find_table(data, table_key=table_key, where=WHERE)
    problems = Problems(WHERE)
    processes = join()
    device = pick_device(options.device, problems)
    tiles_per_step = share_out(options.tiles_per_step, processes, problems)
    check_writable(table, problems, copy=copy)
    if checkpoint is not None:
        check_place(checkpoint, problems)
    read = {name: getattr(options, name) for name in ("spatial_key", "semantics_key", "batch_key")}
    check_free(table, options.key_added, problems, read=read, latent=True)
    gaussian = options.likelihood == "gaussian"
    way_out = ", or leave out `likelihood`, whose default takes raw counts" if gaussian else _TAKES_LOGGED
    checked = check(data, table, options, problems, way_out=way_out)
    _warn_of_doubts(table, checked, options)
    fresh = _missing_semantics(table, options)

    recipe = recipe_for(
        options.preset,
        epochs=options.epochs,
        gaussian=gaussian,
        n_spots=table.n_obs,
        partition=options.partition,
    )
    tissue = _tissue(table, checked, fresh, recipe, options)
    _warn_without_meaning(table, tissue, options)
    check_alike(options, tissue, device, processes, tiles_per_step=tiles_per_step)
    kept = None
    if checkpoint is not None:
        kept = open_checkpoint(checkpoint, options, tissue, device, tiles_per_step=tiles_per_step)
    trained = train(
        tissue,
        recipe,
        likelihood=options.likelihood,
        convolution=options.convolution,
        device=device,
        random_state=options.random_state,
        progress=progress and processes.rank == 0,
        checkpoint=kept,
        processes=processes,
        tiles_per_step=tiles_per_step,
    )
    domains = find_domains(
        trained, tissue, recipe, options, processes=processes, progress=progress and processes.rank == 0
    )
    facts = _facts(table, tissue, trained, domains, fresh, options, device)
    if keep is not None:
        told = semantics_params(table, options.semantics_key, fresh)
        all_genes = tuple(str(name) for name in table.var_names)
        keep(Found(tissue, recipe, trained, domains.numbers, domains.n_clusters, all_genes, told))

    data, table = target(data, table, copy=copy)
    if fresh is not None:
        write_semantics(table, fresh, key=SEMANTICS.base)
    keys = ClusterKeys(options.key_added)
    write_domains(table, domains.numbers, domains.confidence, trained, facts, keys)
    if domains.doubts:
        logger.warning(
            "cluster: %d fits found fewer than %d groups or did not converge: there are few spots for so many domains, "
            "or spots much alike. Look at obs[%r] before you trust a border.",
            domains.doubts,
            domains.n_clusters,
            keys.confidence,
        )
    return data if copy else None


def _warn_of_doubts(table: AnnData, checked: Checked, options: ClusterOptions) -> None:
    """Say what can be clustered, but is hardly what was meant."""
    where = WHERE.rpartition(".")[2]
    warn_of_bare_glass(table, where=where)
    warn_of_control_probes(table, where=where)
    if options.batch_key is None:
        warn_of_joined_slices(table, checked.coordinates, where=where)
    elif checked.slices is not None:
        warn_of_unshared_genes(checked.counts, checked.slices, where=where, batch_key=options.batch_key)


def _missing_semantics(table: AnnData, options: ClusterOptions) -> SemanticsResult | None:
    """Compute the default semantics where they are wanted and missing."""
    if options.semantics_key is None or options.semantics_key in table.obsm:
        return None
    logger.info("no semantics in obsm[%r]: running semst.pp.gene_semantics with its defaults.", SEMANTICS.base)
    weights: Any = "raw" if options.likelihood == "gaussian" else "lognorm"
    return compute_gene_semantics(
        table,
        SemanticsOptions(layer=options.layer, weights=weights, progress=False),
        problems=Problems(WHERE),
        way_out=" Or leave meaning out with `semantics_key=None`.",
    )


def _warn_without_meaning(table: AnnData, tissue: Tissue, options: ClusterOptions) -> None:
    """Say where most spots have no semantics, so that nobody takes what comes out for drawn by meaning."""
    if tissue.semantics is None:
        return
    bare = int((~tissue.semantics.any(axis=1)).sum())
    if 2 * bare > table.n_obs:
        logger.warning(
            "cluster: of %d spots %d have no semantics (zeros in obsm[%r]), so that expression and places alone tell "
            "them apart. Are the names in var_names (%s) symbols or Ensembl ids of human or mouse? If not, put such "
            "there and run `semst.pp.gene_semantics` again; or leave meaning out with `semantics_key=None`.",
            table.n_obs,
            bare,
            options.semantics_key,
            listed(table.var_names, limit=3),
        )


def _tissue(
    table: AnnData, checked: Checked, fresh: SemanticsResult | None, recipe: Recipe, options: ClusterOptions
) -> Tissue:
    """Connect the spots and choose the genes."""
    slices = checked.slices
    graph = spatial_graph(table, checked.coordinates, n_neighbors=options.n_neighbors, slices=slices)
    genes = choose_genes(checked.counts, graph, recipe, n_top_genes=options.n_top_genes, slices=slices)
    semantics = fresh.spot_vectors if fresh is not None else checked.semantics
    places = checked.coordinates if slices is None else side_by_side(checked.coordinates, slices)
    return Tissue(checked.counts, graph, semantics, genes, places, slices)


def _facts(
    table: AnnData,
    tissue: Tissue,
    trained: Trained,
    domains: Domains,
    fresh: SemanticsResult | None,
    options: ClusterOptions,
    device: torch.device,
) -> dict[str, Any]:
    """Gather what goes into ``uns``; see :func:`semst.tl.cluster`."""
    facts: dict[str, Any] = {
        IN_CLUSTER.params: options.params(),
        "score": domains.score,
        IN_CLUSTER.n_clusters: domains.n_clusters,
        "n_partitions": domains.n_partitions,
        "n_genes": int(tissue.genes.size),
        "device": str(device),
    }
    if domains.curve is not None:
        curve = domains.curve
        facts[IN_CLUSTER.stability] = {IN_CLUSTER.n_clusters: curve.n_clusters, IN_CLUSTER.values: curve.values}
    if tissue.semantics is not None and trained.modulated is not None:
        key = str(options.semantics_key)
        pooling = pooling_of(table, tissue.counts, tissue.semantics, key=key, layer=options.layer, fresh=fresh)
        names = np.asarray(table.var_names, dtype=str)
        facts[ModulationKeys().uns] = modulation_facts(
            trained.modulated, domains.numbers - 1, tissue, pooling, names=names
        )
    return facts
