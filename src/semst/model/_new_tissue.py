"""From a user's tissue to what a model can look at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._batch_key import check_graph, read_slices
from semst._doubts import warn_of_bare_glass
from semst._inputs import check_names, find_table, read_coordinates, read_counts, read_matrix
from semst._joined import warn_of_joined_slices
from semst._problems import Problems, counted, is_between, listed
from semst._sample import is_large
from semst._slices import side_by_side
from semst.pp._compute_semantics import compute_gene_semantics
from semst.pp._gene_semantics import written_params
from semst.pp._graphs import spatial_graph
from semst.pp._semantics_options import SemanticsOptions
from semst.training._device import pick_device
from semst.training._sections import Tissue
from semst.training._tissue_tiles import dealt

if TYPE_CHECKING:
    import torch
    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

    from semst.model._genes import Overlap
    from semst.model._kept import Kept, Meaning

logger = logging.getLogger("semst")

_SAME = ("source", "mode", "weights", "n_top", "min_spots")  # what makes semantics of two tissues comparable
_FEWEST = 2  # spots
_THIN = 0.3  # of the model's genes: with fewer, domains are others, and the confidence does not tell


@dataclass(frozen=True)
class NewTissue:
    """A tissue that is ready for a model.

    Parameters
    ----------
    table
        The user's.
    tissue
        Counts, graph, semantics, places.
    overlap
        Its genes and the model's.
    tiles
        Spots that are looked at together; all spots are in one.
    device
        Where networks run.
    """

    table: AnnData
    tissue: Tissue
    overlap: Overlap
    tiles: list[NDArray[np.int64]]
    device: torch.device

    def in_order(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Bring rows from the order of the tiles to that of the table."""
        spots = np.concatenate(self.tiles)
        result = np.empty_like(rows)
        result[spots] = rows
        return result


def prepare(
    kept: Kept,
    data: AnnData | SpatialData,
    problems: Problems,
    *,
    layer: str | None,
    min_coverage: float,
    device: str,
    table_key: str | None,
    spatial_key: str,
    coordinate_system: str | None,
    batch_key: str | None,
) -> NewTissue:
    """Read and check a tissue; nothing is written.

    Raises
    ------
    TypeError, KeyError, ValueError
        One error with all problems.
    """
    table = find_table(data, table_key=table_key, where=problems.where)
    chosen_device = pick_device(device, problems)
    least = _read_coverage(min_coverage, problems)
    check_names(table, problems)
    if 0 < table.n_obs < _FEWEST:
        problems.add(f"a tissue needs at least {_FEWEST} spots, got {table.n_obs}.")
    raw = kept.params["likelihood"] != "gaussian"
    counts = read_counts(table, problems, layer=layer, integers=raw, logged=not raw, way_out=", as for the training")
    slices = read_slices(table, batch_key, problems)
    places = read_coordinates(
        data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system, slices=slices
    )
    check_graph(table, problems, slices)
    overlap = kept.panel.overlap([str(name) for name in table.var_names])
    coverage = overlap.coverage
    if not overlap.used.size or coverage["genes"] < least:
        problems.add(
            f"{coverage['n_found']} of the {coverage['n_genes']} genes that the model reads are there "
            f"({coverage['genes']:.1%}), fewer than min_coverage={least:g}. var_names must be symbols or "
            f"Ensembl ids of human or mouse; here they are {listed(table.var_names, limit=3)}, in the model "
            f"{listed(kept.panel.names, limit=3)}."
        )
    semantics = None if kept.meaning is None else _semantics(kept.meaning, kept.params, table, problems)
    problems.raise_if_any()
    assert counts is not None  # for the type checker: a missing one is a problem, raised above
    assert places is not None
    where = problems.where.rpartition(".")[2]
    warn_of_bare_glass(table, where=where)
    if batch_key is None:
        warn_of_joined_slices(table, places, where=where)
    if kept.meaning is not None and semantics is None:
        told = kept.meaning.params
        logger.info("no semantics in obsm[%r]: pooling the packaged gene vectors.", kept.params["semantics_key"])
        fitting: Any = {"layer": layer, "weights": told["weights"], "n_top": told.get("n_top"), "progress": False}
        semantics = compute_gene_semantics(table, SemanticsOptions(**fitting), problems=problems).spot_vectors
    graph = spatial_graph(table, places, n_neighbors=kept.params["n_neighbors"], slices=slices)
    laid = places if slices is None else side_by_side(places, slices)
    tissue = Tissue(counts, graph, semantics, np.empty(0, dtype=np.int64), laid, slices)
    tiles = dealt(tissue, kept.params["random_state"]) if is_large(table.n_obs) else [np.arange(table.n_obs)]
    shared: Any = counts
    bare = int((np.asarray(shared[:, overlap.known].sum(axis=1)).ravel() == 0).sum())
    if bare:
        logger.warning(
            "%s no counts of any gene that the model knows; do not read their domains.",
            counted(bare, "spot has", "spots have"),
        )
    thin = coverage["genes"] < _THIN
    logger.log(
        logging.WARNING if thin else logging.INFO,
        "%s: %d of the %d genes that the model reads are there (%.0f %%)%s.",
        where,
        coverage["n_found"],
        coverage["n_genes"],
        100 * coverage["genes"],
        ", too few to trust its domains, also where the confidence is high; train a model on the genes that both "
        "tissues have, or see whether the names are the same"
        if thin
        else "",
    )
    return NewTissue(table, tissue, overlap, tiles, chosen_device)


def _read_coverage(value: float, problems: Problems) -> float:
    """Read a share, Python's number or numpy's, or note that it is none and ask for nothing."""
    if not is_between(value, 0, np.nextafter(1, 2)):
        problems.add(f"min_coverage must lie between 0 and 1, got {value!r}.")
        return 0.0
    return float(value)


def _semantics(
    meaning: Meaning, params: dict[str, Any], table: AnnData, problems: Problems
) -> NDArray[np.float32] | None:
    """Read semantics that were made as those of the training tissue; None where they are still to be made so."""
    key, told = params["semantics_key"], meaning.params
    if key not in table.obsm:
        if told.get("source") != "packaged" or told.get("mode") != "genes":
            problems.missing(
                f"no semantics: obsm[{key!r}] is missing, and the model was trained with such from "
                f"{told.get('source', 'an unknown source')!r}. Make them in the same way with "
                f"`semst.pp.gene_semantics(adata, ..., key_added={key!r})`."
            )
        return None
    semantics = read_matrix(
        table,
        "obsm",
        key,
        problems,
        width=meaning.mean.size,
        way_out=f"; make it as for the training of the model, with `semst.pp.gene_semantics(adata, key_added={key!r})`",
    )
    if semantics is None:
        return None
    here = written_params(table, key)
    different = [
        f"{name} {here.get(name, 'not given')!r} instead of {told.get(name, 'not given')!r}"
        for name in _SAME
        if str(here.get(name, "")) != str(told.get(name, ""))
    ]
    if different:
        problems.add(
            f"obsm[{key!r}] was made in another way than the semantics that the model was trained with "
            f"({'; '.join(different)}), so its numbers mean something else; make it again with "
            f"`semst.pp.gene_semantics(adata, ..., key_added={key!r})`, or delete it if the model's are packaged."
        )
        return None
    return semantics
