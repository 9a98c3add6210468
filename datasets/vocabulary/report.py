"""Measure the vocabulary: what 8 bits cost, which terms are hard to tell apart, and whether phrases find their genes.

    python datasets/vocabulary/report.py

prints the tables of ``README.md``. The last one uses the packaged file: run ``build.py`` before.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

import numpy as np
from build import HERE, embed, gene_table_build, read_terms
from sklearn.metrics import roc_auc_score

from semst.semantics import packaged_table, resolve_genes
from semst.semantics._vocabulary import ASK, packaged_vocabulary

sys.path.append(str(HERE.parent / "gene_table"))
from marker_sets import CELL_TYPES, MARKER_SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Encode = Callable[[Sequence[str]], NDArray[np.float32]]

FORMS = (
    "{}",
    "{} function and expression",
    "genes expressed in {}",
    "marker genes of {}",
    "This gene is expressed in {}.",
    ASK,
)
DENOMINATORS = (64, 128, 192)
SHARPNESS = (5, 10, 20, 40)
WEIGHTS = (0.5, 1, 2)
IS_CELL_TYPE = np.array([name in CELL_TYPES for name in MARKER_SETS])
SETS = f"{IS_CELL_TYPE.sum()} cell types | {(~IS_CELL_TYPE).sum()} processes"


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def quantisation_table(arrays: Mapping[str, NDArray[np.float32]]) -> list[str]:
    """Compare ways to store the vectors: own cosine, change of the cosines between terms, size when packed."""
    lines = [
        "| array | largest entry | stored as | lowest cosine to float32 | largest change of a cosine | bytes |",
        "|---|---|---|---|---|---|",
    ]
    for array, vectors in arrays.items():
        largest = np.abs(vectors).max()
        stored = {"float16": (vectors.astype(np.float16), 1.0)}
        for denominator in DENOMINATORS:
            steps = np.rint(vectors * denominator)
            if np.abs(steps).max() <= 127:
                stored[f"int8, steps of 1/{denominator}"] = (steps.astype(np.int8), 1 / denominator)
        exact = _unit(vectors)
        for name, (numbers, step) in stored.items():
            unit = _unit(numbers.astype(np.float32) * np.float32(step))
            change = np.abs(unit @ unit.T - exact @ exact.T).max()
            size = len(zlib.compress(numbers.tobytes(), 9))
            own = np.sum(unit * exact, axis=1).min()
            lines.append(f"| `{array}` | {largest:.3f} | {name} | {own:.5f} | {change:.4f} | {size} |")
    return lines


def closest_pairs(terms: Sequence[str], vectors: NDArray[np.float32], *, number: int = 8) -> list[str]:
    """List the pairs of terms with the highest cosines."""
    unit = _unit(vectors)
    one, other = np.triu_indices(len(terms), k=1)
    similarity = np.sum(unit[one] * unit[other], axis=1)
    return [f"{similarity[at]:.3f}  {terms[one[at]]} / {terms[other[at]]}" for at in np.argsort(-similarity)[:number]]


def areas(directions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Area under the ROC curve of each set of textbook markers against all other rows of the gene table."""
    unit = _unit(packaged_table().vectors)
    found = []
    for direction, genes in zip(_unit(directions), MARKER_SETS.values(), strict=True):
        members = resolve_genes(list(genes), species="human").rows
        is_member = np.zeros(len(unit), dtype=bool)
        is_member[members[members >= 0]] = True
        found.append(roc_auc_score(is_member, unit @ direction))
    return np.array(found)


def _means(found: NDArray[np.float64]) -> str:
    return f"{found[IS_CELL_TYPE].mean():.3f} | {found[~IS_CELL_TYPE].mean():.3f}"


def form_table(encode: Encode) -> list[str]:
    """Ask for each set of textbook markers by its name, in several forms."""
    lines = [f"| form | {SETS} |", "|---|---|---|"]
    for form in FORMS:
        asked = packaged_table().project(encode([form.format(name) for name in MARKER_SETS]))
        lines.append(f"| `{form}` | {_means(areas(asked))} |")
    return lines


def definition_table(encode: Encode) -> list[str]:
    """Ask as ``ASK`` does, and add the definitions of the terms nearest to the name."""
    known, table = packaged_vocabulary(), packaged_table()
    plain = table.project(encode(list(MARKER_SETS))) - known.plain.mean(axis=0)
    asked = table.project(encode([ASK.format(name) for name in MARKER_SETS]))
    centred = _unit(asked - known.asked.mean(axis=0))
    likeness = _unit(plain) @ _unit(known.plain - known.plain.mean(axis=0)).T

    def nearest_definitions(sharpness: float) -> NDArray[np.floating]:
        weights = np.exp(sharpness * likeness)
        weights /= weights.sum(axis=1, keepdims=True)
        return _unit(weights @ (known.defined - known.defined.mean(axis=0)))

    alone = areas(asked)
    lines = [
        f"| direction | sharpness | weight of the definitions | {SETS} | sets better / worse than `ASK` alone |",
        "|---|---|---|---|---|---|",
        f"| `ASK` alone | | | {_means(alone)} | |",
    ]
    rows = [("`ASK` alone, less the mean", "", "", centred)]
    for sharpness in SHARPNESS:
        defined = nearest_definitions(sharpness)
        rows += [("`ASK` and definitions", sharpness, weight, centred + weight * defined) for weight in WEIGHTS]
    rows += [("definitions alone", sharpness, "", nearest_definitions(sharpness)) for sharpness in SHARPNESS]
    for name, sharpness, weight, directions in rows:
        found = areas(directions)
        counts = f"{np.sum(found > alone)} / {np.sum(found < alone)}"
        lines.append(f"| {name} | {sharpness} | {weight} | {_means(found)} | {counts} |")
    far = likeness.max(axis=1) <= 0.9  # names that no term says in nearly the same words
    both = areas(centred + nearest_definitions(10))
    far_means = f"`ASK` alone {alone[far].mean():.3f}, with definitions {both[far].mean():.3f}"
    names = list(MARKER_SETS)
    change = np.argsort(both - alone)
    most = [f"{names[at]} {alone[at]:.3f} -> {both[at]:.3f}" for at in (*change[:2], *change[-2:])]
    return [
        *lines,
        "",
        "Sharpness 10, weight 1:",
        f"the {far.sum()} of {len(far)} names that no term comes nearer than a cosine of 0.9: {far_means}",
        f"largest losses and gains: {'; '.join(most)}",
    ]


def main() -> None:
    """Print all tables."""
    found = read_terms(HERE / "terms.tsv")
    encode = gene_table_build().load_encoder(None)
    texts = {"plain": found.terms, "asked": [ASK.format(term) for term in found.terms], "defined": found.definitions}
    arrays = {name: embed(each, encode) for name, each in texts.items()}
    tables = (
        quantisation_table(arrays),
        closest_pairs(found.terms, arrays["plain"]),
        form_table(encode),
        definition_table(encode),
    )
    for table in tables:
        print(*table, "", sep="\n")


if __name__ == "__main__":
    main()
