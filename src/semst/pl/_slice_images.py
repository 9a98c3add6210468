"""Which of several tissue images is that of which slice."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semst._problems import Problems, listed
from semst.pl._image import Picture, View, images_in_system, images_of_view, picture_of_spatialdata
from semst.pl._spots import libraries_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger("semst")

Image = bool | str | None
Images = Image | Mapping[str, Image]

_ONE_PLACE = 0.1  # of the smaller of two views: what lies beside each other on one slide does not overlap more


def is_required(image: Image) -> bool:
    """Tell whether it is a problem where there is no such image: it was named, or asked for by True."""
    return image is True or isinstance(image, str)


def images_by_slice(image: Images, slices: Iterable[str], problems: Problems) -> dict[str, Image]:
    """What the user asked for beneath each slice; ``problems`` collects names that are no slices, and other values."""
    if not isinstance(image, Mapping):
        return dict.fromkeys(slices, image)
    asked: Mapping[str, object] = image
    wrong = {name: each for name, each in asked.items() if not isinstance(each, bool | str | None)}
    if wrong:
        told = ", ".join(f"{each!r} for {name!r}" for name, each in wrong.items())
        problems.add(f"`image` must give each slice True, False, a name or None, got {told}.")
    names = list(slices)
    named = {str(name): each for name, each in image.items()}  # slices may be numbers in obs
    unknown = [name for name in named if name not in names]
    if unknown:
        problems.missing(f"`image` has the keys {listed(unknown)}, which are no slices; there is {listed(names)}.")
    return {name: named.get(name) for name in names}


def library_of_slice(
    table: AnnData, spatial_key: str, name: str, image: Image, *, slices: Collection[str], one_place: bool
) -> str | bool:
    """Say which library lies beneath a slice: the one that bears its name, or the only one of a common slide.

    Parameters
    ----------
    table
        With libraries in ``uns[spatial_key]``, if any.
    spatial_key
        Of the coordinates, and of the libraries.
    name
        Of the slice.
    image
        What the user asked for beneath it; where that is no image, its library still says how large spots are.
    slices
        Names of all slices.
    one_place
        Whether slices lie over each other: they are not on one slide then.

    Returns
    -------
    Name of the library; False where there is none, also where an image is required.
    """
    libraries = libraries_of(table, spatial_key)
    if isinstance(image, str):
        return image
    if name in libraries:
        return name
    common = len(libraries) == 1 and not libraries.keys() & set(slices) and not (one_place and len(slices) > 1)
    return next(iter(libraries)) if common else False


def parts_of(*names: str) -> set[str]:
    """Words and numbers in names, for which case does not count.

    Examples
    --------
    >>> sorted(parts_of("Sample1_hires-image"))
    ['hires', 'image', 'sample1']
    """
    return set(re.findall(r"[^\W_]+", " ".join(names).casefold()))


def owners(image: str, slices: Mapping[str, set[str]]) -> set[str]:
    """Slices that an image bears the name of.

    Parameters
    ----------
    image
        Name of the image.
    slices
        Parts of the names of each slice; what is in all of them tells none apart.

    Returns
    -------
    Those that share most parts with the image, several where it does not tell them apart; none where it has no part of
    any.

    Examples
    --------
    >>> slices = {"A": {"a", "spots"}, "B": {"b", "spots"}}
    >>> owners("A_image", slices), owners("dapi of spots", slices)
    ({'A'}, set())
    """
    common = set.intersection(*slices.values())
    shared = {name: len((parts - common) & parts_of(image)) for name, parts in slices.items()}
    most = max(shared.values())
    return {name for name, number in shared.items() if number == most} if most else set()


@dataclass(frozen=True)
class OwnImages:
    """Choice of the image of each slice, where slices may lie over each other in one coordinate system.

    Attributes
    ----------
    data
        Holds the images.
    parts
        Parts of the names of each slice, see :func:`owners`.
    systems
        Coordinate system of each slice.
    views
        Rectangle of each slice that has a place.
    """

    data: SpatialData
    parts: Mapping[str, set[str]]
    systems: Mapping[str, str]
    views: Mapping[str, View]

    def picture(self, name: str, problems: Problems, *, required: bool) -> Picture | None:
        """Picture of a slice; of one that shares its place with others, never an image that bears their names.

        Where names do not tell, none is drawn and the log says so; where an image is ``required`` it is a problem.
        """
        system, view = self.systems[name], self.views[name]
        images = images_in_system(self.data, system)
        if self._shares_its_place(name):
            owned = {image: owners(image, self.parts) for image in images}
            of_any = [image for image, names in owned.items() if not names or (name in names and len(names) > 1)]
            images = images_of_view(self.data, [i for i in images if owned[i] == {name}], system, view)
            images = images or images_of_view(self.data, of_any, system, view)
            if len(images) > 1 and owned[images[0]] != {name}:
                told = f"slice {name!r} lies under the images {listed(images)}, and their names do not tell which is"
                way_out = f"its own: say it with `image={{{name!r}: {images[0]!r}, ...}}`."
                if required:
                    problems.add(f"{told} {way_out}")
                else:
                    logger.warning("%s %s None is drawn.", told, way_out)
                return None
        picture = picture_of_spatialdata(self.data, images, system, view)
        if picture is None and required:
            problems.missing(
                f"no tissue image of slice {name!r} lies under its spots in the SpatialData; leave `image` out, and "
                "one is drawn where there is one."
            )
        return picture

    def _shares_its_place(self, name: str) -> bool:
        return any(
            other != name and self.systems[other] == self.systems[name] and in_one_place(self.views[name], view)
            for other, view in self.views.items()
        )


def in_one_place(one: View, other: View) -> bool:
    """Tell slices that lie over each other from such that lie beside each other, as on one slide."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return width > 0 and height > 0 and width * height > _ONE_PLACE * smaller
