"""What a reader needs in order to get the same result again: versions of what ran."""

from __future__ import annotations

from importlib.metadata import version

_RECORDED = ("semst", "anndata", "numpy", "scikit-learn", "scipy", "torch", "torch-geometric")


def versions() -> dict[str, str]:
    """Versions of semst and of the packages that its numbers depend on, for ``uns``."""
    return {package: version(package) for package in _RECORDED}
