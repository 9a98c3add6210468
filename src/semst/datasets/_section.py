"""A simulated section: where its spots or cells lie, which domain each is in, and which cells it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semst.datasets._shapes import (
    DomainMap,
    Layers,
    Outline,
    Patches,
    Waves,
    cell_places,
    thin_out,
    visium_array,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.datasets._cell_types import Tissue

    Floats = NDArray[np.float64]

BLOCK = 200_000  # places looked up at once
CELLS_PER_SPOT = 7.0  # at the greatest density
# How far a transcript strays before it is captured, or a cell from where its domain would put it (standard deviation).
STRAY_UM = {"visium": 35.0, "cells": 12.0}
DEPTH_SPREAD = {"visium": 0.35, "cells": 0.4}
DEPTH_DRIFT = 0.15
# A domain that is left with less than this share of its fair share of the tissue is no domain.
LEAST_SHARE = 0.25
MOST_DRAWS = 30


@dataclass(frozen=True)
class Section:
    """A section of tissue.

    Attributes
    ----------
    places
        (n, 2) x and y in um.
    array
        Rows and columns in Visium's array, each (n,); None for cells.
    domain
        (n,) number of the domain at each place.
    mixture
        (n, n_types) float32 share of each cell type; rows sum to 1.
    depth
        (n,) how deeply each was sequenced, relative to the median.
    """

    places: Floats
    array: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    domain: NDArray[np.intp]
    mixture: NDArray[np.float32]
    depth: Floats


@dataclass(frozen=True)
class _PlacedMap:
    """A domain map laid over places in um."""

    shape: DomainMap
    centre: Floats
    half_width: float

    def __call__(self, places: Floats) -> NDArray[np.intp]:
        blocks = range(0, len(places), BLOCK)
        parts = [self.shape((places[start : start + BLOCK] - self.centre) / self.half_width) for start in blocks]
        return np.concatenate(parts)


def draw_section(
    rng: np.random.Generator, tissue: Tissue, names: list[str], *, n_spots: int, layered: bool, platform: str
) -> Section:
    """Draw a section of `tissue` with the domains `names` and `n_spots` spots (`platform` visium) or cells."""
    outline = Outline.draw(rng, squareness=6.0 if layered else 3.0)
    density = np.array([tissue.density[name] for name in names])
    density = density / density.max()
    size = np.array([tissue.size[name] for name in names])
    array = None
    if platform == "visium":
        row, column, places = visium_array(n_spots)
        chosen = outline.innermost(places, n_spots)
        places, array = places[chosen], (row[chosen], column[chosen])
        domains = _draw_map(rng, places, size, layered=layered)
    else:
        places = cell_places(rng, n_spots, outline)
        domains = _draw_map(rng, places, size, layered=layered)
        places = places[thin_out(rng, density[domains(places)], n_spots)]
    domain = domains(places)
    n_cells = np.ones(n_spots, dtype=np.intp)
    if platform == "visium":
        n_cells += rng.poisson((CELLS_PER_SPOT - 1) * density[domain])
    composition = tissue.composition(names)
    mixture, content = _fill(rng, places, domains, composition, n_cells=n_cells, stray=STRAY_UM[platform])
    depth = np.sqrt(content) * np.exp(rng.normal(0, DEPTH_SPREAD[platform], n_spots))
    drift = Waves.draw(rng, n_variables=2, highest=0.5)
    depth *= np.exp(DEPTH_DRIFT * drift((places - domains.centre) / domains.half_width))
    return Section(places, array, domain, mixture, depth / np.median(depth))


def _draw_map(rng: np.random.Generator, places: Floats, size: Floats, *, layered: bool) -> _PlacedMap:
    """Draw shapes until every domain has a fair part of the tissue, which the first or second nearly always gives."""
    low, high = places.min(axis=0), places.max(axis=0)
    # Some thousand places are enough to see how large each domain has become.
    sample = places[:: max(1, len(places) // 5000)]

    def draw() -> tuple[float, _PlacedMap]:
        shape: DomainMap = Layers.draw(rng, size=size) if layered else Patches.draw(rng, size=size)
        placed = _PlacedMap(shape, centre=(low + high) / 2, half_width=float((high - low).max() / 2))
        share = np.bincount(placed(sample), minlength=len(size)) / len(sample)
        return float((share / (size / size.sum())).min()), placed

    least, best = draw()
    for _ in range(MOST_DRAWS):
        if least >= LEAST_SHARE:
            break
        other_least, other = draw()
        if other_least > least:
            least, best = other_least, other
    return best


def _fill(
    rng: np.random.Generator,
    places: Floats,
    domains: _PlacedMap,
    composition: Floats,
    *,
    n_cells: NDArray[np.intp],
    stray: float,
) -> tuple[NDArray[np.float32], Floats]:
    """Put cells into spots: shares of the cell types (n, n_types), and the RNA content of each spot's cells (n,)."""
    n_types = composition.shape[1]
    cumulative = np.cumsum(composition, axis=1)
    amounts = np.empty((len(places), n_types), dtype=np.float32)
    for start in range(0, len(places), BLOCK):
        block = slice(start, min(start + BLOCK, len(places)))
        owner = np.repeat(np.arange(block.stop - start), n_cells[block])
        where = places[block][owner] + rng.normal(0, stray, (len(owner), 2))
        chance = cumulative[domains(where)]
        kind = (rng.random((len(owner), 1)) * chance[:, -1:] > chance).sum(axis=1)
        rna = rng.gamma(4.0, 0.25, len(owner))
        flat = np.bincount(owner * n_types + kind, weights=rna, minlength=(block.stop - start) * n_types)
        amounts[block] = flat.reshape(-1, n_types)
    content = amounts.sum(axis=1, dtype=np.float64)
    amounts /= content[:, None].astype(np.float32)
    return amounts, content
