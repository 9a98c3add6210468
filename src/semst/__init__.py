"""Spatial domains of a tissue, drawn by counts, place and the meaning of genes.

``adata.semst`` is there once both this package and anndata are imported, in any order.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semst._log import quiet_other_processes
from semst._register import register_accessor

if TYPE_CHECKING:
    from semst import datasets, metrics, nn, pl, pp, semantics, tl
    from semst.model import SemST

__version__ = "0.1.0"
__all__ = ["SemST", "__version__", "datasets", "metrics", "nn", "pl", "pp", "semantics", "tl"]

_PARTS = frozenset(__all__) - {"SemST", "__version__"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (modules)
    # Parts are imported when first asked for: torch alone takes seconds, which need not be waited for.
    if name in _PARTS:
        return import_module(f"semst.{name}")
    if name == "SemST":
        return import_module("semst.model").SemST
    message = f"module 'semst' has no attribute {name!r}; it has {', '.join(__all__)}."
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)


quiet_other_processes()
register_accessor()
