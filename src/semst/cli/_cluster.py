from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from semst.cli._files import check_free, check_output, check_picture, find_format, read, staged, write

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

    from semst._problems import Problems


def run_cluster(arguments: argparse.Namespace, written: list[Path]) -> None:
    """``semst cluster``: read, find domains, write; everything that can be checked is checked first.

    Of several processes that torchrun started the first one writes. Outputs are added to ``written`` once they are in
    place.
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
    with staged(outputs, written, overwrite=arguments.overwrite) as meanwhile:
        data = read(arguments.input, kind)
        table = _table(data, arguments)
        # The domains may be about to take the place of the reference.
        reference = None if arguments.reference is None else table.obs[arguments.reference].copy()
        _find_domains(data, arguments)
        write(data, meanwhile[arguments.output])
        if arguments.plot is not None:
            keys = _drawn(table, reference, arguments.key_added)
            draw(data, meanwhile[arguments.plot], keys, batch_key=arguments.batch_key, **_places(arguments))
    report(table, arguments.key_added)
    if reference is not None:
        told = compare(reference, table.obs[arguments.key_added], name=arguments.reference)
        sys.stdout.write(f"{told}\n")
    for output in outputs:
        sys.stdout.write(f"wrote {output}\n")


def _table(data: AnnData | SpatialData, arguments: argparse.Namespace) -> AnnData:
    """Find the table, and see to it that the reference in it can be compared with, before the long work."""
    from semst._inputs import find_table
    from semst._problems import Problems

    table = find_table(data, table_key=arguments.table_key, where=str(arguments.input))
    problems = Problems(str(arguments.input))
    if arguments.reference is not None:
        _check_reference(table, arguments.reference, problems)
    problems.raise_if_any()
    return table


def _check_reference(table: AnnData, key: str, problems: Problems) -> None:
    """Note a reference that is not there or holds no labels: fewer than two, one for each spot, or measured numbers."""
    from semst._labels import empty_as_missing
    from semst._problems import listed
    from semst.tl._describe import _measures

    if key not in table.obs:
        problems.missing(f"no obs[{key!r}] for --reference; obs has {listed(table.obs.columns)}.")
        return
    labels = empty_as_missing(table.obs[key])
    if _measures(labels):
        problems.add(f"obs[{key!r}] for --reference holds measured numbers; name a column of labels.")
    elif not 2 <= labels.nunique() < labels.count():
        problems.add(
            f"obs[{key!r}] for --reference must hold at least two labels, and not one for each spot; it has "
            f"{labels.nunique()} in {labels.count()} spots. Name another column."
        )


def _drawn(table: AnnData, reference: pd.Series | None, key: str) -> list[str]:
    """Name what is drawn; a reference whose place the domains took is put beside them, in a table that is written."""
    from semst._keys import ClusterKeys

    keys = ClusterKeys(key)
    domains = [keys.obs, keys.confidence]
    if reference is None:
        return domains
    name = str(reference.name)
    if name in domains:
        name = f"earlier {name}"
        table.obs[name] = reference
    return [name, *domains]


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


def compare(reference: pd.Series, domains: pd.Series, *, name: str) -> str:
    """Say how well domains agree with labels of this name."""
    from semst.metrics import agreement

    scores = agreement(reference, domains)
    return (
        f"agreement with {name}: ARI {scores['ari']:.2f}, NMI {scores['nmi']:.2f}, "
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
