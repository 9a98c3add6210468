from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semst._inputs import find_table, is_spatialdata
from semst._keys import CLUSTER, IN_MODULATION, SPATIAL, ModulationKeys
from semst._problems import Problems
from semst.pl import _draw
from semst.pl._axes import given_axes, stack_from_left
from semst.pl._colors import keep_colors
from semst.pl._modulation_genes import draw_genes, n_shown
from semst.pl._palette import oklab
from semst.pl._read_modulation import Modulated, read_modulation
from semst.pl._scene import Scene, check_map_options
from semst.pl._slices import read_scenes, slice_of_colorbar, slices_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

_WHERE = "semst.pl.modulation"
_MAPS = ("factor: size of α", "shift: size of β")
_RELATIVE = "size relative to the features"
_BRIGHTEST = 0.99  # quantile at which a map is brightest: a few spots far above the others would darken all
_ROW = 0.5  # inches for each domain
_CELL = 0.84  # inches for each gene
_KEY = 3.2  # inches that the explanation of the genes is wide
_LIGHT, _DARK = 0.8, 0.42  # lightness in OKLab of the two boxes of a domain


def modulation(
    data: AnnData | SpatialData,
    *,
    key: str = CLUSTER.base,
    n_genes: int = 6,
    image: bool | str | Mapping[str, bool | str | None] | None = None,
    size: float | None = None,
    cmap: str = "viridis",
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    ax: Sequence[Axes] | None = None,
) -> list[Axes]:
    r"""Draw where, how strongly and by which genes meaning modulated the features that domains are drawn from.

    Parameters
    ----------
    data
        What :func:`semst.tl.cluster` was run on, with semantics.
    key
        Its ``key_added``. Domains may have other names by ``cat.rename_categories``, as long as none of their spots is
        gone.
    n_genes
        Genes named for each domain, at least 1; of 20 that are kept, or of those that have a vector.
    image, size
        Tissue image and diameter of a spot, as in :func:`semst.pl.domains`.
    cmap
        Name of the matplotlib colour map of the maps.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    spatial_key
        Key of ``obsm`` with the coordinates, and of ``uns`` with images in the same coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is. With ``batch_key``,
        slices that share none are drawn each in its own.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it: each slice then
        has both maps for itself, on one scale. The default draws all spots in one, with a warning where slices lie over
        each other.
    ax
        Four Axes to draw on, or of several slices as many as slices for :math:`\alpha`, as many for :math:`\beta`, and
        two; the default makes a new figure.

    Returns
    -------
    Four Axes, or with ``batch_key`` as many as ``ax`` would take: a map of the size of :math:`\alpha`, one of
    :math:`\beta`, each from 0 to the 99th hundredth of its values, in colours of its own; boxes of both for each
    domain, in a light and a dark tone of its colour (quartiles around a dot at the median, and whiskers from the 5th to
    the 95th hundredth of its spots); and for each domain the genes (by symbol, where ``var_names`` holds Ensembl ids)
    whose vectors carry the modulation, the strongest first, with the share of it that goes, to first order, when the
    gene's vector becomes the mean gene's. Shares overlap and need not add up to 100 %. Orange genes take a larger part
    in the vectors of the domain than in those of all spots, blue ones a smaller part: their absence is what counts.
    Where the genes cannot be told, the last Axes says why. Written are colours alone, in ``uns["{key}_colors"]``, where
    there are none yet.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If the domains, their modulation, the coordinates, the slices, an image or a coordinate system is not there.
    ValueError
        If an option is out of its range, the coordinates are not finite, a spot has no slice, the domains are not those
        of the modulation, or ``ax`` holds no Axes or another number of them.

    Notes
    -----
    FSM changes feature *j* of spot *i* from :math:`z_{ij}` to :math:`(1 + \alpha_{ij}) z_{ij} + \beta_{ij}`. A factor
    and a shift that are the same for all spots need no meaning, so what is drawn is the deviation from their means over
    spots, :math:`\bar\alpha_j` and :math:`\bar\beta_j`, in units of the features' mean square
    :math:`q_j = n^{-1} \sum_i z_{ij}^2`:

    .. math::

        a_i^2 = \frac{\sum_j (\alpha_{ij} - \bar\alpha_j)^2 q_j}{\sum_j q_j}, \qquad
        b_i^2 = \frac{\sum_j (\beta_{ij} - \bar\beta_j)^2}{\sum_j q_j}, \qquad
        m_i^2 = \frac{\sum_j \left((\alpha_{ij} - \bar\alpha_j) z_{ij} + \beta_{ij} - \bar\beta_j\right)^2}{\sum_j q_j}

    each averaged over the networks of all views. The influence of gene *g* on domain *d* is the share of
    :math:`Q_d = \sum_{i \in d} m_i^2` that goes, to first order, when the vector :math:`e_g` of the gene is replaced by
    zero, which is the mean gene: :math:`I_{dg} = e_g \cdot \partial Q_d / \partial e_g \; / \; Q_d`, through pooling,
    centring and smoothing, with :math:`\bar\alpha, \bar\beta, q, z` and the unit of the semantics held. Shares of
    single genes need not add up to 1, and a negative one is that of a gene that works against the others.

    A large modulation says that the network used its semantics, not that their *meaning* helped: see the how-to page.

    References
    ----------
    Long et al., arXiv:2511.11380 (Fine-grained Semantic Modulation). The measures are ours.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=300, n_genes=200, progress=False)
    >>> semst.tl.cluster(adata, n_clusters=3, epochs=4, progress=False)
    >>> [panel.get_title() for panel in semst.pl.modulation(adata)]
    ['factor: size of α', 'shift: size of β', 'by domain', 'genes behind it']
    """
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    found = read_modulation(table, key, problems, name="sdata" if is_spatialdata(data) else "adata")
    problems.whole("n_genes", n_genes, least=1)
    check_map_options(problems, size=size, cmap=cmap)
    slices = {} if batch_key is None else slices_of(table, batch_key, problems)
    if batch_key is not None and not slices:
        problems.raise_if_any()  # what else is asked for goes by slices
    n_maps = 2 * max(len(slices), 1)
    axes = given_axes(ax, n_maps + 2, problems, of="panels")
    scenes = read_scenes(
        data,
        table,
        slices,
        problems,
        image=image,
        size=size,
        scale_bar=True,
        spatial_key=spatial_key,
        coordinate_system=coordinate_system,
        batch_key=batch_key,
    )
    problems.raise_if_any()
    assert found is not None  # for the type checker: missing is a problem, raised above
    if axes is None:
        axes = _new_axes(list(scenes.values()), len(found.names), n_shown(found, n_genes))
    keys = ModulationKeys(key)
    for first, each, title in ((0, keys.alpha, _MAPS[0]), (n_maps // 2, keys.beta, _MAPS[1])):
        values = table.obs[each].to_numpy(dtype=np.float64)
        _draw_maps(axes[first : first + n_maps // 2], scenes, slices, values, title=title, cmap=cmap)
    stack_from_left(axes[:n_maps])
    keep_colors(table, key, found.labels, found.assigned)
    _draw_boxes(axes[-2], found)
    draw_genes(axes[-1], found, n_genes)
    return axes


def _draw_maps(
    axes: Sequence[Axes],
    scenes: Mapping[str, Scene | None],
    slices: Mapping[str, NDArray[np.int64]],
    values: NDArray[np.float64],
    *,
    title: str,
    cmap: str,
) -> None:
    """Draw sizes ``(n,)`` in the slices, on one scale from 0 and with one colour bar."""
    sizes = values[np.isfinite(values)]
    brightest = max(float(np.quantile(sizes, _BRIGHTEST)), 1e-12) if sizes.size else 1.0
    explained = slice_of_colorbar(values, slices, in_row=len(axes))
    for ax, (name, scene) in zip(axes, scenes.items(), strict=True):
        assert scene is not None  # without a scene there was a problem
        here = values[slices[name]] if slices else values
        scene.draw_ground(ax)
        circles = _draw.draw_values(ax, scene.coordinates, scene.diameter, here, alpha=1.0, cmap=cmap)
        if circles is not None:
            circles.set_clim(0, brightest)
            if name == explained:
                _draw.add_colorbar(ax, circles).set_label(_RELATIVE, fontsize="small")
        _draw.frame(ax, scene.view, title=f"{title}, {name}" if name else title)


def _new_axes(scenes: Sequence[Scene | None], n_domains: int, n_genes: int) -> list[Axes]:
    """Two maps, above each other or side by side as the tissue is wide or tall, beside boxes and genes.

    Of several slices a row of maps above another.
    """
    import matplotlib.pyplot as plt

    spans = [np.maximum(np.ptp(scene.coordinates, axis=0), 1e-9) for scene in scenes if scene is not None]
    across, down = max(spans, key=lambda span: span[0] / span[1])
    wide = len(scenes) > 1 or across >= 0.8 * down
    height = max(_ROW * n_domains + 1.6, 6.4 if wide else 4.8)
    tall = (height - 1.2) / 2 if wide else height - 1.0
    width = float(np.clip(tall * across / down, 1.4, 5.5)) + 1.1
    boxes, genes = 2.8, max(_CELL * n_genes, _KEY) + 0.4
    n_rows, n_columns = (2, len(scenes)) if wide else (1, 2)
    figure = plt.figure(figsize=(n_columns * width + boxes + genes, height), layout="constrained")
    grid = figure.add_gridspec(n_rows, n_columns + 2, width_ratios=[*[width] * n_columns, boxes, genes])
    maps = [grid[row, column] for row in range(n_rows) for column in range(n_columns)]
    return [figure.add_subplot(place) for place in [*maps, grid[:, -2], grid[:, -1]]]


def _draw_boxes(ax: Axes, found: Modulated) -> None:
    """Two boxes for each domain in tones that are told apart however narrow the boxes are: light for the factor."""
    from matplotlib.patches import Patch

    for place, color in enumerate(found.colors):
        for values, shift, lightness in ((found.alpha[place], -0.2, _LIGHT), (found.beta[place], 0.2, _DARK)):
            tone, other = _tone(color, lightness), _tone(color, _LIGHT + _DARK - lightness)
            _draw_box(ax, values[np.isfinite(values)], place + shift, color=tone, inside=other)
    ax.set_yticks(range(len(found.names)), found.names)
    ax.set_ylim(len(found.names) - 0.4, -0.6)
    ax.autoscale_view(scaley=False)
    ax.set_xlim(left=0)
    common = found.stored[IN_MODULATION.constant]
    alpha, beta = float(common[IN_MODULATION.alpha]), float(common[IN_MODULATION.beta])
    ax.set_xlabel(
        f"{_RELATIVE}\n(beyond what all spots have\nin common: α {alpha:.2g}, β {beta:.2g})",
        fontsize="small",
    )
    marks = [Patch(color=_tone("0.5", lightness), linewidth=0) for lightness in (_LIGHT, _DARK)]
    told = ["α, above (light)", "β, below (dark)"]
    ax.legend(marks, told, frameon=False, fontsize="small", handlelength=1.2, loc="best")
    ax.set_title("by domain")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _tone(color: str, lightness: float) -> str:
    """Mix a colour with white or black until it has this lightness in OKLab."""
    from matplotlib.colors import to_hex, to_rgb

    own = oklab([color])[0, 0]
    end = 1.0 if own < lightness else 0.0
    shares = np.linspace(0, 1, 101)[:, None]
    mixed = [to_hex(each) for each in (1 - shares) * to_rgb(color) + shares * end]
    return mixed[int(np.abs(oklab(mixed)[:, 0] - lightness).argmin())]


def _draw_box(ax: Axes, values: NDArray[np.float64], y: float, *, color: str, inside: str) -> None:
    from matplotlib.patches import Rectangle

    if values.size == 0:
        return
    low, first, median, third, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    ax.hlines([y, y], [low, third], [first, high], color=color, linewidth=1.6)
    ax.add_patch(Rectangle((first, y - 0.15), third - first, 0.3, facecolor=color, edgecolor=color, linewidth=1.4))
    ax.plot(median, y, "o", color=inside, markersize=4)  # a line would hide a box that is no wider
    ax.update_datalim([(low, y), (high, y)])
