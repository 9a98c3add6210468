"""The command line: ``semst demo`` and ``semst cluster``."""

from semst.cli._main import main

__all__ = ["main"]
