"""What has to hold before domains are sought: everything is looked at, and one error names all that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from semst._inputs import check_names, read_coordinates, read_counts
from semst._keys import SEMANTICS, SPATIAL
from semst._problems import Problems, listed
from semst._results import check_key
from semst.tl._partition import Partition
from semst.tl._recipe import Preset

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse
    from spatialdata import SpatialData

    from semst.nn import Convolution, Likelihood


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The choices of :func:`semst.tl.cluster`, which documents them."""

    n_clusters: int | None
    preset: Preset
    semantics_key: str | None
    layer: str | None
    likelihood: Likelihood
    convolution: Convolution
    partition: Partition | None
    refine: bool
    n_top_genes: int
    n_neighbors: int
    epochs: int | None
    device: str
    random_state: int
    spatial_key: str
    coordinate_system: str | None
    key_added: str

    def check(self, problems: Problems) -> None:
        """Note every value that is not allowed."""
        choices = {
            "preset": get_args(Preset),
            "likelihood": ("zinb", "nb", "gaussian"),
            "convolution": ("gcn", "gat", "sage"),
            "partition": get_args(Partition),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed and not (name == "partition" and self.partition is None):
                problems.add(f"{name} must be one of {listed(allowed)}, got {getattr(self, name)!r}.")
        lowest = {"n_clusters": 2, "n_top_genes": 1, "n_neighbors": 1, "epochs": 1, "random_state": 0}
        for name, least in lowest.items():
            value = getattr(self, name)
            if name in {"epochs", "n_clusters"} and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                problems.add(f"{name} must be a whole number of at least {least}, got {value!r}.")
        if self.n_clusters is None and self.likelihood == "gaussian":
            problems.add("n_clusters is needed with likelihood='gaussian': it is only chosen by splitting raw counts.")
        check_key(self.key_added, problems)

    def params(self) -> dict[str, Any]:
        """Give the choices in a form that can be written to disk: what is None is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Checked:
    """Counts ``(n, g)`` CSR, coordinates ``(n, 2)``, and the semantics ``(n, m)`` that were there, or None."""

    counts: sparse.csr_matrix
    coordinates: NDArray[np.float64]
    semantics: NDArray[np.float32] | None


def check(data: AnnData | SpatialData, table: AnnData, options: ClusterOptions, problems: Problems) -> Checked:
    """Read and check all that :func:`semst.tl.cluster` needs.

    Raises
    ------
    ValueError, KeyError
        One error with all problems.
    """
    options.check(problems)
    check_names(table, problems)
    counts = read_counts(table, problems, layer=options.layer, integers=options.likelihood != "gaussian")
    coordinates = read_coordinates(
        data,
        table,
        problems,
        spatial_key=options.spatial_key,
        coordinate_system=options.coordinate_system,
    )
    fewest = 4 if options.n_clusters is None else options.n_clusters
    if isinstance(fewest, int) and table.n_obs < fewest:
        problems.add(f"{fewest} domains cannot be found in {table.n_obs} spots; ask for fewer.")
    semantics = _semantics(table, options.semantics_key, problems)
    _check_graph(table, problems)
    if options.partition == "leiden":
        _check_leiden(problems)
    problems.raise_if_any()
    assert counts is not None  # for the type checker: a missing one is a problem, raised above
    assert coordinates is not None
    return Checked(counts, coordinates, semantics)


def _semantics(table: AnnData, key: str | None, problems: Problems) -> NDArray[np.float32] | None:
    """Read the spots' semantics; None where they are not wanted, or are still to be made."""
    if key is None or (key == SEMANTICS.base and key not in table.obsm):
        return None
    if key not in table.obsm:
        problems.missing(
            f"no semantics: obsm[{key!r}] is missing; obsm has {listed(table.obsm)}. "
            f"Make it with `semst.pp.gene_semantics(adata, key_added={key!r})`."
        )
        return None
    semantics = np.asarray(table.obsm[key], dtype=np.float32)
    if semantics.ndim != 2 or not np.isfinite(semantics).all():
        problems.add(f"obsm[{key!r}] must be a finite matrix (n_spots, d); run `semst.pp.gene_semantics` again.")
        return None
    return semantics


def _check_graph(table: AnnData, problems: Problems) -> None:
    """Note a spatial graph without edges, which would leave every spot alone."""
    graph = table.obsp.get(SPATIAL.connectivities)
    if graph is not None and graph.sum() == 0:
        problems.add(
            f"obsp[{SPATIAL.connectivities!r}] has no edges; make it again with squidpy, or delete it and semst "
            "makes its own."
        )


def _check_leiden(problems: Problems) -> None:
    from importlib.util import find_spec

    missing = [name for name in ("igraph", "leidenalg") if find_spec(name) is None]
    if missing:
        problems.add(f"partition='leiden' needs {listed(missing)}; install the extra with `pip install semst[leiden]`.")
