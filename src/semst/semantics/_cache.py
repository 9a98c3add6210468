"""Vectors of texts kept on disk, so that a text is encoded once and an interrupted run continues."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from semst._folders import cache_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from semst.semantics._encoders import Encoder

FOLDER_VARIABLE = "SEMST_CACHE_DIR"
_FILE = "text_vectors.sqlite"
_SECONDS_TO_WAIT_FOR_OTHERS = 60


class TextCache:
    """A file that maps (encoder, text) to a vector.

    SQLite writes each :meth:`put` wholly or not at all, and several processes may share the file. A text is stored as
    its SHA-256 and a vector as little-endian float32, so reading the file never runs code.

    Parameters
    ----------
    folder
        Made if it is not there; the default is what ``SEMST_CACHE_DIR`` names, else the system's place for caches.

    Raises
    ------
    OSError
        If the folder cannot be written, or its file is damaged, cannot be written, or is written by another process for
        more than a minute; so do :meth:`get` and :meth:`put`.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.path = cache_folder(folder, variable=FOLDER_VARIABLE) / _FILE
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_SECONDS_TO_WAIT_FOR_OTHERS)
        try:
            self._prepare()
        except OSError:
            self.close()
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of whatever goes wrong with the file what to do about it."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # what comes above says more of the same
            if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                message = f"the text cache {str(self.path)!r} cannot be used ({error}); delete the file and run again."
            elif code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                message = (
                    f"another process has been writing to the text cache {str(self.path)!r} for more than "
                    f"{_SECONDS_TO_WAIT_FOR_OTHERS} seconds ({error}); wait for it, or name another folder with "
                    "`cache_dir`."
                )
            else:
                message = (
                    f"the text cache {str(self.path)!r} cannot be written ({error}); name another folder with "
                    f"`cache_dir` or the environment variable {FOLDER_VARIABLE}."
                )
            raise OSError(message) from error

    def _prepare(self) -> None:
        with self._told(), self._file:
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS vectors (encoder TEXT, text_sha256 BLOB, vector BLOB NOT NULL, "
                "PRIMARY KEY (encoder, text_sha256)) WITHOUT ROWID"
            )
            columns = [column for _, column, *_ in self._file.execute("PRAGMA table_info(vectors)")]
        if columns != ["encoder", "text_sha256", "vector"]:
            message = f"{str(self.path)!r} is no text cache of semst; delete the file and run again."
            raise OSError(message)

    def get(self, encoder: str, text: str) -> NDArray[np.float32] | None:
        """Give the vector ``(d,)`` float32 of a text, or None where there is none yet."""
        with self._told():
            found = self._file.execute(
                "SELECT vector FROM vectors WHERE encoder = ? AND text_sha256 = ?", (encoder, _sha256(text))
            ).fetchone()
        return None if found is None else np.frombuffer(found[0], dtype="<f4").astype(np.float32)

    def put(self, encoder: str, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store the vectors ``(n, d)`` of ``n`` texts, all or none."""
        rows = [
            (encoder, _sha256(text), vector.astype("<f4").tobytes())
            for text, vector in zip(texts, vectors, strict=True)
        ]
        with self._told(), self._file:
            self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def encode_cached(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    chunk_size: int = 256,
) -> NDArray[np.float32]:
    """Encode texts, each different text once, leaving out those that the cache knows.

    Parameters
    ----------
    encoder
        Turns texts into vectors; its name keys the cache.
    texts
        ``n`` texts, repeats allowed, at least one.
    cache_dir
        Folder of the cache; see :class:`TextCache`.
    progress
        Whether a bar counts the texts that are encoded now.
    chunk_size
        Texts that are handed to the encoder and stored at a time; as many are lost at most when the run is interrupted.

    Returns
    -------
    ``(n, d)`` float32, in the order of ``texts``.

    Raises
    ------
    OSError
        If the cache cannot be used.
    ValueError
        If the encoder returns a wrong shape, or NaN or infinite values.
    """
    from tqdm.auto import tqdm

    different, where = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    with closing(TextCache(cache_dir)) as cache:
        found = {text: cache.get(encoder.name, text) for text in different}
        known = {text: vector for text, vector in found.items() if vector is not None}
        missing = [text for text, vector in found.items() if vector is None]
        if missing:
            with tqdm(total=len(missing), desc="encoding texts", unit="text", disable=not progress) as bar:
                for start in range(0, len(missing), chunk_size):
                    chunk = missing[start : start + chunk_size]
                    vectors = _checked(encoder, chunk)
                    cache.put(encoder.name, chunk, vectors)
                    known.update(zip(chunk, vectors, strict=True))
                    bar.update(len(chunk))
    widths = {vector.size for vector in known.values()}
    if len(widths) != 1:
        message = f"encoder {encoder.name!r} gave vectors of different lengths: {sorted(widths)}; change its name."
        raise ValueError(message)
    stacked: NDArray[np.float32] = np.stack([known[text] for text in different])[where.ravel()]
    return stacked


def _checked(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    vectors = np.asarray(encoder.encode(texts), dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[0] != len(texts) or vectors.shape[1] == 0:
        message = (
            f"encoder {encoder.name!r} must give shape ({len(texts)}, d) for {len(texts)} texts, got {vectors.shape}."
        )
        raise ValueError(message)
    if not np.isfinite(vectors).all():
        message = f"encoder {encoder.name!r} gave NaN or infinite values."
        raise ValueError(message)
    return vectors


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
