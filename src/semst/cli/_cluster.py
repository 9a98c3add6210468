from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from semst.cli._files import check_free, check_output, check_picture, find_format, read, staged, write

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from anndata import AnnData
    from spatialdata import SpatialData


def run_cluster(arguments: argparse.Namespace) -> None:
    """``semst cluster``: read, find domains, write; everything that can be checked is checked first.

    Of several processes that torchrun started the first one writes.
    """
    from semst.training._processes import rank

    kind = find_format(arguments.input)
    if rank() > 0:
        _find_domains(read(arguments.input, kind), arguments)
        return
    check_output(arguments.output, kind)
    outputs = [arguments.output]
    if arguments.plot is not None:
        check_picture(arguments.plot)
        outputs.append(arguments.plot)
    check_free(outputs, inputs=[arguments.input], overwrite=arguments.overwrite)
    with staged(outputs, overwrite=arguments.overwrite) as meanwhile:
        data = read(arguments.input, kind)
        table = _table(data, arguments)
        _find_domains(data, arguments)
        write(data, meanwhile[arguments.output])
        if arguments.plot is not None:
            from semst._keys import ClusterKeys

            confidence = ClusterKeys(arguments.key_added).confidence
            keys = [key for key in (arguments.reference, arguments.key_added, confidence) if key is not None]
            draw(data, meanwhile[arguments.plot], keys, batch_key=arguments.batch_key, **_places(arguments))
        agreement = None if arguments.reference is None else compare(table, arguments.reference, arguments.key_added)
    report(table, arguments.key_added)
    if agreement is not None:
        sys.stdout.write(f"{agreement}\n")
    for output in outputs:
        sys.stdout.write(f"wrote {output}\n")


def _table(data: AnnData | SpatialData, arguments: argparse.Namespace) -> AnnData:
    """Find the table, and see to it that the reference is in it before the long work."""
    from semst._inputs import find_table
    from semst._problems import Problems, listed

    table = find_table(data, table_key=arguments.table_key, where=str(arguments.input))
    problems = Problems(str(arguments.input))
    if arguments.reference is not None and arguments.reference not in table.obs:
        problems.missing(f"no obs[{arguments.reference!r}] for --reference; obs has {listed(table.obs.columns)}.")
    problems.raise_if_any()
    return table


def _places(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "table_key": arguments.table_key,
        "spatial_key": arguments.spatial_key,
        "coordinate_system": arguments.coordinate_system,
    }


def _find_domains(data: AnnData | SpatialData, arguments: argparse.Namespace) -> None:
    from semst.tl import cluster

    semantics_key = None if arguments.no_semantics else _semantics(data, arguments)
    cluster(
        data,
        n_clusters=arguments.n_clusters,
        preset=arguments.preset,
        semantics_key=semantics_key,
        layer=arguments.layer,
        likelihood=arguments.likelihood,
        convolution=arguments.convolution,
        partition=arguments.partition,
        refine=arguments.refine,
        n_top_genes=arguments.n_top_genes,
        n_neighbors=arguments.n_neighbors,
        epochs=arguments.epochs,
        device=arguments.device,
        random_state=arguments.random_state,
        progress=not arguments.quiet,
        batch_key=arguments.batch_key,
        checkpoint=arguments.checkpoint,
        tiles_per_step=arguments.tiles_per_step,
        key_added=arguments.key_added,
        **_places(arguments),
    )


def _semantics(data: AnnData | SpatialData, arguments: argparse.Namespace) -> str:
    """Make the semantics that the arguments ask for, if any, and give their key."""
    from semst._keys import SEMANTICS
    from semst.pp import gene_semantics

    if arguments.semantics_key is not None:
        return str(arguments.semantics_key)
    if arguments.vectors is not None or arguments.encoder is not None or arguments.species is not None:
        gene_semantics(
            data,
            mode="genes" if arguments.encoder is None else "spots",
            vectors=arguments.vectors,
            encoder=arguments.encoder,
            species=arguments.species,
            layer=arguments.layer,
            weights="raw" if arguments.likelihood == "gaussian" and arguments.encoder is None else "lognorm",
            progress=not arguments.quiet,
            table_key=arguments.table_key,
        )
    return SEMANTICS.obsm


def report(table: AnnData, key: str) -> None:
    """Say on stdout what was found: the size of each domain and how firmly its spots belong to it."""
    from semst._keys import ClusterKeys

    keys = ClusterKeys(key)
    by_domain = table.obs.groupby(keys.obs, observed=True)[keys.confidence]
    sys.stdout.write(f"{table.n_obs} spots x {table.n_vars} genes, {by_domain.ngroups} domains\n")
    sys.stdout.write("domain   spots  confidence\n")
    for domain, confidence in by_domain:
        sys.stdout.write(f"{domain!s:>6}  {confidence.size:>6}  {confidence.mean():>10.2f}\n")


def compare(table: AnnData, reference: str, key: str) -> str:
    """Say how well domains agree with labels."""
    from semst.metrics import agreement

    scores = agreement(table.obs[reference], table.obs[key])
    return (
        f"agreement with {reference}: ARI {scores['ari']:.2f}, NMI {scores['nmi']:.2f}, "
        f"accuracy {scores['accuracy']:.2f} (1 is perfect; ARI 0 is chance)"
    )


def draw(data: AnnData | SpatialData, path: Path, keys: list[str], **places: Any) -> None:  # noqa: ANN401
    """Draw labels side by side into a file, without a screen."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from semst.pl import domains

    domains(data, color=keys, **places)
    figure = plt.gcf()
    figure.savefig(path, dpi=150)
    plt.close(figure)
