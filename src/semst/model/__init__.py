"""Models that can be kept: trained on one tissue, applied to others."""

from semst.model._model import SemST

__all__ = ["SemST"]
