"""Domains, and what follows from them."""

from semst.tl._cluster import cluster
from semst.tl._query import query

__all__ = ["cluster", "query"]
