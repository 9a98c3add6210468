from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._inputs import find_table, is_spatialdata, read_coordinates
from semst._keys import CLUSTER, SPATIAL, ClusterKeys
from semst._problems import Problems, listed
from semst.pl import _draw
from semst.pl._colors import Palette, as_labels, assign_colors, check_palette, keep_colors
from semst.pl._image import Picture, View, images_in_system, picture_of_library, picture_of_spatialdata
from semst.pl._slices import heading, image_of, legend_of, slices_of
from semst.pl._spots import library_of, microns_per_unit, spot_diameter

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_WHERE = "semst.pl.domains"
_PANEL_AREA = 16.0  # square inches
_LEGEND_ROW = 0.25  # inches


def domains(
    data: AnnData | SpatialData,
    *,
    color: str | Sequence[str] = CLUSTER.obs,
    image: bool | str | None = None,
    size: float | None = None,
    alpha: float = 1.0,
    palette: Palette | None = None,
    match: bool = True,
    cmap: str = "viridis",
    title: str | Sequence[str] | None = None,
    legend: bool = True,
    scale_bar: bool | float = True,
    ncols: int = 4,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | list[Axes]:
    """Draw the tissue, each spot or cell in the colour of its domain.

    Parameters
    ----------
    data
        Table of ``n_spots`` observations, or a SpatialData that holds one.
    color
        Key of ``obs``, or several that are drawn side by side. Categories, text and booleans are drawn as domains,
        numbers by a colour map; for labels that are numbers make the column categorical. The default shows what
        :func:`semst.tl.cluster` wrote.
    image
        The default lays the tissue image beneath where there is one; False never, True requires it. A name chooses a
        library of ``uns[spatial_key]`` or an image element of the SpatialData.
    size
        Diameter of a spot in the unit of the coordinates, above 0. The default is the true one where the data tell it
        (circles of a SpatialData, ``spot_diameter_fullres``, 55 of 100 micrometres on a Visium grid), else one at which
        cells tile without hiding each other.
    alpha
        Opacity of the spots in [0, 1].
    palette
        Colours in the order of the legend, or a mapping from category to colour that may leave some out. The default
        takes ``uns["{key}_colors"]`` where it fits, else thirty colours chosen for readers with any colour vision.
    match
        Whether the second and further keys take over the colours of the first: each category that of the one
        it overlaps best, so that equal colours mean equal places. With False each key keeps its own colours.
    cmap
        Name of the matplotlib colour map for numbers.
    title
        One for each panel; the default is the key, or with ``batch_key`` the slice. An empty string leaves it out.
    legend
        Whether to explain the colours.
    scale_bar
        Whether to draw a scale bar where the unit is known: on a Visium grid, and where ``uns["spatial_unit"]`` is
        ``"micrometer"``. A number says how many micrometres one unit of the coordinates is.
    ncols
        Panels per row where several keys or slices are drawn, at least 1.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    spatial_key
        Key of ``obsm`` with the coordinates, and of ``uns`` with images in the same coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it. Each slice has a
        panel of its own then, with its own coordinates; colours and legend are those of all. Beneath a slice lies the
        image whose library in ``uns[spatial_key]`` bears its name. The default draws all spots in one panel.
    ax
        Axes to draw on, as many as keys, times slices with ``batch_key``; make their figure with
        ``layout="constrained"``, so that the legends beside them have room. The default makes a new figure.

    Returns
    -------
    The Axes, or a list of them where ``color`` is not a str or slices have panels of their own. Colours are kept in
    ``uns["{key}_colors"]``, a list of one hex str for each category, unless ones that fit are there already or the
    table is a view.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If a key, the coordinates, an image or a coordinate system is not there.
    ValueError
        If an option is out of range, the coordinates are not finite, or the table does not match its element.

    Notes
    -----
    The y axis points down, as in images, and both axes have one scale. More than 20 000 spots are drawn as pixels, also
    in vector formats. Matching maximises the number of spots in paired categories (Hungarian method).

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> import semst
    >>> adata = AnnData(np.ones((6, 2), dtype=np.float32))
    >>> adata.obsm["spatial"] = np.array([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
    >>> adata.obs["semst"] = ["1", "1", "2", "1", "2", "2"]
    >>> ax = semst.pl.domains(adata)
    >>> adata.uns["semst_colors"]
    ['#3448af', '#98b319']
    """
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    keys = [color] if isinstance(color, str) else list(color)
    columns = _read_columns(table, keys, problems, name="sdata" if is_spatialdata(data) else "adata")
    labels = {key: column for key, column in columns.items() if isinstance(column, pd.Categorical)}
    check_palette(palette, labels, problems)
    slices = {} if batch_key is None else slices_of(table, batch_key, problems)
    panels = [(key, name) for key in keys for name in slices or [""]]
    axes = _given_axes(ax, panels, problems)
    titles = [heading(key, name, several_keys=len(keys) > 1) if slices else key for key, name in panels]
    titles = _titles(title, titles, problems)
    _check_options(problems, size=size, alpha=alpha, cmap=cmap, scale_bar=scale_bar, ncols=ncols)
    scenes = {
        name: _read_scene(
            data,
            table[slices[name]] if slices else table,
            problems,
            image=image_of(table, spatial_key, name, image=image) if slices else image,
            size=size,
            scale_bar=scale_bar,
            spatial_key=spatial_key,
            coordinate_system=coordinate_system,
        )
        for name in slices or [""]
    }
    problems.raise_if_any()
    colors = assign_colors(table, labels, palette=palette, match=match)
    if axes is None:
        widest = max((scene.view for scene in scenes.values() if scene), key=lambda view: view.width / view.height)
        axes = _new_axes(widest, [columns[key] for key, _ in panels], legend=legend, ncols=ncols)
    last = next(reversed(scenes))
    for panel, (key, name), told in zip(axes, panels, titles, strict=True):
        scene = scenes[name]
        assert scene is not None  # without a scene there was a problem
        _draw_panel(
            panel,
            scene,
            key,
            columns[key],
            colors.get(key),
            rows=slices.get(name),
            alpha=alpha,
            cmap=cmap,
            legend=legend and name == last,
        )
        _draw.frame(panel, scene.view, title=told)
    for number, key in enumerate(labels):
        named = isinstance(palette, Mapping) or (palette is not None and (number == 0 or not match))
        keep_colors(table, key, labels[key], colors[key], replace=named)
    return axes[0] if isinstance(color, str) and not slices else axes


@dataclass(frozen=True)
class _Scene:
    """What all panels share; lengths in the unit of the coordinates."""

    coordinates: NDArray[np.float64]
    diameter: float | NDArray[np.float64]
    view: View
    picture: Picture | None
    microns_per_unit: float | None


def _read_columns(
    table: AnnData, keys: list[str], problems: Problems, *, name: str
) -> dict[str, pd.Categorical | NDArray[np.float64]]:
    """Labels or numbers by key."""
    if not keys:
        problems.add("`color` names no key of obs.")
    columns: dict[str, pd.Categorical | NDArray[np.float64]] = {}
    for key in keys:
        if key not in table.obs:
            problems.missing(
                f"no obs[{key!r}]; obs has {listed(table.obs.columns)}. "
                f"Domains are made by `semst.tl.cluster({name}, n_clusters=...)`."
            )
            continue
        labels = as_labels(table.obs[key])
        columns[key] = table.obs[key].to_numpy(dtype=np.float64, na_value=np.nan) if labels is None else labels
    return columns


def _given_axes(
    ax: Axes | Sequence[Axes] | None, panels: list[tuple[str, str]], problems: Problems
) -> list[Axes] | None:
    if ax is None:
        return None
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != len(panels):
        what = "panels, one for each key and slice" if any(name for _, name in panels) else "keys"
        problems.add(f"`ax` has {len(axes)} Axes for {len(panels)} {what}; give as many, or leave it out.")
    return axes


def _titles(title: str | Sequence[str] | None, usual: list[str], problems: Problems) -> list[str]:
    titles = usual if title is None else [title] if isinstance(title, str) else list(title)
    if len(titles) != len(usual):
        problems.add(f"`title` has {len(titles)} entries for {len(usual)} keys.")
    return titles


def _check_options(
    problems: Problems, *, size: float | None, alpha: float, cmap: str, scale_bar: bool | float, ncols: int
) -> None:
    import matplotlib as mpl

    if size is not None and not (np.isfinite(size) and size > 0):
        problems.add(f"`size` must be above 0, got {size}.")
    if not 0 <= alpha <= 1:
        problems.add(f"`alpha` must be in [0, 1], got {alpha}.")
    if cmap not in mpl.colormaps:
        problems.add(f"`cmap` must be the name of a matplotlib colour map, got {cmap!r}.")
    if not isinstance(scale_bar, bool) and not (np.isfinite(scale_bar) and scale_bar > 0):
        problems.add(f"`scale_bar` must be True, False or micrometres per unit above 0, got {scale_bar}.")
    if ncols < 1:
        problems.add(f"`ncols` must be at least 1, got {ncols}.")


def _read_scene(
    data: AnnData | SpatialData,
    table: AnnData,
    problems: Problems,
    *,
    image: bool | str | None,
    size: float | None,
    scale_bar: bool | float,
    spatial_key: str,
    coordinate_system: str | None,
) -> _Scene | None:
    """Places, sizes, image and unit; None where ``problems`` says why not."""
    if table.n_obs == 0:
        problems.add("the table has no spots.")
        return None
    coordinates = read_coordinates(data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system)
    if coordinates is None or not np.isfinite(coordinates).all():
        return None
    system = _coordinate_system(data, table, coordinate_system)
    library = None if system is not None else library_of(table, spatial_key, problems, image=image)
    diameter: float | NDArray[np.float64]
    if size is None:
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
    if not isinstance(scale_bar, bool):
        unit = float(scale_bar)
    return _Scene(coordinates, diameter, view, picture, unit)


def _coordinate_system(data: AnnData | SpatialData, table: AnnData, coordinate_system: str | None) -> str | None:
    """Where annotated elements are placed; None where the coordinates come from ``obsm``."""
    if not (is_spatialdata(data) and table.uns.get("spatialdata_attrs")):
        return None
    from semst._spatialdata import pick_coordinate_system

    return pick_coordinate_system(data, table, Problems(_WHERE), coordinate_system=coordinate_system)


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


def _new_axes(
    view: View, columns: list[pd.Categorical | NDArray[np.float64]], *, legend: bool, ncols: int
) -> list[Axes]:
    """Make a figure that the panels and their legends fill."""
    import matplotlib.pyplot as plt

    height = float(np.clip(np.sqrt(_PANEL_AREA * view.height / view.width), 2.0, 7.0))
    width = float(np.clip(height * view.width / view.height, 1.5, 8.0))
    ncols = min(ncols, len(columns))
    nrows = -(-len(columns) // ncols)
    beside = max(_legend_width(column, height) for column in columns) if legend else 0.0
    figure, grid = plt.subplots(
        nrows,
        ncols,
        figsize=(ncols * (width + beside + 0.1), nrows * (height + 0.7)),
        layout="compressed",
        squeeze=False,
    )
    axes: list[Any] = list(grid.ravel())
    for unused in axes[len(columns) :]:
        figure.delaxes(unused)
    return axes[: len(columns)]


def _legend_width(column: pd.Categorical | NDArray[np.float64], height: float) -> float:
    """Inches that a legend in ten-point type takes, near enough for the size of a figure."""
    if not isinstance(column, pd.Categorical):
        return 0.8
    names = [*map(str, column.categories), *(["unlabelled"] if (np.asarray(column.codes) < 0).any() else [])]
    longest = max(map(len, names), default=0)
    return -(-len(names) // int(height / _LEGEND_ROW)) * (0.45 + 0.085 * longest)


def _draw_panel(
    ax: Axes,
    scene: _Scene,
    key: str,
    column: pd.Categorical | NDArray[np.float64],
    colors: list[str] | None,
    *,
    rows: NDArray[np.int64] | None,
    alpha: float,
    cmap: str,
    legend: bool,
) -> None:
    whole, column = column, column if rows is None else column[rows]
    if scene.picture is not None:
        scene.picture.draw(ax)
    if scene.microns_per_unit is not None:
        _draw.add_scale_bar(ax, scene.view, microns_per_unit=scene.microns_per_unit)
    if isinstance(column, pd.Categorical):
        shown = _draw.draw_labels(ax, scene.coordinates, scene.diameter, column, colors or [], alpha=alpha)
        if legend:
            shown = shown if rows is None or not isinstance(whole, pd.Categorical) else legend_of(whole, colors or [])
            height = ax.get_window_extent().height / ax.figure.dpi
            _draw.add_legend(ax, shown, rows=max(1, int(height / _LEGEND_ROW)))
        return
    circles = _draw.draw_values(ax, scene.coordinates, scene.diameter, column, alpha=alpha, cmap=cmap)
    if circles is not None and rows is not None and np.isfinite(whole).any():
        circles.set_clim(np.nanmin(whole), np.nanmax(whole))  # one scale for all slices
    if circles is not None and key.endswith(ClusterKeys("").confidence):
        circles.set_clim(0, 1)  # a confidence has one meaning in every picture
    if circles is not None and legend:
        _draw.add_colorbar(ax, circles)
