"""Domains, and what follows from them."""

from semst.tl._cluster import cluster
from semst.tl._describe import describe
from semst.tl._query import query
from semst.tl._semantic_control import semantic_control
from semst.tl._transfer import transfer

__all__ = ["cluster", "describe", "query", "semantic_control", "transfer"]
