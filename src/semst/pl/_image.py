"""The picture of the tissue: which one, at which resolution, and where it lies under the spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._keys import IN_LIBRARY
from semst.pl._spots import entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

# More pixels than this along the longer side are not seen in a printed panel.
ENOUGH_PIXELS = 1600
_COLOUR = (("r", "g", "b", "a"), ("red", "green", "blue", "alpha"))
_AS_MUCH = 0.9  # of what the best image shows of a view, and an image shows it as well


@dataclass(frozen=True)
class View:
    """The rectangle of the tissue that is drawn, in the unit of the coordinates."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom; y grows downwards."""
        return self.bottom - self.top

    @property
    def corners(self) -> NDArray[np.float64]:
        """``(4, 2)`` x and y of the corners."""
        x, y = [self.left, self.right, self.right, self.left], [self.top, self.top, self.bottom, self.bottom]
        return np.column_stack([x, y])


@dataclass(frozen=True)
class Picture:
    """Pixels and the place of their corners.

    Attributes
    ----------
    pixels
        ``(height, width)`` or ``(height, width, 3 or 4)``, uint8 or float in [0, 1].
    to_data
        ``(3, 3)`` affine matrix from pixel corners, counted from the upper left, to coordinates.
    """

    pixels: NDArray[Any]
    to_data: NDArray[np.float64]

    def draw(self, ax: Axes) -> None:
        """Lay the picture beneath all else; limits and aspect are the caller's."""
        from matplotlib.transforms import Affine2D

        height, width = self.pixels.shape[:2]
        pixels = self.pixels
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            # Before matplotlib 3.11 an image without opacity gets black corners when it is turned.
            opaque = np.full((height, width, 1), 255 if pixels.dtype == np.uint8 else 1, dtype=pixels.dtype)
            pixels = np.concatenate([pixels, opaque], axis=2)
        ax.imshow(
            pixels,
            cmap="gray",
            extent=(0, width, height, 0),
            transform=Affine2D(self.to_data) + ax.transData,
            zorder=0,
        )


def picture_of_library(library: Mapping[str, Any], view: View) -> Picture | None:
    """Picture that ``scanpy.read_visium`` or :func:`semst.datasets.dlpfc` left in ``uns``, the sharper one first.

    Returns
    -------
    The picture; None where there are no pixels, or none in the view.
    """
    images, factors = entries(library, IN_LIBRARY.images), entries(library, IN_LIBRARY.factors)
    for name in ("hires", "lowres"):
        factor = float(factors.get(f"tissue_{name}_scalef") or 0)
        pixels = np.asarray(images.get(name, []))
        if pixels.ndim not in (2, 3) or not pixels.size or not factor > 0:
            continue
        # The full-resolution pixel (0, 0) has its centre, not its corner, at the origin.
        to_data = np.array([[1 / factor, 0, -0.5], [0, 1 / factor, -0.5], [0, 0, 1.0]])
        height, width = pixels.shape[:2]
        right, bottom, _ = to_data @ [width, height, 1]
        if view.left < right and view.right > -0.5 and view.top < bottom and view.bottom > -0.5:
            return Picture(for_display(pixels), to_data)
    return None


def images_in_system(data: SpatialData, coordinate_system: str) -> list[str]:
    """Names of the flat images that have a place in the coordinate system."""
    from spatialdata.transformations import get_transformation

    return [
        name
        for name, image in data.images.items()
        if coordinate_system in get_transformation(image, get_all=True) and "z" not in _levels(image)[0].dims
    ]


def picture_of_spatialdata(data: SpatialData, names: list[str], coordinate_system: str, view: View) -> Picture | None:
    """Cut the view out of the image that shows most of it.

    Parameters
    ----------
    data
        Holds the images.
    names
        Images to choose from. Among those that show the view equally well, colour goes before stains, and the smallest
        that is sharp enough before larger ones. Of stains the first channel is drawn.
    coordinate_system
        Where the view lies.
    view
        What is to be seen.

    Returns
    -------
    The picture, read no finer than needed; None where no image shows any of the view.
    """
    options = [option for name in names for option in _options(data, name, coordinate_system, view)]
    if not options:
        return None
    most = max(option.area for option in options)
    wanted = max(view.width, view.height) / ENOUGH_PIXELS

    def rank(option: _Option) -> tuple[bool, bool, float]:
        # Sharp enough ones come first, the coarsest of them leading; then the rest, the finest leading.
        size = option.pixel if option.pixel > wanted else -option.pixel
        return option.area < _AS_MUCH * most, not _is_colour(option.level), size

    best = min(options, key=rank)
    return _cut(best, step=max(1, int(wanted / best.pixel)))


