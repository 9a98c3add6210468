from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._inputs import find_table, is_spatialdata, read_coordinates
from semst._keys import CLUSTER, IN_MODULATION, SPATIAL, ModulationKeys
from semst._problems import Problems, listed
from semst.pl._colors import as_labels, assign_colors, keep_colors, reading_order
from semst.pl._domains import domains
from semst.pl._palette import PALETTE, oklab
from semst.pl._slices import numbers_of, slices_of
from semst.semantics._shown import shown

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
_MORE, _LESS = PALETTE[4], PALETTE[0]  # of a gene than elsewhere


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
        Its ``key_added``.
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
        If an option is out of its range, the coordinates are not finite, a spot has no slice, or the domains are not
        those of the modulation.

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
    name = "sdata" if is_spatialdata(data) else "adata"
    found = _read(table, key, problems, name=name)
    problems.whole("n_genes", n_genes, least=1)
    slices = {} if batch_key is None else slices_of(table, batch_key, problems)
    numbers = numbers_of(slices, table.n_obs) if slices else None
    coordinates = read_coordinates(
        data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system, slices=numbers
    )
    axes = None if ax is None else list(np.ravel(np.asarray(ax, dtype=object)))
    n_maps = 2 * max(len(slices), 1)
    if axes is not None and len(axes) != n_maps + 2:
        problems.add(f"`ax` must hold {n_maps + 2} Axes, got {len(axes)}.")
    problems.raise_if_any()
    assert found is not None  # for the type checker: missing is a problem, raised above
    assert coordinates is not None
    if axes is None:
        places = [coordinates[rows] for rows in slices.values()] or [coordinates]
        axes = _new_axes(places, len(found.names), n_genes)
    keys = ModulationKeys(key)
    maps = domains(
        data,
        color=[keys.alpha, keys.beta],
        title=_MAPS,
        image=image,
        size=size,
        cmap=cmap,
        table_key=table_key,
        spatial_key=spatial_key,
        coordinate_system=coordinate_system,
        batch_key=batch_key if slices else None,
        ax=axes[:n_maps],
    )
    drawn = np.ravel(np.asarray(maps, dtype=object)).reshape(2, -1)
    for panels, each in zip(drawn, (keys.alpha, keys.beta), strict=True):
        values = table.obs[each].to_numpy(dtype=np.float64)
        brightest = max(float(np.nanquantile(values, _BRIGHTEST)), 1e-12)
        for panel in panels:
            for circles in panel.collections:
                if circles.get_gid() == "values":
                    circles.set_clim(0, brightest)
                    if circles.colorbar is not None:
                        circles.colorbar.set_label(_RELATIVE, fontsize="small")
    keep_colors(table, key, found.labels, found.assigned)
    _draw_boxes(axes[-2], found)
    _draw_genes(axes[-1], found, n_genes)
    return axes


@dataclass(frozen=True)
class _Found:
    """What is drawn for each domain, in the order of the legend of :func:`semst.pl.domains`."""

    labels: pd.Categorical  # with ``assigned`` for its categories; the rest for the names
    assigned: list[str]
    names: list[str]
    colors: list[str]
    alpha: list[NDArray[np.float64]]
    beta: list[NDArray[np.float64]]
    rows: list[int]  # of the arrays in uns
    stored: Mapping[str, Any]


def _read(table: AnnData, key: str, problems: Problems, *, name: str) -> _Found | None:
    keys = ModulationKeys(key)
    written: Any = table.uns.get(key)
    stored: Any = written.get(keys.uns) if hasattr(written, "get") else None
    missing = [f"obs[{each!r}]" for each in (key, keys.alpha, keys.beta) if each not in table.obs]
    if stored is None:
        missing.append(f"uns[{key!r}][{keys.uns!r}]")
    if missing:
        problems.missing(
            f"no {' and no '.join(missing)}; uns has {listed(table.uns)}. They are left by "
            f"`semst.tl.cluster({name}, n_clusters=...)`, unless it is told to do without semantics or has more than "
            f"10 000 spots, and taken away by later domains under the same key; this table has {table.n_obs}."
        )
        return None
    column = table.obs[key]
    labels = as_labels(column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype(str))
    assert labels is not None  # for the type checker: text is never numbers
    told = [str(domain) for domain in stored[IN_MODULATION.domains]]
    categories = [str(category) for category in labels.categories]
    if not set(categories) <= set(told) and len(categories) != len(told):
        problems.add(
            f"obs[{key!r}] has the domains {listed(categories)}, but its modulation is that of {listed(told)}; "
            f"run `semst.tl.cluster` again, or write other labels under another key."
        )
        return None
    assigned = assign_colors(table, {key: labels}, palette=None, match=False)[key]
    colors = dict(zip(categories, assigned, strict=True))
    # Domains that were renamed keep their order, as colours do.
    place = {domain: row for row, domain in enumerate(told if set(categories) <= set(told) else categories)}
    names = reading_order(labels)
    values = {each: table.obs[each].to_numpy(dtype=np.float64) for each in (keys.alpha, keys.beta)}
    inside = [np.asarray(labels == domain) for domain in names]
    return _Found(
        labels,
        assigned,
        names,
        [colors[domain] for domain in names],
        [values[keys.alpha][spots] for spots in inside],
        [values[keys.beta][spots] for spots in inside],
        [place[domain] for domain in names],
        stored,
    )


