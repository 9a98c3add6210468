"""What all maps of one tissue share: places, sizes, the image beneath, the unit, and panels of the right shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._inputs import is_spatialdata, read_coordinates
from semst._keys import SPATIAL
from semst._problems import Problems, is_between, listed
from semst.pl import _draw
from semst.pl._image import Picture, View, images_in_system, picture_of_library, picture_of_spatialdata
from semst.pl._spots import library_of, microns_per_unit, spot_diameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_GAP = 0.1  # inches between panels


@dataclass(frozen=True)
class Scene:
    """The tissue without its colours; lengths in the unit of the coordinates."""

    coordinates: NDArray[np.float64]
    diameter: float | NDArray[np.float64]
    view: View
    picture: Picture | None
    microns_per_unit: float | None

    def draw_ground(self, ax: Axes) -> None:
        """Draw what lies beneath and below the spots: image and scale bar, where they are known."""
        if self.picture is not None:
            self.picture.draw(ax)
        if self.microns_per_unit is not None:
            _draw.add_scale_bar(ax, self.view, microns_per_unit=self.microns_per_unit)

    def panel_size(self, area: float) -> tuple[float, float]:
        """Width and height in inches of a panel of about ``area`` square inches, kept between sensible bounds."""
        height = float(np.clip(np.sqrt(area * self.view.height / self.view.width), 2.0, 7.0))
        width = float(np.clip(height * self.view.width / self.view.height, 1.5, 8.0))
        return width, height


def read_scene(
    data: AnnData | SpatialData,
    table: AnnData,
    problems: Problems,
    *,
    image: bool | str | None,
    size: float | None,
    scale_bar: bool | float,
    spatial_key: str,
    coordinate_system: str | None,
) -> Scene | None:
    """Places, sizes, image and unit; None where ``problems`` says why not."""
    if table.n_obs == 0:
        problems.add("the table has no spots.")
        return None
    coordinates = read_coordinates(data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system)
    if coordinates is None or not np.isfinite(coordinates).all():
        return None
    system = _coordinate_system(data, table, coordinate_system, where=problems.where)
    library = None if system is not None else library_of(table, spatial_key, problems, image=image)
    diameter: float | NDArray[np.float64]
    if size is None or not is_between(size, 0, np.inf):  # the latter is a problem that is told elsewhere
        diameter = spot_diameter(data, table, coordinates, library=library, coordinate_system=system)
    else:
        diameter = size
    view = _view(coordinates, float(np.max(diameter)))
    if image is False:
        picture = None
    elif system is None:
        picture = None if library is None else picture_of_library(library)
    else:
        picture = _picture(data, system, view, problems, image=image)
    if picture is None and image is True:
        problems.missing(f"no tissue image lies under the spots, in uns[{spatial_key!r}] or in the SpatialData.")
    unit = microns_per_unit(table, coordinates) if scale_bar is True else None
    if is_between(scale_bar, 0, np.inf):
        unit = float(scale_bar)
    return Scene(coordinates, diameter, view, picture, unit)


def check_map_options(problems: Problems, *, size: float | None, cmap: str, ncols: int) -> None:
    """Note options of a map that are out of range."""
    import matplotlib as mpl

    if size is not None and (size == 0 or not is_between(size, 0, np.inf)):
        problems.add(f"`size` must be above 0, got {size}.")
    if cmap not in mpl.colormaps:
        problems.add(f"`cmap` must be the name of a matplotlib colour map, got {cmap!r}.")
    if ncols < 1:
        problems.add(f"`ncols` must be at least 1, got {ncols}.")


def given_axes(ax: Axes | Sequence[Axes] | None, n: int, problems: Problems, *, of: str) -> list[Axes] | None:
    """Read the Axes that the user gave for ``n`` panels; None where there are none. ``of`` says what panels are of."""
    if ax is None:
        return None
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != n:
        problems.add(f"`ax` has {len(axes)} Axes for {n} {of}; give as many, or leave it out.")
    return axes


def new_axes(
    n: int, *, ncols: int, size: tuple[float, float], beside: float, above: float, blocks: int = 1
) -> list[Axes]:
    """Make a figure that panels and what explains them fill.

    Parameters
    ----------
    n
        Panels of a block, at least 1.
    ncols
        Of them in a row, at most.
    size
        Width and height of each, in inches.
    beside, above
        Inches for the legend of each panel, and for its title and scale bar.
    blocks
        Each begins a row of its own.

    Returns
    -------
    The Axes, block by block.
    """
    import matplotlib.pyplot as plt

    ncols = min(ncols, n)
    nrows = -(-n // ncols)
    width, height = size
    figure, grid = plt.subplots(
        blocks * nrows,
        ncols,
        figsize=(ncols * (width + beside + _GAP), blocks * nrows * (height + above)),
        layout="compressed",
        squeeze=False,
    )
    axes: list[Any] = []
    for block in grid.reshape(blocks, nrows * ncols):
        axes += list(block[:n])
        for unused in block[n:]:
            figure.delaxes(unused)
    return axes


def _coordinate_system(
    data: AnnData | SpatialData, table: AnnData, coordinate_system: str | None, *, where: str
) -> str | None:
    """Where annotated elements are placed; None where the coordinates come from ``obsm``."""
    if not (is_spatialdata(data) and table.uns.get(SPATIAL.attributes)):
        return None
    from semst._spatialdata import pick_coordinate_system

    # What is wrong was noted when the coordinates were read.
    return pick_coordinate_system(data, table, Problems(where), coordinate_system=coordinate_system)


def _picture(
    data: SpatialData, system: str, view: View, problems: Problems, *, image: bool | str | None
) -> Picture | None:
    names = images_in_system(data, system)
    if isinstance(image, str):
        if image not in names:
            problems.missing(f"no image {image!r} in the coordinate system {system!r}; there is {listed(names)}.")
            return None
        names = [image]
    return picture_of_spatialdata(data, names, system, view)


def _view(coordinates: NDArray[np.float64], diameter: float) -> View:
    """Rectangle around all spots, whole ones, with a little air."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    margin = diameter / 2 + 0.015 * float((high - low).max())
    return View(*(low - margin).tolist(), *(high + margin).tolist())
