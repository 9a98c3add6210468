"""Several slices in one figure: a panel for each, one set of colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from semst._batch_key import slice_column
from semst._inputs import is_spatialdata, read_coordinates
from semst._joined import overlap, warn_of_joined_slices
from semst._keys import SPATIAL
from semst._problems import Problems
from semst.pl._colors import as_labels, check_labels, reading_order
from semst.pl._scene import Scene, read_scene
from semst.pl._slice_images import Image, Images, OwnImages, images_by_slice, is_required, library_of_slice, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData


def slices_of(table: AnnData, batch_key: str, problems: Problems) -> dict[str, NDArray[np.int64]]:
    """Rows of each slice, by its name.

    Parameters
    ----------
    table
        ``n_spots`` observations.
    batch_key
        Key of ``obs``: categories, text, booleans or whole numbers.
    problems
        Collects: no such key, spots without a slice, fractions, categories that read alike.

    Returns
    -------
    In natural order of names, or the user's own where the categories are ordered; empty where ``problems`` says why.
    """
    column = slice_column(table, batch_key, problems)
    if column is None or not check_labels(column, batch_key, problems):
        return {}
    labels = as_labels(column)
    if labels is None:  # numbers are names here
        labels = as_labels(column.astype(str))
    assert labels is not None  # for the type checker: text is always read as labels
    return {name: np.flatnonzero(np.asarray(labels == name)) for name in reading_order(labels)}


def read_scenes(
    data: AnnData | SpatialData,
    table: AnnData,
    slices: Mapping[str, NDArray[np.int64]],
    problems: Problems,
    *,
    image: Images,
    size: float | None,
    scale_bar: bool | float,
    spatial_key: str,
    coordinate_system: str | None,
    batch_key: str | None,
) -> dict[str, Scene | None]:
    """Read the scene of each slice, with the image that is its own; None where ``problems`` says why not.

    Slices of a SpatialData are placed in one coordinate system where they share it, else each in its own. Without
    slices all spots are one scene, under ''.
    """
    asked: object = image
    if not isinstance(asked, bool | str | Mapping | None):
        problems.add(f"`image` must be True, False, a name, a mapping from slice to these or None, got {asked!r}.")
        image = False
    read = partial(read_scene, data, problems=problems, size=size, scale_bar=scale_bar, spatial_key=spatial_key)
    if slices:
        wanted = images_by_slice(image, slices, problems)
        if is_spatialdata(data) and table.uns.get(SPATIAL.attributes):
            return _scenes_of_regions(data, table, slices, wanted, read, problems, coordinate_system=coordinate_system)
        # What is wrong with places is told where they are read for the picture.
        places = read_coordinates(data, table, Problems(problems.where), spatial_key=spatial_key)
        one_place = places is not None and overlap(places, table.obs[batch_key])
        beneath = partial(library_of_slice, table, spatial_key, slices=slices, one_place=one_place)
        return {
            name: read(
                table=table[rows],
                image=beneath(name, wanted[name]),
                required=is_required(wanted[name]),
                drawn=wanted[name] is not False,
                of=f" of slice {name!r}",
                coordinate_system=coordinate_system,
            )
            for name, rows in slices.items()
        }
    if isinstance(image, Mapping):
        if batch_key is None:
            problems.add(
                "`image` is a mapping from slice to image; say which slice a spot belongs to with `batch_key`."
            )
        image = False
    scene = read(table=table, image=image, required=is_required(image), of="", coordinate_system=coordinate_system)
    if scene is not None and batch_key is None:
        warn_of_joined_slices(table, scene.coordinates, where="pl")
    return {"": scene}


def _scenes_of_regions(
    data: SpatialData,
    table: AnnData,
    slices: Mapping[str, NDArray[np.int64]],
    wanted: Mapping[str, Image],
    read: Callable[..., Scene | None],
    problems: Problems,
    *,
    coordinate_system: str | None,
) -> dict[str, Scene | None]:
    """Read the scenes of slices that a SpatialData has elements of: their own images are chosen by place and name."""
    from semst._spatialdata import annotated_regions, pick_for_slices

    members = list(slices.values())
    systems = pick_for_slices(data, table, members, problems, coordinate_system=coordinate_system)
    if systems is None:
        return dict.fromkeys(slices)
    placed: dict[str, Scene] = {}
    for (name, rows), system in zip(slices.items(), systems, strict=True):
        # Which image is its own, is only known when all slices have their places.
        its = wanted[name] if isinstance(wanted[name], str) else False
        scene = read(
            table=table[rows],
            image=its,
            required=is_required(its),
            of=f" of slice {name!r}",
            coordinate_system=system,
        )
        if scene is not None:
            placed[name] = scene
    choosing = OwnImages(
        data,
        parts={name: parts_of(name, *annotated_regions(table[rows])) for name, rows in slices.items()},
        systems=dict(zip(slices, systems, strict=True)),
        views={name: scene.view for name, scene in placed.items()},
    )
    return {
        name: replace(placed[name], picture=choosing.picture(name, problems, required=its is True))
        if name in placed and (its is None or its is True)
        else placed.get(name)
        for name, its in wanted.items()
    }


def slice_of_colorbar(values: NDArray[np.float64], slices: Mapping[str, NDArray[np.int64]], *, in_row: int) -> str:
    """Name of the slice whose panel has the colour bar: the last of the first row that has a number, if any has.

    Parameters
    ----------
    values
        ``(n_spots,)``, not finite where there is no number.
    slices
        Rows of each slice; without any all spots are one, ``""``.
    in_row
        How many panels are in a row, at least 1.
    """
    names = list(slices) or [""]
    told = [name for name in names if np.isfinite(values[slices.get(name, slice(None))]).any()]
    return ([name for name in names[:in_row] if name in told] or told or names)[-1]