def images_of_view(data: SpatialData, names: list[str], coordinate_system: str, view: View) -> list[str]:
    """Names of the images that show the view, each about as much of it as any other."""
    areas = {
        name: max((option.area for option in _options(data, name, coordinate_system, view)), default=0.0)
        for name in names
    }
    most = max(areas.values(), default=0.0)
    return [name for name, area in areas.items() if area > 0 and area >= _AS_MUCH * most]


def for_display(pixels: NDArray[Any]) -> NDArray[Any]:
    """Bring pixels into the range that matplotlib shows: bytes stay, all else outside [0, 1] is stretched to it."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float32)
    low, high = float(np.nanmin(values)), float(np.nanpercentile(values, 99.8))
    if low >= 0 and np.nanmax(values) <= 1:
        return values
    stretched: NDArray[np.float32] = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return stretched


def _levels(image: Any) -> list[Any]:  # noqa: ANN401
    """Resolutions of an image, finest first, each a DataArray with dimensions c, y and x."""
    return [level["image"] for level in image.children.values()] if hasattr(image, "children") else [image]


def _is_colour(level: Any) -> bool:  # noqa: ANN401
    """Tell red, green, blue and opacity from stains, which have names of their own or more bits than four channels."""
    n = level.sizes["c"]
    if n not in (3, 4):
        return False
    names = [str(name).lower() for name in level.coords["c"].values] if "c" in level.coords else []
    if names in ([], [str(number) for number in range(n)]):
        return n == 3 or bool(level.dtype == np.uint8) or level.dtype.kind == "f"
    return any(names == list(colour[:n]) for colour in _COLOUR)


@dataclass(frozen=True)
class _Option:
    """One resolution of one image, and what it shows of the view."""

    level: Any  # DataArray with dimensions c, y and x
    to_data: NDArray[np.float64]
    pixel: float  # side of a pixel in the unit of the coordinates
    window: tuple[slice, slice]  # pixels along x and along y
    area: float  # of the view, in square units of the coordinates


def _options(data: SpatialData, name: str, coordinate_system: str, view: View) -> list[_Option]:
    options = (_option(level, coordinate_system, view) for level in _levels(data.images[name]))
    return [option for option in options if option is not None]


def _option(level: Any, coordinate_system: str, view: View) -> _Option | None:  # noqa: ANN401
    """Find the pixels that show the view, or None where it lies outside the image."""
    from spatialdata.transformations import get_transformation

    transformation = get_transformation(level, coordinate_system)
    to_data = np.asarray(transformation.to_affine_matrix(("x", "y"), ("x", "y")), dtype=np.float64)
    corners = (np.column_stack([view.corners, np.ones(4)]) @ np.linalg.inv(to_data).T)[:, :2]
    low = np.maximum(corners.min(axis=0), 0)
    high = np.minimum(corners.max(axis=0), [level.sizes["x"], level.sizes["y"]])
    if (high <= low).any():
        return None
    pixel = float(np.sqrt(abs(np.linalg.det(to_data[:2, :2]))))
    x, y = (slice(int(np.floor(start)), int(np.ceil(stop))) for start, stop in zip(low, high, strict=True))
    return _Option(level, to_data, pixel, (x, y), float(np.prod(high - low)) * pixel**2)


def _cut(option: _Option, *, step: int) -> Picture:
    """Read the window of an image, averaging ``step x step`` pixels into one."""
    x, y = option.window
    part = option.level.isel(x=x, y=y).transpose("y", "x", "c")
    step = min(step, part.sizes["x"], part.sizes["y"])
    pixels = np.asarray(part if step == 1 else part.coarsen(x=step, y=step, boundary="trim").mean())
    if part.dtype == np.uint8:
        pixels = np.rint(pixels).astype(np.uint8)
    if not _is_colour(option.level):
        pixels = pixels[:, :, 0]  # stains: the first channel is the nuclei by custom
    to_pixels = np.array([[step, 0, x.start], [0, step, y.start], [0, 0, 1.0]])
    return Picture(for_display(pixels), option.to_data @ to_pixels)
