"""What is asked of a semantic control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._problems import MOST_SEED, is_whole
from semst.clustering._checks import ClusterOptions

if TYPE_CHECKING:
    from semst._problems import Problems


@dataclass(frozen=True, kw_only=True)
class ControlOptions:
    """The choices of :func:`semst.tl.semantic_control`, which documents them."""

    n_clusters: int | None  # None is refused
    seeds: int
    labels: str | None
    semantics_key: str
    layer: str | None
    held_out: float
    n_top_genes: int
    n_neighbors: int
    epochs: int | None
    device: str
    random_state: int
    spatial_key: str
    coordinate_system: str | None
    batch_key: str | None
    key_added: str

    def check(self, problems: Problems) -> None:
        """Note values that are not allowed, but for those of :func:`semst.tl.cluster`, which are checked with it."""
        if self.n_clusters is None:
            problems.add("n_clusters must be a whole number of at least 2, got None; all arms need the same number.")
        if not is_whole(self.seeds, least=2):
            problems.add(f"seeds must be a whole number of at least 2, got {self.seeds!r}; one run has no spread.")
        elif is_whole(self.random_state, least=0) and self.random_state <= MOST_SEED < self.runs[-1]:
            problems.add(
                f"random_state={self.random_state} leaves no room for {self.seeds} seeds, the highest of which may be "
                f"{MOST_SEED}; take a lower one."
            )
        if not self.has_share:
            problems.add(f"held_out must be a share of the molecules from 0.01 to 0.5, got {self.held_out!r}.")

    @property
    def runs(self) -> range:
        """Seeds of the runs in each arm."""
        return range(int(self.random_state), int(self.random_state) + int(self.seeds))

    @property
    def has_share(self) -> bool:
        """Tell whether ``held_out`` is a share that may be held out."""
        share = self.held_out
        return isinstance(share, float | np.floating) and bool(0.01 <= share <= 0.5)

    def for_cluster(self) -> ClusterOptions:
        """Give the choices in the form of :func:`semst.tl.cluster`; semantics are seen to here."""
        return ClusterOptions(
            n_clusters=self.n_clusters,
            semantics_key=None,
            layer=self.layer,
            n_top_genes=self.n_top_genes,
            n_neighbors=self.n_neighbors,
            epochs=self.epochs,
            device=self.device,
            random_state=self.random_state,
            spatial_key=self.spatial_key,
            coordinate_system=self.coordinate_system,
            batch_key=self.batch_key,
            key_added=self.key_added,
        )

    def params(self) -> dict[str, Any]:
        """Give the choices in a form that can be written to disk: what is None is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}
