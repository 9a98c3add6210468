"""The choices of :func:`semst.pp.gene_semantics`, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from semst._problems import is_whole, unknown
from semst.pp._pool import Weights
from semst.semantics._resolve import Species

if TYPE_CHECKING:
    import os

    from semst.semantics._encoders import Encoder
    from semst.semantics._user_table import TextSource, VectorSource


Mode: TypeAlias = Literal["genes", "spots"]


@dataclass(frozen=True, kw_only=True)
class SemanticsOptions:
    """The choices of :func:`semst.pp.gene_semantics`, which documents them."""

    mode: Mode = "genes"
    vectors: VectorSource | None = None
    encoder: Encoder | str | os.PathLike[str] | None = None
    gene_text: TextSource | None = None
    species: Species | None = None
    layer: str | None = None
    weights: Weights = "lognorm"
    n_top: int | None = None
    min_spots: int | None = None
    cache_dir: str | os.PathLike[str] | None = None
    progress: bool = True

    def faults(self) -> list[str]:
        """Name values that do not exist, and choices that do not go together."""
        faults = []
        for name, value, allowed in (
            ("mode", self.mode, get_args(Mode)),
            ("weights", self.weights, get_args(Weights)),
            ("species", self.species, get_args(Species)),
        ):
            if value not in allowed and (name, value) != ("species", None):
                faults.append(unknown(name, value, allowed))
        for name, number in (("n_top", self.n_top), ("min_spots", self.min_spots)):
            if number is not None and not is_whole(number, least=1):
                faults.append(f"{name} must be a whole number of at least 1, got {number!r}.")
        return faults + (self._faults_of_spots() if self.mode == "spots" else self._faults_of_genes())

    def _faults_of_spots(self) -> list[str]:
        given = {
            "vectors": self.vectors is not None,
            "gene_text": self.gene_text is not None,
            "weights": self.weights != "lognorm",
        }
        return [f"{name} only applies to mode='genes'; leave it out." for name, wrong in given.items() if wrong]

    def _faults_of_genes(self) -> list[str]:
        faults = []
        if self.min_spots is not None:
            faults.append("min_spots only applies to mode='spots'; leave it out.")
        if self.vectors is not None and self.encoder is not None:
            faults.append("give either vectors or an encoder, not both.")
        if self.gene_text is not None and self.encoder is None:
            faults.append("gene_text needs an encoder that reads it: `encoder=semst.semantics.SentenceEncoder()`.")
        return faults
