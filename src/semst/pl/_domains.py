from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semst._inputs import find_table, is_spatialdata
from semst._keys import CLUSTER, SPATIAL, ClusterKeys
from semst._problems import Problems, counted, is_between, listed
from semst.pl import _draw
from semst.pl._axes import given_axes, new_axes, stack_from_left
from semst.pl._colors import Palette, assign_colors, check_palette, keep_colors
from semst.pl._columns import labels_among, read_columns, read_keys
from semst.pl._legend import explaining_slice, legend_entries, legend_width, rows_beside
from semst.pl._scene import Scene, check_map_options
from semst.pl._slices import read_scenes, slices_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData


_WHERE = "semst.pl.domains"
_PANEL_AREA = 16.0  # square inches
_WIDEST = 15.0  # inches of a row of slices, which become smaller beyond that


def domains(
    data: AnnData | SpatialData,
    *,
    color: str | Sequence[str] = CLUSTER.obs,
    image: bool | str | Mapping[str, bool | str | None] | None = None,
    size: float | None = None,
    alpha: float = 1.0,
    palette: Palette | None = None,
    match: bool = True,
    cmap: str = "viridis",
    title: str | Sequence[str] | None = None,
    legend: bool = True,
    names: bool = False,
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
        numbers by a colour map; for labels that are numbers make the column categorical. Genes are drawn by squidpy and
        scanpy. The default shows what :func:`semst.tl.cluster` wrote.
    image
        The default lays the tissue image beneath where there is one (of several libraries without ``batch_key`` one has
        to be named); False never, True requires it. A name chooses a library of ``uns[spatial_key]`` or an image
        element of the SpatialData, and requires it too; with ``batch_key`` also a mapping from slice to any of these,
        and True requires an image of each slice. An image element of three or four channels is drawn in colour where
        they are called r, g, b (and a), or only numbered (and of four, not of 16 bits); all others are stains, of which
        the first channel is drawn in grey.
    size
        Diameter of a spot in the unit of the coordinates, above 0. The default is the true one where the data tell it
        (circles of a SpatialData, ``spot_diameter_fullres``, 55 of 100 micrometres on a Visium grid), else one at which
        cells tile without hiding each other.
    alpha
        Opacity of the spots in [0, 1].
    palette
        Colours in the order of the legend, or a mapping from category to colour that may leave some out, or the name of
        a matplotlib colour map: a list such as ``"tab20"`` gives its colours in order, a scale such as ``"viridis"`` as
        many as there are categories, evenly along it. The default takes ``uns["{key}_colors"]`` where it fits, else
        thirty colours chosen for readers with any colour vision.
    match
        Whether keys that have no colours yet take over those of another key: each category that of the one it overlaps
        best, so that equal colours mean equal places. Colours that an earlier picture gave stay, so that a domain looks
        alike in all of them, and others go by them; to match such a key anew, ``del adata.uns["{key}_colors"]``. With
        False each key has colours of its own.
    cmap
        Name of the matplotlib colour map for numbers. It goes from the lowest to the highest of them; from 0 to 1 where
        the key ends in ``"_confidence"`` and they lie in [0, 1].
    title
        One for each key, which with ``batch_key`` the slice is added to, or one for each panel; an empty string leaves
        it out. The default is the key, or the slice where there are several of one key.
    legend
        Whether to explain the colours.
    names
        Whether the legend names the domains beside their labels, in the words of :func:`semst.tl.describe`: "3
        myelinating oligodendrocytes", or "Layer1: meninges" where the label is no number. Of several keys the first
        must have been described, and others are named where they have been. A domain that no term fits keeps its bare
        label.
    scale_bar
        Whether to draw a scale bar where the unit is known: on a Visium grid, and where ``uns["spatial_unit"]`` is
        ``"micrometer"``, in a SpatialData that of the elements before they are placed in a coordinate system. A number
        says how many micrometres one unit of the coordinates is, as they are drawn.
    ncols
        Panels per row where several keys or slices are drawn, at least 1. With ``batch_key`` each key begins a row.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    spatial_key
        Key of ``obsm`` with the coordinates, and of ``uns`` with images in the same coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is. With ``batch_key``,
        slices that share none are drawn each in its own.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it. Each slice has a
        panel of its own then, with its own coordinates: a column for each slice, in natural order of their names or in
        that of ordered categories, and a row for each key. Colours and legend are those of all. Beneath a slice lies
        the image whose library in ``uns[spatial_key]`` bears its name; the only library, if it bears none of their
        names, lies beneath all slices that share one place without lying over each other. In a SpatialData slices that
        lie over each other in one coordinate system have the images that bear part of their name or of their region's,
        such as "A_image" of the region "A", and where names do not tell none. The default draws all spots in one panel,
        with a warning where slices lie over each other.
    ax
        Axes to draw on, as many as keys, times slices with ``batch_key``; make their figure with
        ``layout="constrained"``, so that the legends beside them have room. The default makes a new figure.

    Returns
    -------
    The Axes, or a list of them where ``color`` is not a str or slices have panels of their own. Colours are kept in
    ``uns["{key}_colors"]``, a list of one hex str for each category, unless the table is a view.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData, or ``color`` is neither a str nor several.
    KeyError
        If a key, the names, the coordinates, an image or a coordinate system is not there.
    ValueError
        If an option is out of range or of another kind, the coordinates are not finite, the table does not match its
        element, domains are others than those that were described, or categories are one as text; if ``title`` or
        ``ax`` are not as many as there are panels; if a spot has no slice, or ``image`` is a mapping and there is no
        ``batch_key``.

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
    keys = read_keys(color, where=_WHERE)
    called = "sdata" if is_spatialdata(data) else "adata"
    columns = read_columns(table, keys, problems, name=called)
    labels = labels_among(columns)
    entries = legend_entries(table, keys, columns, problems, names=names, name=called)
    check_palette(palette, labels, problems)
    check_map_options(problems, size=size, cmap=cmap)
    problems.whole("`ncols`", ncols, least=1)
    _check_options(problems, alpha=alpha, scale_bar=scale_bar)
    slices = {} if batch_key is None else slices_of(table, batch_key, problems)
    if batch_key is not None and not slices:
        problems.raise_if_any()  # what else is asked for goes by slices
    panels = [(key, name) for key in keys for name in slices or [""]]
    axes = given_axes(ax, len(panels), problems, of="panels, one for each key and slice" if slices else "keys")
    titles = _titles(title, keys, list(slices), problems)
    scenes = read_scenes(
        data,
        table,
        slices,
        problems,
        image=image,
        size=size,
        scale_bar=scale_bar,
        spatial_key=spatial_key,
        coordinate_system=coordinate_system,
        batch_key=batch_key,
    )
    problems.raise_if_any()
    colors = assign_colors(table, labels, palette=palette, match=match)
    if axes is None:
        sizes = [scene.panel_size(_PANEL_AREA) for scene in scenes.values() if scene is not None]
        width, height = max(sizes, key=lambda each: each[0] / each[1])
        across = min(ncols, len(slices) or len(keys))
        shrink = min(1.0, _WIDEST / (across * width)) if slices else 1.0
        panel = (width * shrink, height * shrink)
        beside = max(legend_width(columns[key], entries.get(key, {}), panel[1]) for key in keys) if legend else 0.0
        if slices:  # of a row one panel alone has a legend, and each key has rows of its own
            axes = new_axes(len(slices), ncols=ncols, size=panel, beside=beside / across, above=0.7, blocks=len(keys))
        else:
            axes = new_axes(len(keys), ncols=ncols, size=panel, beside=beside, above=0.7)
        in_row = min(ncols, len(scenes))
    else:
        in_row = len(scenes)
        stack_from_left(axes)
    explaining = {key: explaining_slice(column, slices, in_row=in_row) for key, column in columns.items()}
    for panel_ax, (key, name), told in zip(axes, panels, titles, strict=True):
        scene, column, rows = scenes[name], columns[key], slices.get(name)
        assert scene is not None  # without a scene there was a problem
        explained = legend and name == explaining[key]
        scene.draw_ground(panel_ax)
        if isinstance(column, pd.Categorical):
            shown = entries[key] if explained else None
            _draw_labels(panel_ax, scene, column, colors[key], rows=rows, alpha=alpha, entries=shown)
        else:
            _draw_values(panel_ax, scene, key, column, rows=rows, alpha=alpha, cmap=cmap, legend=explained)
        _draw.frame(panel_ax, scene.view, title=told)
    for key, column in labels.items():
        keep_colors(table, key, column, colors[key])
    return axes[0] if isinstance(color, str) and not slices else axes


def _titles(title: str | Sequence[str] | None, keys: list[str], slices: list[str], problems: Problems) -> list[str]:
    """Title of each panel, key by key."""
    if title is None and len(keys) == 1 and slices:
        return slices
    told: object = title
    if isinstance(told, Mapping) or not isinstance(told, str | Iterable | None):
        problems.add(f"`title` must be a str, a list of them or None, got {type(told).__name__}.")
        return keys
    given = keys if title is None else [title] if isinstance(title, str) else list(title)
    wrong = [type(words).__name__ for words in given if not isinstance(words, str)]
    if wrong:
        problems.add(f"`title` must be a str, a list of them or None, got a list with {listed(dict.fromkeys(wrong))}.")
        return keys
    if len(given) == len(keys):
        return [f"{words}, {name}" if name and words else words for words in given for name in slices or [""]]
    n_panels = len(keys) * max(len(slices), 1)
    if len(given) != n_panels:
        panels = f" or {n_panels} panels" if slices else ""
        problems.add(f"`title` has {len(given)} entries for {counted(len(keys), 'key', 'keys')}{panels}.")
    return given


def _check_options(problems: Problems, *, alpha: float, scale_bar: bool | float) -> None:
    if alpha != 1 and not is_between(alpha, 0, 1):
        problems.add(f"`alpha` must be in [0, 1], got {alpha}.")
    if not isinstance(scale_bar, bool) and (scale_bar == 0 or not is_between(scale_bar, 0, np.inf)):
        problems.add(f"`scale_bar` must be True, False or micrometres per unit above 0, got {scale_bar}.")


def _draw_labels(
    ax: Axes,
    scene: Scene,
    labels: pd.Categorical,
    colors: list[str],
    *,
    rows: NDArray[np.int64] | None,
    alpha: float,
    entries: Mapping[str, str] | None,
) -> None:
    """Draw domains, of some rows or all, and a legend with these entries for the categories of all."""
    here = labels if rows is None else labels[rows]
    _draw.draw_labels(ax, scene.coordinates, scene.diameter, here, colors, alpha=alpha)
    if entries is not None:
        height = ax.get_window_extent().height / ax.figure.dpi
        shown = {entries.get(name, name): color for name, color in _draw.legend_of(labels, colors).items()}
        _draw.add_legend(ax, shown, rows=rows_beside(height))


def _draw_values(
    ax: Axes,
    scene: Scene,
    key: str,
    values: NDArray[np.float64],
    *,
    rows: NDArray[np.int64] | None,
    alpha: float,
    cmap: str,
    legend: bool,
) -> None:
    here = values if rows is None else values[rows]
    circles = _draw.draw_values(ax, scene.coordinates, scene.diameter, here, alpha=alpha, cmap=cmap)
    if circles is None:
        return
    low, high = _range(values)
    if key.endswith(ClusterKeys("").confidence) and low >= 0 and high <= 1:
        circles.set_clim(0, 1)  # a confidence has one meaning in every picture
    elif rows is not None:
        # One scale for all slices; where all numbers are one, a colour bar would widen that of its own panel alone.
        around = 0.0 if low < high else 0.1 * max(abs(low), 1.0)
        circles.set_clim(low - around, high + around)
    if legend:
        _draw.add_colorbar(ax, circles)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest of the numbers, of which there is one at least; what is not finite is drawn as none."""
    finite = values[np.isfinite(values)]
    return float(finite.min()), float(finite.max())
