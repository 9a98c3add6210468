"""The gene table that ships with the package: vectors of human and mouse genes, and the identifiers to find them by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Species = Literal["human", "mouse"]
SPECIES: tuple[Species, ...] = get_args(Species)

_FILE = "gene_table.npz"


@dataclass(frozen=True, eq=False)
class PackagedTable:
    """Vectors of genes made out of their names and summaries, and the way to put other text beside them.

    Attributes
    ----------
    vectors
        ``(n_rows, 128)`` float32, read-only: one row for each gene that has a text. ``resolve_genes`` says which gene
        is in which row; a mouse gene shares the row of its human ortholog.
    mean
        ``(384,)`` float32: mean embedding of the human protein-coding genes.
    components
        ``(128, 384)`` float32: principal axes of these embeddings, most variable first.
    scale
        Size of one step of the stored 8-bit integers; a vector is off by at most half of it in each dimension.
    model
        Name of the text model.
    model_sha256
        Checksum of its weights.
    text
        How the text of a gene was put together.
    sources
        Source -> version and licence of what the table was made from.
    """

    vectors: NDArray[np.float32]
    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    scale: float
    model: str
    model_sha256: str
    text: str
    sources: dict[str, str]

    def project(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        r"""Put embeddings of other texts into the space of the table.

        Parameters
        ----------
        embeddings
            ``(n, 384)`` finite floats: what the table's model makes of ``n`` texts.

        Returns
        -------
        ``(n, 128)`` float32.

        Raises
        ------
        ValueError
            If the shape is another one, or a number is NaN or infinite.

        Notes
        -----
        An embedding :math:`e` goes to :math:`W (e - \mu)`, with the mean :math:`\mu` and the components :math:`W` of
        the table: the map that made its vectors.

        Examples
        --------
        >>> table = packaged_table()
        >>> table.project(table.mean[None, :]).any()
        np.False_
        """
        array = np.asarray(embeddings, dtype=np.float32)
        width = self.mean.size
        if array.ndim != 2 or array.shape[1] != width:
            msg = (
                f"`embeddings` must have shape (n, {width}), got {array.shape}: the packaged table holds embeddings of "
                f"{self.model}; vectors of another model have no place in it, pass them as a table of their own"
            )
            raise ValueError(msg)
        if not np.isfinite(array).all():
            msg = "`embeddings` must be finite, got NaN or infinite numbers"
            raise ValueError(msg)
        return np.asarray((array - self.mean) @ self.components.T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class GeneIndex:
    """The genes of one species; a gene is its position among the official symbols.

    Each attribute is read from the file when it is asked for, and kept.

    Attributes
    ----------
    species
        ``"human"`` or ``"mouse"``.
    """

    species: Species

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Official symbols, sorted by their upper case form."""
        shared, suffixes = self._stored("symbol_shared", "symbol_suffix")
        symbols = []
        symbol = ""
        # Stored is how many letters a symbol shares with the one before, and the rest.
        for length, suffix in zip(shared.tolist(), suffixes.tobytes().decode().split("\n"), strict=True):
            symbol = symbol[:length] + suffix
            symbols.append(symbol)
        return tuple(symbols)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """``(n_genes,)``: row of each gene in ``PackagedTable.vectors``, -1 where it has none."""
        return _frozen(self._stored("rows")[0].astype(np.int64))

    @cached_property
    def official(self) -> dict[str, tuple[int, ...]]:
        """Official symbol in upper case -> its gene; no two genes of a species differ in case only."""
        # One upper() over all names is several times faster than one for each.
        return dict(zip("\n".join(self.symbols).upper().split("\n"), zip(range(len(self.symbols))), strict=True))

    @cached_property
    def previous(self) -> dict[str, tuple[int, ...]]:
        """Former symbol in upper case, if it is official nowhere -> the genes that bore it."""
        return self._names("previous")

    @cached_property
    def alias(self) -> dict[str, tuple[int, ...]]:
        """Alias in upper case, if it is no official or former symbol -> the genes that bear it."""
        return self._names("alias")

    @cached_property
    def ensembl(self) -> dict[int, tuple[int, ...]]:
        """Number of an Ensembl gene id -> the genes that have it: one, but for errors of the sources."""
        (planes,) = self._stored("ensembl")
        # Stored are all lowest bytes, then all second ones...
        numbers = np.ascontiguousarray(planes.T).view("<i8").ravel()
        genes = dict(zip(numbers.tolist(), zip(range(numbers.size)), strict=True))
        genes.pop(0, None)  # stands for a gene without an id
        several, counts = np.unique(numbers[numbers > 0], return_counts=True)
        return genes | {int(one): tuple(np.flatnonzero(numbers == one).tolist()) for one in several[counts > 1]}

    def orthologs(self, gene: int) -> tuple[int, ...]:
        """Orthologs of a gene, as genes of the other species."""
        own, other = self._pairs
        first, last = np.searchsorted(own, [gene, gene + 1])
        return tuple(other[first:last].tolist())

    @cached_property
    def _pairs(self) -> NDArray[np.int64]:
        pairs = np.cumsum(_read("orthologs")["orthologs"], axis=1, dtype=np.int64)
        own = pairs[:: 1 if self.species == "human" else -1]
        return own[:, np.lexsort(own[::-1])]

    def _stored(self, *parts: str) -> list[NDArray[Any]]:
        stored = _read(*(f"{self.species}_{part}" for part in parts))
        return [stored[f"{self.species}_{part}"] for part in parts]

    def _names(self, kind: str) -> dict[str, tuple[int, ...]]:
        unique, shared = (stored.tobytes().decode() for stored in self._stored(kind, f"{kind}_shared"))
        lines = unique.split("\n")  # one for each gene
        counts = [line.count("|") + 1 if line else 0 for line in lines]
        names = "|".join(filter(None, lines)).split("|") if any(counts) else []
        bearers = np.repeat(np.arange(len(lines)), counts).tolist()
        genes: dict[str, tuple[int, ...]] = dict(zip(names, zip(bearers), strict=True))
        for line in filter(None, shared.split("\n")):
            name, *several = line.split("|")
            genes[name] = tuple(map(int, several))
        return genes


