from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

from semst._keys import CLUSTER, GROUND_TRUTH
from semst.cli._cluster import compare, draw, report
from semst.cli._files import check_free, made, staged, write

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from anndata import AnnData

_NEXT = """\
Simulated tissue is no evidence of accuracy on real tissue: it only shows that everything works.
Next: semst cluster YOUR.h5ad OUT.h5ad --n-clusters 7 --plot OUT.png
"""


def run_demo(arguments: argparse.Namespace, written: list[Path]) -> None:
    """``semst demo``: simulate a tissue, find its domains, draw and write both, and add what is in place to a list."""
    start = perf_counter()
    picture, table = arguments.out / "domains.png", arguments.out / "domains.h5ad"
    with made(arguments.out):
        check_free([picture, table], overwrite=arguments.overwrite)
        with staged([picture, table], written, overwrite=arguments.overwrite) as meanwhile:
            adata = _simulated_domains(arguments)
            draw(adata, meanwhile[picture], [GROUND_TRUTH, CLUSTER.obs, CLUSTER.confidence])
            write(adata, meanwhile[table])
    report(adata, CLUSTER.obs)
    sys.stdout.write(f"{compare(adata.obs[GROUND_TRUTH], adata.obs[CLUSTER.obs], name=GROUND_TRUTH)}\n")
    sys.stdout.write(f"wrote {picture.resolve()}\nwrote {table.resolve()}\n")
    sys.stdout.write(f"{perf_counter() - start:.0f} seconds.\n{_NEXT}")


def _simulated_domains(arguments: argparse.Namespace) -> AnnData:
    """Simulate the tissue that the options ask for, and find as many domains as were planted."""
    from semst.datasets import simulated
    from semst.pp import gene_semantics
    from semst.tl import cluster

    adata = simulated(
        n_spots=arguments.n_spots,
        n_genes=arguments.n_genes,
        layout=arguments.layout,
        platform=arguments.platform,
        random_state=arguments.random_state,
        progress=not arguments.quiet,
    )
    gene_semantics(adata)
    cluster(
        adata,
        n_clusters=adata.obs[GROUND_TRUTH].nunique(),
        epochs=arguments.epochs,
        device=arguments.device,
        random_state=arguments.random_state,
        progress=not arguments.quiet,
    )
    return adata
