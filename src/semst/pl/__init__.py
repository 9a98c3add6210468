"""Pictures of results: each takes ``ax`` and returns Axes."""

from semst.pl._describe import describe
from semst.pl._domains import domains
from semst.pl._modulation import modulation
from semst.pl._query import query
from semst.pl._semantic_control import semantic_control
from semst.pl._stability import stability
from semst.pl._training import training

__all__ = ["describe", "domains", "modulation", "query", "semantic_control", "stability", "training"]
