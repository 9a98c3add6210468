"""What has to hold before domains are sought: everything is looked at, and one error names all that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from semst._batch_key import FEWEST_SPOTS, check_graph, read_slices
from semst._inputs import check_names, read_coordinates, read_counts, read_matrix
from semst._keys import CLUSTER, SEMANTICS, SPATIAL, ClusterKeys
from semst._problems import Problems, counted, listed, unknown
from semst._results import check_key, check_untaken
from semst.clustering._write import Places, earlier, is_clustering
from semst.training._recipe import Partition, Preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse
    from spatialdata import SpatialData

    from semst.nn import Convolution, Likelihood

_FEWEST_IN_DOMAIN = 3  # spots in the mean: smaller ones are no part of a tissue


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The choices of :func:`semst.tl.cluster`, which documents them, with its defaults."""

    n_clusters: int | None = None
    preset: Preset = "default"
    semantics_key: str | None = SEMANTICS.base
    layer: str | None = None
    likelihood: Likelihood = "zinb"
    convolution: Convolution = "gcn"
    partition: Partition | None = None
    refine: bool = False
    n_top_genes: int = 3000
    n_neighbors: int = 6
    epochs: int | None = None
    device: str = "auto"
    random_state: int = 0
    spatial_key: str = SPATIAL.coordinates
    coordinate_system: str | None = None
    batch_key: str | None = None
    tiles_per_step: int | None = None
    key_added: str = CLUSTER.base

    def __post_init__(self) -> None:
        """Take numpy's numbers and torch's devices for what they are, so that they can be compared and written."""
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())
        object.__setattr__(self, "device", str(self.device))

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
                problems.add(unknown(name, getattr(self, name), allowed))
        lowest = {
            "n_clusters": 2,
            "n_top_genes": 1,
            "n_neighbors": 1,
            "epochs": 1,
            "tiles_per_step": 1,
        }
        for name, least in lowest.items():
            value = getattr(self, name)
            if name in {"epochs", "n_clusters", "tiles_per_step"} and value is None:
                continue
            problems.whole(name, value, least=least)
        problems.seed(self.random_state)
        refine: object = self.refine  # whatever its type says
        if not isinstance(refine, bool):
            problems.add(f"refine must be True or False, got {self.refine!r}.")
        if self.n_clusters is None and self.likelihood == "gaussian":
            problems.add("n_clusters is needed with likelihood='gaussian': it is only chosen by splitting raw counts.")
        check_key(self.key_added, problems)

    def params(self) -> dict[str, Any]:
        """Give the choices in a form that can be written to disk: what is None is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Checked:
    """Counts ``(n, g)`` CSR, coordinates ``(n, 2)``, the semantics ``(n, m)`` that were there, and the slices ``(n,)``.

    The latter two may be None: where semantics are not wanted or still to be made, and where there is one slice.
    """

    counts: sparse.csr_matrix
    coordinates: NDArray[np.float64]
    semantics: NDArray[np.float32] | None
    slices: NDArray[np.int64] | None = None


def check(
    data: AnnData | SpatialData, table: AnnData, options: ClusterOptions, problems: Problems, *, way_out: str = ""
) -> Checked:
    """Read and check all that :func:`semst.tl.cluster` needs; ``way_out`` is for :func:`semst._inputs.read_counts`.

    Raises
    ------
    ValueError, KeyError
        One error with all problems.
    """
    options.check(problems)
    check_names(table, problems)
    raw = options.likelihood != "gaussian"
    counts = read_counts(table, problems, layer=options.layer, integers=raw, logged=not raw, way_out=way_out)
    slices = read_slices(table, options.batch_key, problems)
    coordinates = read_coordinates(
        data,
        table,
        problems,
        spatial_key=options.spatial_key,
        coordinate_system=options.coordinate_system,
        slices=slices,
    )
    if table.n_obs < FEWEST_SPOTS:
        few = counted(table.n_obs, "spot is", "spots are")
        problems.add(f"{few} too few; domains are sought in at least {FEWEST_SPOTS}.")
    elif isinstance(options.n_clusters, int) and table.n_obs < _FEWEST_IN_DOMAIN * options.n_clusters:
        problems.add(
            f"{options.n_clusters} domains cannot be found in {table.n_obs} spots; ask for at most "
            f"{table.n_obs // _FEWEST_IN_DOMAIN}, which have {_FEWEST_IN_DOMAIN} spots each in the mean."
        )
    semantics = _semantics(table, options.semantics_key, problems)
    check_graph(table, problems, slices)
    if options.partition == "leiden":
        _check_leiden(problems)
    problems.raise_if_any()
    assert counts is not None  # for the type checker: a missing one is a problem, raised above
    assert coordinates is not None
    return Checked(counts, coordinates, semantics, slices)


def check_free(
    table: AnnData,
    key: object,
    problems: Problems,
    *,
    read: Mapping[str, str | None],
    domains: bool = True,
    latent: bool = False,
) -> None:
    """Note a name under which results would take the place of what semst did not write.

    Parameters
    ----------
    table
        That results go into.
    key
        ``key_added``; one that is no name at all is left to :func:`semst._results.check_key`.
    problems
        Collects: a name that something else has, and what has it.
    read
        By argument, the names that input is read under, which no result may have.
    domains
        Whether domains are written. A latent alone may not take the place of the one that belongs to domains found
        here, for ``uns`` would go on to tell of these.
    latent
        Whether a latent is written.
    """
    if not isinstance(key, str):
        return
    keys = ClusterKeys(key)
    places = Places.of(keys)
    written = places.domains + places.modulation + places.description if domains else ()
    written += places.latent if latent else ()
    names = {name for _, name in written}
    clashing = [(argument, name) for argument, name in read.items() if name in names]
    if clashing:
        argument, name = clashing[0]
        problems.add(
            f"key_added={key!r} would take the place of {name!r}, which `{argument}` names; choose another name."
        )
    elif key in {SPATIAL.coordinates, SEMANTICS.base}:
        problems.add(f"key_added={key!r} is a name that coordinates or semantics have; choose another name.")
    elif not domains and is_clustering(table.uns.get(keys.uns)):
        problems.add(
            f"key_added={key!r} is the name of domains that `semst.tl.cluster` found here, with a latent of their own; "
            "choose another name."
        )
    else:
        ours = earlier(table, keys)
        check_untaken(table, key, [place for place in written if place not in ours], problems)


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
    return read_matrix(table, "obsm", key, problems, way_out="; run `semst.pp.gene_semantics` again")


def _check_leiden(problems: Problems) -> None:
    from importlib.util import find_spec

    missing = [name for name in ("igraph", "leidenalg") if find_spec(name) is None]
    if missing:
        problems.add(f"partition='leiden' needs {listed(missing)}; install the extra with `pip install semst[leiden]`.")
