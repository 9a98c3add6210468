"""Build the vocabulary that semst ships: terms that a domain may be named by, and their vectors.

    python datasets/vocabulary/build.py

reads ``terms.tsv`` beside this file and writes ``src/semst/semantics/tables/vocabulary.npz``. ``README.md`` beside this
file says how the terms were chosen and what was measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from semst._problems import InputError, Problems, listed
from semst.semantics import packaged_table
from semst.semantics._vocabulary import ASK, KINDS, Terms, read_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    Encode = Callable[[Sequence[str]], NDArray[np.float32]]

# No entry of a vector reaches 0.66, so 8 bits suffice for steps three times as fine as those of the gene table.
STEP = 1 / 192
# Above it the text model hardly tells two terms apart, and which of them names a domain would be chance.
TOO_CLOSE = 0.92
ORGANS = (
    *("any", "adrenal", "bladder", "bone", "brain", "breast", "ear", "embryo", "eye", "gut", "heart", "immune"),
    *("kidney", "liver", "lung", "mouth", "muscle", "nerve", "nose", "ovary", "pancreas", "pituitary", "placenta"),
    *("prostate", "skin", "spinal cord", "testis", "thyroid", "uterus"),
)
PARTS = {  # of an organ, each with an organ of its own in ``terms.tsv``: "brain/cortex"
    "brain": (
        *("basal forebrain", "basal ganglia", "cerebellum", "cortex", "hindbrain", "hippocampus", "hypothalamus"),
        *("midbrain", "olfactory bulb", "thalamus"),
    ),
}
HERE = Path(__file__).parent
OUTPUT = HERE.parents[1] / "src" / "semst" / "semantics" / "tables" / "vocabulary.npz"


def gene_table_build() -> ModuleType:
    """Load the script that made the gene table: the same model, loaded and checked alike, and the same archive."""
    name = "gene_table_build"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE.parent / "gene_table" / "build.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # its dataclasses look themselves up there
        spec.loader.exec_module(module)
    return sys.modules[name]


def read_terms(path: Path) -> Terms:
    """Read the terms and check what is asked of the packaged ones beyond a user's own."""
    problems = Problems(path.name)
    found = read_vocabulary(path, problems=problems)
    kinds = sorted(set(found.kinds) - set(KINDS))
    if kinds:
        problems.add(f"kinds must be among {listed(KINDS)}, got {listed(kinds)}.")
    known = [*ORGANS, *(f"{organ}/{part}" for organ, parts in PARTS.items() for part in parts)]
    organs = sorted(set(found.organs) - set(known))
    if organs:
        problems.add(f"organs must be among {listed(known, limit=len(known))}, got {listed(organs)}.")
    undefined = [term for term, text in zip(found.terms, found.definitions, strict=True) if not text.endswith(".")]
    if undefined:
        problems.add(f"every term needs a definition, a sentence with a full stop; {listed(undefined)} have none.")
    rows = list(zip(*found, strict=True))
    if not kinds and rows != sorted(rows, key=_place):
        problems.add(f"terms must be sorted by organ, kind ({', '.join(KINDS)}) and term.")
    problems.raise_if_any()
    return found


def _place(row: tuple[str, str, str, str]) -> tuple[str, int, str]:
    """Give what a term is sorted by; the parts of an organ stand together."""
    term, kind, organ, _ = row
    return organ.split("/")[0], KINDS.index(kind), term.casefold()


def embed(terms: Sequence[str], encode: Encode) -> NDArray[np.float32]:
    """Put terms or sentences into the space of the packaged gene table, ``(n, 128)``."""
    ordered = sorted(terms, key=lambda term: (len(term), term))  # equal lengths side by side: little padding
    position = {term: row for row, term in enumerate(ordered)}
    embeddings = encode(ordered)[[position[term] for term in terms]]
    with threadpool_limits(1):  # the order in which several threads add up is not always the same
        return packaged_table().project(embeddings)


def refuse_close_terms(terms: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Stop if two terms mean nearly the same to the model."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = np.triu(unit @ unit.T, k=1)
    pairs = [f"{terms[one]} / {terms[other]}" for one, other in np.argwhere(similarity > TOO_CLOSE)]
    if pairs:
        raise SystemExit(f"keep one of each pair, or say one in other words: {listed(pairs, limit=len(pairs))}")


def build(path: Path, encode: Encode) -> dict[str, NDArray[Any]]:
    """Make all arrays of the vocabulary out of the terms and a text model."""
    found = read_terms(path)
    texts = {"plain": found.terms, "asked": [ASK.format(term) for term in found.terms], "defined": found.definitions}
    vectors = {name: embed(each, encode) for name, each in texts.items()}
    refuse_close_terms(found.terms, vectors["plain"])
    table = packaged_table()
    info = {"model": table.model, "model_sha256": table.model_sha256, "asked": ASK}
    return {
        **{name: _lines(each) for name, each in found._asdict().items()},
        **{name: _steps(each) for name, each in vectors.items()},
        "scale": np.array(STEP),
        "info": _lines([json.dumps(info, sort_keys=True)]),
    }


def _steps(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    steps = np.rint(vectors / STEP)
    if np.abs(steps).max() > 127:
        raise SystemExit(f"STEP = {STEP} is too small: the largest vector entry needs {np.abs(steps).max():.0f} steps")
    return steps.astype(np.int8)


def _lines(texts: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


def main(arguments: Iterable[str] | None = None) -> None:
    """Build the vocabulary, or compare a fresh build with the one that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", type=Path, default=HERE / "terms.tsv", help="columns term, kind, organ, definition")
    parser.add_argument("--model", help="folder of all-MiniLM-L6-v2; default: that of the installed package")
    parser.add_argument(
        "--out", type=Path, default=OUTPUT, help="file to write; default: where the package looks for it"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; say how a fresh build differs from --out")
    options = parser.parse_args(None if arguments is None else list(arguments))
    genes = gene_table_build()
    try:
        arrays = build(options.terms, genes.load_encoder(options.model))
    except InputError as error:
        raise SystemExit(str(error)) from error
    if options.check:
        print(genes.compare(options.out, arrays))
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    genes.write_archive(options.out, arrays)
    print(f"{len(arrays['plain'])} terms")
    print(f"{genes.sha256(options.out)}  {options.out.name}  {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
