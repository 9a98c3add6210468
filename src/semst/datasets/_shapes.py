"""Shapes of the simulated tissue: where spots and cells lie, and which domain a place belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VISIUM_ROWS, VISIUM_COLUMNS = 78, 64  # spots per row; array_col counts in half pitches, so it runs to 127
SPOT_PITCH_UM = 100.0
CELL_PITCH_UM = 12.0
# Of the places that are laid out for cells, this many are taken for each cell: the rest is room for differences in
# density.
PLACES_PER_CELL = 1.6


class DomainMap(Protocol):
    """Domain number (0 ... k-1) of each place; `places` is (n, 2) in units of the tissue's half width, centred on 0."""

    def __call__(self, places: Floats) -> NDArray[np.intp]: ...


@dataclass(frozen=True)
class Waves:
    """A smooth random function of one or two variables: a few sines of low frequency, amplitude about 1."""

    frequency: Floats  # (n_waves, n_variables), cycles per unit
    phase: Floats  # (n_waves,)

    @classmethod
    def draw(cls, rng: np.random.Generator, *, n_variables: int, n_waves: int = 4, highest: float = 1.0) -> Waves:
        """Random waves with at most `highest` cycles per unit in each variable."""
        return cls(rng.uniform(-highest, highest, (n_waves, n_variables)), rng.uniform(0, 2 * np.pi, n_waves))

    def __call__(self, places: Floats) -> Floats:
        total = np.zeros(len(places))
        for frequency, phase in zip(self.frequency, self.phase, strict=True):
            total += np.sin(2 * np.pi * (places @ frequency) + phase)
        return np.asarray(total / np.sqrt(len(self.phase) / 2))


@dataclass(frozen=True)
class Layers:
    """Curved bands, one above another, whose thickness varies along the tissue."""

    angle: float  # radians between the layers and the x axis
    bend: float  # how far the layers bow over the tissue's half width
    wave: Waves
    thickness: Floats  # (k,), sums to 1
    swell: tuple[Waves, ...]  # one a layer

    @classmethod
    def draw(cls, rng: np.random.Generator, *, size: Floats) -> Layers:
        """Random layers with the relative thicknesses `size`."""
        return cls(
            angle=rng.uniform(-0.2, 0.2),
            bend=rng.uniform(0.2, 0.4) * rng.choice([-1, 1]),
            wave=Waves.draw(rng, n_variables=1, n_waves=3, highest=0.8),
            thickness=size / size.sum(),
            swell=tuple(Waves.draw(rng, n_variables=1, n_waves=2, highest=0.7) for _ in size),
        )

    def __call__(self, places: Floats) -> NDArray[np.intp]:
        along = (places @ [np.cos(self.angle), np.sin(self.angle)])[:, None]
        depth = places @ [-np.sin(self.angle), np.cos(self.angle)]
        depth = depth + self.bend * (along[:, 0] ** 2 - 0.35) + 0.06 * self.wave(along)
        width = np.stack([t * np.exp(0.22 * swell(along)) for t, swell in zip(self.thickness, self.swell, strict=True)])
        borders = np.cumsum(width, axis=0)
        # Depth runs from -1 to 1 over the tissue, borders from 0 to their sum.
        return np.asarray((borders[:-1] / borders[-1] < (depth + 1) / 2).sum(axis=0))


