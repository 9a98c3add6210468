from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import semst
from semst.cli._cluster import run_cluster
from semst.cli._demo import run_demo

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """\
examples:
  semst demo
      simulated tissue, its domains, a picture: is everything installed?
  semst cluster tissue.h5ad domains.h5ad --n-clusters 7 --plot domains.png
      the domains of a tissue of yours

Each command explains itself: semst demo --help, semst cluster --help.
exit codes: 0 all went well, 1 the input is bad or the run failed, 2 wrong usage,
130 interrupted.
"""

_CLUSTER = """\
Find the spatial domains of a tissue section.

The input is an AnnData (.h5ad, or .zarr) or a SpatialData (.zarr). It holds raw counts
in X (or in a layer, see --layer), gene names in var_names (human or mouse: symbols or
Ensembl ids), and the x and y of each spot in obsm["spatial"]. The output is the same
with the results added:

  obs["semst"]             the domain of each spot: "1" (most spots), "2", ...
  obs["semst_confidence"]  how firmly a spot belongs there, 0 to 1
  obsm["X_semst"]          the latent of the networks
  uns["semst"]             parameters, losses, versions
  obs["semst_alpha"], obs["semst_beta"]
                           how strongly meaning modulated the spot, up to 10 000 spots
  obsm["gene_semantics"], varm["gene_semantics"], uns["gene_semantics"]
                           what spots and genes mean; taken as it is where it is there,
                           unless --vectors, --encoder or --species makes it anew

The input is never changed, and an output appears only when it is complete.
"""

_CLUSTER_EPILOG = """\
examples:
  semst cluster tissue.h5ad out.h5ad --n-clusters 7 --plot out.png
  semst cluster tissue.h5ad out.h5ad -k 7 --layer counts --device cpu
  semst cluster slide.zarr out.zarr -k 7 --table-key table --coordinate-system global
  semst cluster tissue.h5ad out.h5ad -k 7 --reference ground_truth --plot out.png
      draws experts' labels beside the domains and says how well they agree
"""

