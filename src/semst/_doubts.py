"""What can be worked with, but is hardly what was meant: a line in the log each, with the way out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd

from semst._keys import VISIUM
from semst._problems import counted, listed

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("semst")

CONTROL_PROBES = (
    # 10x Xenium, its earlier panels in the last row
    *("NegControlProbe_", "NegControlCodeword_", "UnassignedCodeword_", "DeprecatedCodeword_", "Intergenic_Region_"),
    *("antisense_", "BLANK_"),
    "Blank-",  # Vizgen MERSCOPE
    *("NegPrb", r"Negative\d", "SystemControl", "FalseCode"),  # NanoString CosMx
    "DEPRECATED_",  # 10x Visium, probes of fixed tissue
)
"""Beginnings of the names that instruments give to what is no gene, as regular expressions."""


def warn_of_control_probes(table: AnnData, *, where: str) -> None:
    """Say where a table holds an instrument's controls, which would take part as if they were genes."""
    names = table.var_names.astype(str)
    kinds = [kind for kind in CONTROL_PROBES if names.str.match(kind).any()]
    if not kinds:
        return
    pattern = "|".join(kinds)
    found = names[names.str.match(pattern)]
    logger.warning(
        "%s: %s (%s) and take part as if they were genes; remove them with "
        '`adata = adata[:, ~adata.var_names.str.match(r"%s")].copy()`.',
        where,
        counted(len(found), "name is that of a control probe", "names are those of control probes"),
        listed(found, limit=3),
        pattern,
    )


def warn_of_bare_glass(table: AnnData, *, where: str) -> None:
    """Say where spots are marked as lying beside the tissue."""
    if VISIUM.in_tissue not in table.obs:
        return
    beside = int((pd.to_numeric(table.obs[VISIUM.in_tissue], errors="coerce") == 0).sum())
    if beside:
        logger.warning(
            "%s: %s in the tissue (obs[%r] is 0); leave them out with "
            "`adata = adata[adata.obs[%r].astype(float) == 1].copy()`.",
            where,
            counted(beside, "spot does not lie", "spots do not lie"),
            VISIUM.in_tissue,
            VISIUM.in_tissue,
        )