@dataclass(frozen=True)
class Patches:
    """Irregular patches: the nearest of some scattered centres, after the plane was bent by smooth waves."""

    centres: Floats  # (n_patches, 2)
    domain: NDArray[np.intp]  # (n_patches,)
    warp: tuple[Waves, Waves]

    @classmethod
    def draw(cls, rng: np.random.Generator, *, size: Floats) -> Patches:
        """Random patches; `size` holds the share of patches of each domain, and each has at least one."""
        n_patches = 3 * len(size) + 4
        # A sunflower's spiral spreads any number of centres evenly over a disc.
        order = np.arange(n_patches) + 0.5
        radius, turn = np.sqrt(order / n_patches), order * np.pi * (3 - np.sqrt(5)) + rng.uniform(0, 2 * np.pi)
        centres = 0.95 * np.column_stack([radius * np.cos(turn), radius * np.sin(turn)])
        centres += rng.normal(0, 0.06, centres.shape)
        share = size / size.sum() * (n_patches - len(size))
        number = 1 + np.diff(np.rint(np.cumsum(share)), prepend=0).astype(int)
        domain = rng.permutation(np.repeat(np.arange(len(size)), number))
        warp = (
            Waves.draw(rng, n_variables=2, n_waves=8, highest=2.2),
            Waves.draw(rng, n_variables=2, n_waves=8, highest=2.2),
        )
        return cls(centres, domain, warp)

    def __call__(self, places: Floats) -> NDArray[np.intp]:
        from scipy.spatial import cKDTree

        bent = places + 0.08 * np.column_stack([wave(places) for wave in self.warp])
        return np.asarray(self.domain[cKDTree(self.centres).query(bent)[1]])


@dataclass(frozen=True)
class Outline:
    """Outline of the tissue: a rounded square with a wavy edge."""

    squareness: float
    wave: Waves

    @classmethod
    def draw(cls, rng: np.random.Generator, *, squareness: float) -> Outline:
        """A random outline; `squareness` 2 is a disc, larger values come near a square."""
        return cls(squareness, Waves.draw(rng, n_variables=2, highest=0.6))

    def innermost(self, places: Floats, n: int) -> NDArray[np.intp]:
        """The `n` places that lie deepest inside, in their order."""
        centred = places - (places.max(axis=0) + places.min(axis=0)) / 2
        half = np.abs(centred).max(axis=0)
        radius = np.linalg.norm(centred / half, ord=self.squareness, axis=1)
        direction = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
        radius *= np.exp(0.06 * self.wave(direction))
        if n >= len(places):
            return np.arange(len(places))
        return np.sort(np.argpartition(radius, n)[:n])


def hexagons(n_rows: int, n_columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of each place in Visium's array: every second row is shifted, columns count half pitches."""
    row, column = np.divmod(np.arange(n_rows * n_columns, dtype=np.int64), n_columns)
    return row, 2 * column + row % 2


def visium_array(n_spots: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Array rows, array columns and places in um of a capture area for `n_spots` spots: 78 x 64, or larger at need."""
    factor = max(1.0, np.sqrt(n_spots / (VISIUM_ROWS * VISIUM_COLUMNS)))
    row, column = hexagons(int(np.ceil(VISIUM_ROWS * factor)), int(np.ceil(VISIUM_COLUMNS * factor)))
    return row, column, np.column_stack([column * SPOT_PITCH_UM / 2, row * SPOT_PITCH_UM * np.sqrt(3) / 2])


def cell_places(rng: np.random.Generator, n_cells: int, outline: Outline) -> Floats:
    """Places in um where cells may lie: a jittered hexagonal lattice inside `outline`, more places than cells."""
    n_places = int(np.ceil(n_cells * PLACES_PER_CELL)) + 1
    side = int(np.ceil(np.sqrt(n_places / 0.75)))
    row, column = hexagons(int(np.ceil(side * 2 / np.sqrt(3))), side)
    places = np.column_stack([column / 2.0, row * np.sqrt(3) / 2]) * CELL_PITCH_UM
    places = places[outline.innermost(places, n_places)]
    return places + rng.normal(0, 0.22 * CELL_PITCH_UM, places.shape)


def thin_out(rng: np.random.Generator, density: Floats, n: int) -> NDArray[np.intp]:
    """Choose `n` of the places without replacement, with chances in proportion to `density`, in their order.

    The n largest of log(u) / density are such a sample (Efraimidis and Spirakis, 2006, Information Processing Letters
    97).
    """
    keys = np.log(rng.random(len(density))) / density
    return np.sort(np.argpartition(-keys, n)[:n]) if n < len(density) else np.arange(n)