def _new_axes(places: Sequence[NDArray[np.float64]], n_domains: int, n_genes: int) -> list[Axes]:
    """Two maps, above each other or side by side as the tissue is wide or tall, beside boxes and genes.

    Of several slices, whose ``places`` these are, a row of maps above another.
    """
    import matplotlib.pyplot as plt

    spans = [np.maximum(np.ptp(each, axis=0), 1e-9) for each in places]
    across, down = max(spans, key=lambda span: span[0] / span[1])
    wide = len(places) > 1 or across >= 0.8 * down
    height = max(_ROW * n_domains + 1.6, 6.4 if wide else 4.8)
    tall = (height - 1.2) / 2 if wide else height - 1.0
    width = float(np.clip(tall * across / down, 1.4, 5.5)) + 1.1
    boxes, genes = 2.8, max(_CELL * n_genes, _KEY) + 0.4
    n_rows, n_columns = (2, len(places)) if wide else (1, 2)
    figure = plt.figure(figsize=(n_columns * width + boxes + genes, height), layout="constrained")
    grid = figure.add_gridspec(n_rows, n_columns + 2, width_ratios=[*[width] * n_columns, boxes, genes])
    maps = [grid[row, column] for row in range(n_rows) for column in range(n_columns)]
    return [figure.add_subplot(place) for place in [*maps, grid[:, -2], grid[:, -1]]]


def _draw_boxes(ax: Axes, found: _Found) -> None:
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


def _draw_genes(ax: Axes, found: _Found, n_genes: int) -> None:
    """Name genes in cells, the deeper in colour the more goes with them."""
    ax.set_title("genes behind it")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if IN_MODULATION.genes not in found.stored:
        reason = str(found.stored.get(IN_MODULATION.why_no_genes, "no genes are stored"))
        ax.text(0.5, 0.5, f"Genes cannot be told:\n{reason}.", wrap=True, **_middle(), transform=ax.transAxes)
        return
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch, Rectangle

    stored = (IN_MODULATION.genes, IN_MODULATION.influence, IN_MODULATION.relative_share)
    genes, influence, share = (np.asarray(found.stored[each]) for each in stored)
    n_shown = min(n_genes, genes.shape[1])
    strongest = max(float(np.abs(influence[found.rows, :n_shown]).max(initial=0)), 1e-12)
    scales = [LinearSegmentedColormap.from_list("", ["white", color]) for color in (_LESS, _MORE)]
    for place, row in enumerate(found.rows):
        named = shown(genes[row, :n_shown])
        for number in range(n_shown):
            told = float(influence[row, number])
            fill = scales[int(share[row, number] >= 1)](0.06 + 0.94 * abs(told) / strongest)
            ink = "white" if np.dot(fill[:3], (0.299, 0.587, 0.114)) < 0.5 else "black"
            ax.add_patch(Rectangle((number + 0.03, place - 0.44), 0.94, 0.88, facecolor=fill, linewidth=0))
            label = ax.text(number + 0.5, place - 0.13, named[number], **_middle(), color=ink)
            label.set_fontsize(float(np.clip(76 / max(len(label.get_text()), 1), 5.5, 9.0)))
            percent = _percent(told)
            ax.text(number + 0.5, place + 0.22, percent, **_middle(), color=ink, fontsize="x-small")
    ax.set_xlim(0, n_shown)
    ax.set_ylim(len(found.names) - 0.4, -0.6)
    ax.legend(
        [Patch(facecolor=_MORE), Patch(facecolor=_LESS)],
        ["more of the gene here than elsewhere", "less of it"],
        title="share of the modulation that goes, to first order,\nwhen the gene's vector becomes the mean gene's;\n"
        "shares overlap and need not add up to 100 %",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=2,
        frameon=False,
        fontsize="small",
        title_fontsize="small",
        handlelength=1.0,
    )


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:{'.0f' if abs(percent) >= 10 else '.2g'}} %".replace("-", "−")


def _middle() -> dict[str, Any]:
    return {"horizontalalignment": "center", "verticalalignment": "center"}
