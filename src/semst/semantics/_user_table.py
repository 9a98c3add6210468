"""Gene vectors and gene texts that the user brings along: GenePT, scGPT, ESM, or anything else under gene names."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from semst._inputs import dense
from semst._problems import Problems, counted, listed
from semst.semantics._tab_separated import read_fields

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

VectorSource: TypeAlias = "pd.DataFrame | Mapping[str, ArrayLike] | os.PathLike[str] | str"
TextSource: TypeAlias = "Mapping[str, str] | os.PathLike[str] | str"


@dataclass(frozen=True)
class NamedVectors:
    """Vectors ``(n, d)`` float32 under ``n`` different gene names; ``label`` identifies them in ``uns``."""

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    label: str


def read_vectors(source: VectorSource | object, problems: Problems) -> NamedVectors | None:
    """Read the user's own gene vectors.

    Parameters
    ----------
    source
        Gene names and a vector of ``d`` numbers for each: a DataFrame (index: names), a mapping of names to vectors, a
        ``.npz`` file (arrays ``genes`` or ``names``, and ``vectors``) or a ``.parquet`` file (index or first column of
        text: names). Genes whose vector holds NaN or only zeros are left out.
    problems
        Collects whatever makes the vectors unusable.

    Returns
    -------
    The vectors, or None if they could not be read.
    """
    named = _read_any(source, problems)
    return None if named is None else _check(*named, problems)


def usable(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell ``(n,)`` which rows of ``(n, d)`` hold a vector: no NaN, not all zero."""
    rows: NDArray[np.bool_] = np.asarray(~np.isnan(vectors).any(axis=1) & (vectors != 0).any(axis=1))
    return rows


def _read_any(source: VectorSource | object, problems: Problems) -> tuple[list[str], Any, str] | None:
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return source.index.astype(str).tolist(), dense(source), "DataFrame"
    if isinstance(source, Mapping):
        names = [str(name) for name in source]
        rows = [np.asarray(vector) for vector in source.values()]
        if len({row.shape for row in rows}) > 1:
            problems.add(f"the mapping of gene vectors holds different shapes: {listed({row.shape for row in rows})}.")
            return None
        return names, np.array(rows), "mapping"
    if not isinstance(source, str | os.PathLike):
        problems.add(
            "gene vectors must be a DataFrame, a mapping of gene names to vectors, a key of varm or the path of a "
            f"file, got {type(source).__name__}; put an array in the order of the genes into `adata.varm['mine']` and "
            "pass `vectors='mine'`."
        )
        return None
    path = Path(source)
    if not path.is_file():
        problems.missing(f"no file {str(path)!r} with gene vectors.")
        return None
    reader = {".npz": _read_npz, ".parquet": _read_parquet}.get(path.suffix)
    if reader is None:
        problems.add(
            f"gene vectors are read from .npz and .parquet, got {path.name!r}; load the file yourself and hand over "
            "a DataFrame or a mapping of gene names to vectors."
        )
        return None
    try:
        found = reader(path, problems)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        problems.add(f"{path.name!r} cannot be read: {error}")
        return None
    return None if found is None else (*found, path.name)


def _read_npz(path: Path, problems: Problems) -> tuple[list[str], Any] | None:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        problems.add(
            f"{path.name!r} holds one array without names; save it with `np.savez(path, genes=..., vectors=...)`."
        )
        return None
    with loaded as arrays:
        there = list(arrays.files)
        names_key = next((key for key in ("genes", "names") if key in there), None)
        if names_key is None or "vectors" not in there:
            problems.missing(
                f"{path.name!r} must hold the arrays 'genes' (or 'names') and 'vectors'; it holds {listed(there)}."
            )
            return None
        try:
            names, vectors = arrays[names_key], arrays["vectors"]
        except ValueError:
            problems.add(
                f"{path.name!r} holds Python objects, which are not read because they could run code; "
                "save names as `np.array(names, dtype=str)` and vectors as float32."
            )
            return None
    text = np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names.astype(str)
    return text.ravel().tolist(), vectors


def _read_parquet(path: Path, problems: Problems) -> tuple[list[str], Any] | None:
    import pandas as pd

    frame = pd.read_parquet(path)
    if isinstance(frame.index, pd.RangeIndex):
        texts = [column for column in frame.columns if not pd.api.types.is_numeric_dtype(frame[column])]
        if len(texts) != 1:
            problems.add(
                f"{path.name!r} must hold the gene names as its index or as its only column of text; "
                f"the columns of text are {listed(texts)}."
            )
            return None
        frame = frame.set_index(texts[0])
    return frame.index.astype(str).tolist(), dense(frame)


def _check(names: list[str], values: Any, label: str, problems: Problems) -> NamedVectors | None:  # noqa: ANN401
    values = np.asarray(values)
    if values.ndim != 2 or 0 in values.shape or values.shape[0] != len(names) or values.dtype.kind not in "fiu":
        problems.add(
            f"gene vectors ({label}) must be numbers of shape (n_genes, d) with {len(names)} names, "
            f"got {values.dtype} {values.shape}."
        )
        return None
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        number = counted(len(repeated), "name", "names")
        problems.add(f"gene vectors ({label}) hold {number} more than once: {listed(repeated)}.")
        return None
    with np.errstate(over="ignore"):
        vectors = values.astype(np.float32)
    if np.isinf(vectors).any():
        problems.add(f"gene vectors ({label}) hold infinite values.")
        return None
    kept = usable(vectors)
    if not kept.any():
        problems.add(f"gene vectors ({label}) hold nothing but NaN and zeros.")
        return None
    kept_names = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    vectors = vectors[kept]
    digest = hashlib.sha256("\n".join(kept_names).encode() + vectors.tobytes()).hexdigest()[:16]
    return NamedVectors(kept_names, vectors, f"{label}@{digest}")


def read_texts(source: TextSource | object, problems: Problems) -> dict[str, str]:
    """Read what the user has to say about genes: a mapping of names to texts, or a table of two columns.

    Parameters
    ----------
    source
        A mapping, or the path of a tab-separated file with a header that names the columns ``symbol`` and ``text``.
        Empty texts are left out.
    problems
        Collects whatever makes the texts unusable.

    Returns
    -------
    Texts by gene name; empty if there was a problem.
    """
    if isinstance(source, Mapping):
        pairs = [(str(name), text) for name, text in source.items()]
    elif isinstance(source, str | os.PathLike):
        path, columns, before = Path(source), ("symbol", "text"), len(problems)
        fields = read_fields(path, columns, problems, needed=columns, what="gene texts")
        if fields is None:
            return {}
        pairs = [(field["symbol"], field["text"]) for field in fields]
        repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        if repeated:
            problems.add(f"{path.name!r} holds {len(repeated)} symbols more than once: {listed(repeated)}.")
        if len(problems) > before:
            return {}
    else:
        problems.add(
            "gene texts must be a mapping of gene names to texts or the path of a tab-separated file, "
            f"got {type(source).__name__}."
        )
        return {}
    wrong = [name for name, text in pairs if not isinstance(text, str)]
    if wrong:
        problems.add(f"gene texts must be str; those of {listed(wrong)} are not.")
        return {}
    texts = {name: text.strip() for name, text in pairs if text.strip()}
    if not texts:
        problems.add("there is not a single gene text.")
    return texts
