"""Imports go one way: a folder of the package knows those before it in the list, never those behind it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import semst

SOURCE = Path(semst.__file__).parent
LAYERS = (
    "datasets", "semantics", "pp", "nn", "training", "partitions", "clustering", "model", "asking", "control", "tl",
    "pl", "cli",
)  # fmt: skip
ONLY = {"pl": {"pl", "semantics"}}
NEVER = {"nn": {"pp", "semantics"}, "semantics": {"datasets"}}  # knows less than it may


def imported(layer: str) -> set[str]:
    """Folders of semst that the files of a folder import, at the top or inside of functions."""
    return set().union(*map(folders, (SOURCE / layer).glob("*.py")))


def folders(file: Path) -> set[str]:
    """Folders of semst that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("semst"):
            below = node.module.split(".")[1:2]
            found.update(below or [each.name for each in node.names])
        elif isinstance(node, ast.Import):
            found.update(name.name.split(".")[1] for name in node.names if name.name.startswith("semst."))
    return found & set(LAYERS)


def test_every_folder_has_its_place():
    assert {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").exists()} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_folder_imports_only_what_lies_below_it(layer):
    below = set(LAYERS[: LAYERS.index(layer) + 1])
    assert imported(layer) <= ONLY.get(layer, below - NEVER.get(layer, set()))


def test_what_all_share_knows_no_folder():
    """But for the doors to the package, and the metrics, one of which needs the graph."""
    doors = {"__init__", "__main__", "_accessor", "_register", "metrics", "_semantic_drift"}
    shared = [file for file in SOURCE.glob("*.py") if file.stem not in doors]
    assert {file.stem: found for file in shared if (found := folders(file))} == {}
