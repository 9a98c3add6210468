"""Hang ``adata.semst`` on AnnData without making ``import semst`` wait for anndata."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_ANNDATA = "anndata"


def register_accessor() -> None:
    """Register the accessor now where anndata is imported already, else as soon as it is.

    anndata takes about a second to import. Whoever uses the accessor has imported it for the AnnData that it hangs on;
    nobody else has to pay for it.
    """
    if _ANNDATA in sys.modules:
        import semst._accessor  # noqa: F401 (registers itself)
    else:
        sys.meta_path.insert(0, _WhenImported())


class _WhenImported(MetaPathFinder):
    """Finds nothing itself: it lets the others find anndata, and sees to it that the accessor follows."""

    _asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != _ANNDATA or self._asking:
            return None
        self._asking = True
        try:
            spec = find_spec(_ANNDATA)
        finally:
            self._asking = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                import semst._accessor  # noqa: F401

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