@lru_cache(maxsize=1)
def packaged_table() -> PackagedTable:
    """Vectors of the gene table that ships with semst; read once, then kept.

    Returns
    -------
    The table. Its arrays are read-only, since everybody shares them.

    Notes
    -----
    ``text -> all-MiniLM-L6-v2 (384 dimensions) -> mean removed -> PCA (128) -> int8``, where the text is the name of a
    gene and its RefSeq summary. Names say little to a text model, function says much. ``datasets/gene_table`` in the
    repository holds the script, the sources and what was measured.

    Examples
    --------
    >>> packaged_table().vectors.shape[1]
    128
    """
    stored = _read("vectors", "scale", "mean", "components", "info")
    info = json.loads(stored["info"].tobytes())
    scale = float(stored["scale"])
    # Stored one dimension after the other, which packs better; the factor and the turn cost milliseconds.
    vectors = np.ascontiguousarray(stored["vectors"].T).astype(np.float32)
    vectors *= np.float32(scale)
    return PackagedTable(
        vectors=_frozen(vectors),
        mean=_frozen(stored["mean"].astype(np.float32)),
        components=_frozen(stored["components"].astype(np.float32)),
        scale=scale,
        model=info["model"],
        model_sha256=info["model_sha256"],
        text=info["text"],
        sources=info["sources"],
    )


@lru_cache(maxsize=2)
def gene_index(species: Species) -> GeneIndex:
    """Names and identifiers of the genes of one species.

    Parameters
    ----------
    species
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    The index; read-only, since everybody shares it.

    Examples
    --------
    >>> index = gene_index("human")
    >>> [index.symbols[gene] for gene in index.official["MBP"]]
    ['MBP']
    """
    return GeneIndex(species)


def _read(*members: str) -> dict[str, NDArray[Any]]:
    path = files("semst.semantics").joinpath("tables", _FILE)
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        return {member: archive[member] for member in members}


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
