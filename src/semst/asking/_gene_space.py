"""Gene vectors of a table, and where they come from: as they are there, or made with the defaults."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._inputs import dense, read_matrix
from semst._keys import SEMANTICS, SemanticsKeys
from semst._problems import Problems, listed
from semst.pp._compute_semantics import SemanticsResult, compute_gene_semantics
from semst.pp._gene_semantics import written_params
from semst.pp._semantics_options import SemanticsOptions

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("semst")


@dataclass(frozen=True)
class GeneSpace:
    """Gene vectors.

    Parameters
    ----------
    vectors
        ``(g, d)`` float32, rows of zeros for genes without one.
    source
        What they were made with, as ``uns`` has it; empty if that is not known.
    fresh
        What is still to be written into the table, where they had to be made.
    """

    vectors: NDArray[np.float32]
    source: str
    fresh: SemanticsResult | None = None


def gene_space(table: AnnData, key: str, problems: Problems, *, layer: str | None) -> GeneSpace | None:
    """Read the gene vectors in ``varm[key]``, or make the default ones; None where ``problems`` says why not."""
    keys = SemanticsKeys(key)
    if keys.varm in table.varm:
        vectors = read_matrix(table, "varm", keys.varm, problems, way_out="; run `semst.pp.gene_semantics` again")
        if vectors is None:
            return None
        if not vectors.any():
            problems.add(_no_vectors(table, f"varm[{keys.varm!r}] holds zeros alone"))
            return None
        return GeneSpace(vectors, str(written_params(table, key).get("source", "")))
    if key != SEMANTICS.base or keys.uns in table.uns:
        # With spot vectors of the same name there, writing gene vectors beside them would mix two things.
        taken = keys.uns in table.uns
        free = "genes" if taken else key
        named = f" and name them with `semantics_key={free!r}`" if taken else ""
        problems.missing(
            f"no gene vectors: varm[{key!r}] is missing; varm has {listed(table.varm)}. "
            f"Make them with `semst.pp.gene_semantics(adata, key_added={free!r})`, in its mode 'genes'{named}."
        )
        return None
    if problems:
        return None
    logger.info("no gene vectors in varm[%r]: running semst.pp.gene_semantics with its defaults.", key)
    result = compute_gene_semantics(table, SemanticsOptions(layer=layer, progress=False), problems=problems)
    assert result.gene_vectors is not None  # mode "genes" makes them
    if keys.obsm in table.obsm and not _same(dense(table.obsm[keys.obsm]), result.spot_vectors):
        problems.add(
            f"no gene vectors: varm[{key!r}] is missing, and obsm[{key!r}] holds spot vectors that are not those of "
            "`semst.pp.gene_semantics` with its defaults, which would take their place. Run it yourself if they may, "
            "or with `key_added='genes'`, and name them with `semantics_key='genes'`."
        )
        return None
    return GeneSpace(result.gene_vectors, str(result.params["source"]), result)


def _same(stored: NDArray[Any], made: NDArray[np.float32]) -> bool:
    """Tell spot vectors that would only be made anew: `anndata.concat` leaves them, and drops what belongs to them."""
    return stored.shape == made.shape and stored.dtype.kind == "f" and bool(np.allclose(stored, made, atol=1e-4))


def _no_vectors(table: AnnData, where: str) -> str:
    """Say why there are zeros alone: of a single vector nothing is left either, once the mean is removed."""
    return (
        f"no gene has a vector ({where}): no name in var_names was recognised as a gene, or just one; they are "
        f"{listed(table.var_names, limit=3)}. Put symbols or Ensembl ids of human or mouse there (for instance "
        "`adata.var_names = adata.var['gene_name'].astype(str).tolist()`), or bring vectors under your names with "
        "`vectors`, and run `semst.pp.gene_semantics` again."
    )
