"""What all maps of one tissue share: places, sizes, the image beneath, and the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semst._inputs import is_spatialdata, read_coordinates
from semst._keys import SPATIAL
from semst._problems import Problems, is_between, listed, meant
from semst.pl import _draw
from semst.pl._image import Picture, View, images_in_system, picture_of_library, picture_of_spatialdata
from semst.pl._spots import libraries_of, library_of, microns_per_unit, scale_of_elements, spot_diameter

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData


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
    required: bool,
    drawn: bool = True,
    of: str,
    size: float | None,
    scale_bar: bool | float,
    spatial_key: str,
    coordinate_system: str | None,
) -> Scene | None:
    """Read places, sizes, image and unit.

    Parameters
    ----------
    data, table
        What the user handed in, and the rows of its table that are drawn.
    problems
        Collects: no spots, what is wrong with their coordinates, no such image, none where one is ``required``.
    image
        Name of the image or of its library; False where there is none.
    drawn
        Whether the image of the library is drawn; if not, its scale factors alone are read.
    required
        Whether it is a problem where no image lies under the spots.
    of
        What is drawn, for the message: ``""``, or ``" of slice 'A'"``.
    size, scale_bar
        As the user gave them.
    spatial_key, coordinate_system
        Where to read places and images.

    Returns
    -------
    The scene, without an image where there is none; None where ``problems`` says why there are no places.
    """
    if table.n_obs == 0:
        problems.add("the table has no spots.")
        return None
    coordinates = read_coordinates(data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system)
    if coordinates is None or not np.isfinite(coordinates).all():
        return None
    system = _coordinate_system(data, table, coordinate_system, where=problems.where)
    library = {} if system is not None else library_of(table, spatial_key, problems, image=image)
    diameter: float | NDArray[np.float64]
    if size is None or not is_between(size, 0, np.inf):  # the latter is a problem that is told elsewhere
        diameter = spot_diameter(data, table, coordinates, library=library or {}, coordinate_system=system)
    else:
        diameter = size
    view = _view(coordinates, float(np.max(diameter)))
    names = [] if system is None else _image_names(data, system, problems, image=image)
    picture = None
    if library is not None and names is not None:  # else it was told why there is no image
        if drawn and image is not False and system is None:
            picture = picture_of_library(library, view)
        elif drawn and image is not False:
            picture = picture_of_spatialdata(data, names, str(system), view)
        if picture is None and required:
            libraries = list(libraries_of(table, spatial_key)) if system is None else []
            problems.missing(_no_picture(of, spatial_key, image=image, libraries=libraries))
    unit = None
    if scale_bar is True:
        unit = microns_per_unit(table, coordinates, scale=scale_of_elements(data, table, system))
    elif is_between(scale_bar, 0, np.inf):
        unit = float(scale_bar)
    return Scene(coordinates, diameter, view, picture, unit)


def _no_picture(of: str, spatial_key: str, *, image: bool | str | None, libraries: list[str]) -> str:
    if isinstance(image, str):
        return f"no pixels of the image {image!r} lie under the spots{of}; name another, or pass `image=False`."
    if of and libraries:
        return (
            f"no library in uns[{spatial_key!r}] ({listed(libraries)}) bears the name{of}; say which lies beneath it "
            f"with `image={{...: {libraries[0]!r}}}`, or beneath all slices with `image={libraries[0]!r}`."
        )
    whose = f"{of} lies under its spots" if of else " lies under the spots"
    return (
        f"no tissue image{whose}, in uns[{spatial_key!r}] or in the SpatialData; leave `image` out, and one is drawn "
        "where there is one."
    )


def check_map_options(problems: Problems, *, size: float | None, cmap: str) -> None:
    """Note options of a map that are out of range."""
    import matplotlib as mpl

    if size is not None and (not is_between(size, 0, np.inf) or size == 0):
        problems.add(f"`size` must be above 0, got {size}.")
    if not isinstance(cmap, str) or cmap not in mpl.colormaps:
        near = meant(cmap, mpl.colormaps) if isinstance(cmap, str) else ""
        way_out = near or "one of your own gets a name by `matplotlib.colormaps.register`."
        problems.add(f"`cmap` must be the name of a matplotlib colour map, got {cmap!r}; {way_out}")


def _coordinate_system(
    data: AnnData | SpatialData, table: AnnData, coordinate_system: str | None, *, where: str
) -> str | None:
    """Where annotated elements are placed; None where the coordinates come from ``obsm``."""
    if not (is_spatialdata(data) and table.uns.get(SPATIAL.attributes)):
        return None
    from semst._spatialdata import pick_coordinate_system

    # What is wrong was noted when the coordinates were read.
    return pick_coordinate_system(data, table, Problems(where), coordinate_system=coordinate_system)


def _image_names(data: SpatialData, system: str, problems: Problems, *, image: bool | str | None) -> list[str] | None:
    """Images to choose from; None where the one that was named is not there."""
    names = images_in_system(data, system)
    if not isinstance(image, str):
        return names
    if image not in names:
        problems.missing(f"no image {image!r} in the coordinate system {system!r}; there is {listed(names)}.")
        return None
    return [image]


def _view(coordinates: NDArray[np.float64], diameter: float) -> View:
    """Rectangle around all spots, whole ones, with a little air."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    margin = diameter / 2 + 0.015 * float((high - low).max())
    return View(*(low - margin).tolist(), *(high + margin).tolist())
