"""Data to work on: public slices with expert labels, and simulated tissue that needs no network."""

from semst.datasets._dlpfc import dlpfc
from semst.datasets._simulated import simulated

__all__ = ["dlpfc", "simulated"]
