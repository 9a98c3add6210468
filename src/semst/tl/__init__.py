"""Domains, and what follows from them."""

from semst.tl._cluster import cluster

__all__ = ["cluster"]