_DEMO = """\
Simulate a tissue with known domains, find them again, and draw both side by side.

Needs no network and no data; leaves domains.png and domains.h5ad behind. It shows that
everything is installed and what results look like. A simulation is no evidence of how
accurate the method is on real tissue.
"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; each command leaves the function that runs it in ``run``."""
    parser = argparse.ArgumentParser(
        prog="semst",
        description="Spatial domains of a tissue, drawn by counts, place and the meaning of genes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"semst {semst.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_cluster(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="find the domains of a simulated tissue and draw them",
        description=_DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.set_defaults(run=run_demo)
    demo.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    demo.add_argument("--n-spots", type=_whole(1), default=1000, metavar="N", help="spots or cells (default: 1000)")
    demo.add_argument(
        "--n-genes",
        type=_whole(1),
        default=500,
        metavar="N",
        help="genes, at least 20; at most 3000, of cells 2913 (default: 500)",
    )
    demo.add_argument(
        "--layout",
        choices=("layers", "patches"),
        default="layers",
        help="cortex in layers, or a tumour in patches (default: layers)",
    )
    demo.add_argument(
        "--platform",
        choices=("visium", "cells"),
        default="visium",
        help="spots on a grid, or single cells (default: visium)",
    )
    _add_training(demo)
    _add_common(demo)


def _add_cluster(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cluster = commands.add_parser(
        "cluster",
        help="find the domains of a tissue in an AnnData or SpatialData",
        description=_CLUSTER,
        epilog=_CLUSTER_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cluster.set_defaults(run=run_cluster)
    cluster.add_argument("input", type=Path, metavar="INPUT", help="a .h5ad file, or a .zarr folder")
    cluster.add_argument("output", type=Path, metavar="OUTPUT", help="where to write; SpatialData are written as .zarr")
    cluster.add_argument(
        "-k",
        "--n-clusters",
        type=_whole(2),
        metavar="K",
        help="number of domains, at least 2 (default: the number that is most stable)",
    )
    cluster.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the domains and how firm they are: .png, .pdf or .svg"
    )
    cluster.add_argument(
        "--reference",
        metavar="KEY",
        help="column of obs with experts' labels, drawn beside the domains and compared with them at the end; never "
        "seen by the method",
    )
    _add_data(cluster)
    _add_semantics(cluster)
    _add_model(cluster)
    _add_training(cluster)
    cluster.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="keep each trained network here; the same call goes on from there after an interruption",
    )
    cluster.add_argument(
        "--tiles-per-step",
        type=int,
        metavar="N",
        help="on more than 5000 spots: tiles in each step (default: one for each process that torchrun started)",
    )
    _add_common(cluster)


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("where things are in the input, and in the output")
    data.add_argument("--layer", metavar="KEY", help="layer with the raw counts (default: X)")
    data.add_argument("--spatial-key", default="spatial", metavar="KEY", help="coordinates in obsm (default: spatial)")
    data.add_argument("--table-key", metavar="KEY", help="table of a SpatialData that has several")
    data.add_argument("--coordinate-system", metavar="NAME", help="of a SpatialData (default: global, or the only one)")
    data.add_argument("--batch-key", metavar="KEY", help="column of obs that says which slice a spot belongs to")
    data.add_argument("--key-added", default="semst", metavar="KEY", help="name of the results (default: semst)")


def _add_semantics(parser: argparse.ArgumentParser) -> None:
    semantics = parser.add_argument_group(
        "what genes mean",
        'The default uses obsm["gene_semantics"] where it is, else the gene vectors that\n  come with semst.',
    )
    which = semantics.add_mutually_exclusive_group()
    which.add_argument("--no-semantics", action="store_true", help="leave meaning out")
    which.add_argument("--semantics-key", metavar="KEY", help="take the semantics in obsm under this key")
    which.add_argument("--vectors", metavar="FILE", help="gene vectors of your own, such as GenePT (.npz or .parquet)")
    which.add_argument(
        "--encoder",
        metavar="MODEL",
        help="describe each spot by its top genes and let this sentence-transformers model (name or folder) read it",
    )
    semantics.add_argument(
        "--species",
        choices=("human", "mouse"),
        help="of the genes whose vectors are made (default: found by their names)",
    )


def contradiction(arguments: argparse.Namespace) -> str:
    """Say which options do not go together and argparse cannot tell; empty where all do."""
    given = vars(arguments)
    taken = "--no-semantics" if given.get("no_semantics") else "--semantics-key" if given.get("semantics_key") else ""
    if taken and given.get("species") is not None:
        return f"argument --species: not allowed with argument {taken}, for no vectors are made"
    if given.get("encoder") is not None and given["likelihood"] == "gaussian":
        return (
            "argument --encoder: not allowed with argument --likelihood gaussian, for spots are described by raw "
            "counts; name semantics that were made of these with --semantics-key"
        )
    return ""


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("method")
    model.add_argument(
        "--preset",
        choices=("default", "published"),
        default="default",
        help="our recipe, or the paper's network with k-means (default: default)",
    )
    model.add_argument(
        "--likelihood",
        choices=("zinb", "nb", "gaussian"),
        default="zinb",
        help="of the decoder; gaussian takes data that is normalised and logged already (default: zinb)",
    )
    model.add_argument("--convolution", choices=("gcn", "gat", "sage"), default="gcn", help="default: gcn")
    model.add_argument(
        "--partition",
        choices=("mixture", "kmeans", "leiden"),
        help="how latents are cut (default: mixture; kmeans for the published preset)",
    )
    model.add_argument("--refine", action="store_true", help="let each spot take the commonest label around it")
    model.add_argument("--n-top-genes", type=_whole(1), default=3000, metavar="N", help="default: 3000")
    model.add_argument(
        "--n-neighbors",
        type=_whole(1),
        default=6,
        metavar="N",
        help="of each spot in the spatial graph, where neither a grid nor a graph is there (default: 6)",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs", type=_whole(1), metavar="N", help="of each network (default: those of the preset)"
    )
    training.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    training.add_argument(
        "--random-state", type=_whole(0), default=0, metavar="SEED", help="same seed, same result (default: 0)"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    common = parser.add_argument_group("running")
    common.add_argument("--overwrite", action="store_true", help="replace outputs that exist (never the input)")
    common.add_argument("--quiet", action="store_true", help="no progress bars, and of remarks only warnings")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _whole(lowest: int) -> Callable[[str], int]:
    """Make a type of argument: whole numbers of at least ``lowest``."""

    def parse(text: str) -> int:
        message = f"must be a whole number of at least {lowest}, got {text!r}"
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(message) from None
        if number < lowest:
            raise argparse.ArgumentTypeError(message)
        return number

    return parse
