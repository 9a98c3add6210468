from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._evidence import ABSENT, is_far, pattern_words
from semst._inputs import find_table, is_spatialdata
from semst._keys import IN_QUERY, QUERY, SPATIAL, QueryKeys
from semst._problems import Problems, listed
from semst.pl import _draw
from semst.pl._axes import given_axes, new_axes
from semst.pl._scene import Scene, check_map_options
from semst.pl._slices import read_scenes, slices_of
from semst.semantics._shown import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from spatialdata import SpatialData

logger = logging.getLogger("semst")

_WHERE = "semst.pl.query"
_LEAST_LIMIT = 3.0  # of the scale: what genes drawn at random give now and then must look pale
_PANEL_AREA = 9.0  # square inches
_WORDS, _GENES = 12.0, 15.0  # letters per inch, of their types
_LINE = 0.19  # inches
_PALE = 0.35  # opacity of a map with no pattern, or whose words are far from biology
_INK, _PALE_INK = "black", "0.4"


def query(
    data: AnnData | SpatialData,
    *,
    names: str | Sequence[str] | None = None,
    key: str = QUERY.base,
    n_genes: int = 4,
    cmap: str = "coolwarm",
    image: bool | str | Mapping[str, bool | str | None] | None = None,
    size: float | None = None,
    ncols: int = 4,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw where the tissue shows what was asked: a map for each query, side by side on one scale.

    Parameters
    ----------
    data
        What :func:`semst.tl.query` was run on.
    names
        One query or several: their short names, or the words as they were asked. The default draws all there are.
    key
        ``key_added`` of :func:`semst.tl.query`.
    n_genes
        Genes named above each map, those that carry most of it, at least 0.
    cmap
        Name of the matplotlib colour map; its middle stands for 0, which is what genes drawn at random give.
    image, size
        Tissue image and diameter of a spot, as in :func:`semst.pl.domains`.
    ncols
        Maps per row, at least 1. With ``batch_key`` each query begins a row.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    spatial_key
        Key of ``obsm`` with the coordinates, and of ``uns`` with images in the same coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is. With ``batch_key``,
        slices that share none are drawn each in its own.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.query` takes it. Each slice then has
        a panel of its own: a column for each slice and a row for each query, whose words stand above the first. The
        default draws all spots in one panel, with a warning where slices lie over each other.
    ax
        Axes to draw on, as many as queries, times slices with ``batch_key``. The default makes a new figure.

    Returns
    -------
    List of the Axes. Above each map stand the words (or the name, for a set of genes), the genes that carry it (by
    symbol, where ``var_names`` holds Ensembl ids), and the p-value of the pattern that its genes share: by itself up to
    0.05, called weak up to 0.2, and "no pattern beyond chance" above. A map without a pattern is pale, and so is one
    whose words are far from all biology that semst knows (``nearness`` below 0.45 in ``uns``), which then names the
    nearest term. Nothing is written.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If a query, its scores, the coordinates, the slices, an image or a coordinate system is not there.
    ValueError
        If an option is out of range, the coordinates are not finite, the table does not match its element, or a spot
        has no slice; if ``image`` is a mapping and there is no ``batch_key``; if ``ax`` holds no Axes or another number
        of them.

    Notes
    -----
    The scale is symmetric about 0 and the same for all maps: it ends at the 99th hundredth of the absolute scores of
    all spots, at 3 standard deviations at least, and spots beyond it have its last colour. Pale maps have no say in it,
    unless all are pale: nonsense may score high.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
    >>> genes = semst.tl.query(adata, ["myelin sheath of oligodendrocytes", "T cells"])
    >>> [ax.get_title() for ax in semst.pl.query(adata, names="T cells")]
    ['T cells']
    >>> len(semst.pl.query(adata))
    2
    """
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    problems.whole("n_genes", n_genes, least=0)
    called = "sdata" if is_spatialdata(data) else "adata"
    maps = _read(table, names, key, problems, name=called)
    check_map_options(problems, size=size, cmap=cmap)
    problems.whole("`ncols`", ncols, least=1)
    slices = {} if batch_key is None else slices_of(table, batch_key, problems)
    if batch_key is not None and not slices:
        problems.raise_if_any()  # what else is asked for goes by slices
    panels = [(each, name) for each in maps for name in slices or [""]]
    of = "panels, one for each query and slice" if slices else "queries"
    axes = given_axes(ax, len(panels), problems, of=of) if maps else None
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
    _warn_of_different_slices(maps)
    in_row = len(slices) if len(slices) > 1 else len(maps)
    if axes is None:
        axes = _new_axes(scenes, maps, n_genes=n_genes, ncols=ncols, in_row=in_row)
        in_row = min(ncols, in_row)
    limit = _limit(maps)
    for panel, (each, name) in zip(axes, panels, strict=True):
        scene = scenes[name]
        assert scene is not None  # without a scene there was a problem
        _draw_map(panel, scene, each, rows=slices.get(name), cmap=cmap, limit=limit)
        _write_heading(panel, each, name, n_genes=n_genes, first=not slices or name == next(iter(slices)))
    _explain(axes[in_row - 1], maps, cmap=cmap, limit=limit)
    return axes


@dataclass(frozen=True)
class _Map:
    """A query as it is drawn: ``scores`` ``(n,)``, the first genes first, ``far_from`` the nearest term if far."""

    words: str
    genes: tuple[str, ...]
    p_value: float
    far_from: str
    scores: NDArray[np.float64]
    batch_key: str | None  # that it was asked with

    @property
    def readable(self) -> bool:
        """Whether its genes have more of a pattern in common than chance, and its words are of biology."""
        # The p-value is NaN for a single gene, which has nothing to share.
        return not (self.p_value > ABSENT or self.far_from)

    @property
    def verdict(self) -> list[str]:
        """What is to be known before the map is read."""
        far = ["far from known biology", f"(nearest: {self.far_from})"] if self.far_from else []
        return [words for words in (*far, pattern_words(self.p_value)) if words]


def _read(table: AnnData, names: str | Sequence[str] | None, key: str, problems: Problems, *, name: str) -> list[_Map]:
    keys = QueryKeys(key)
    stored: Any = table.uns.get(keys.uns)
    if not hasattr(stored, "keys") or not all(hasattr(each, "keys") for each in stored.values()) or not len(stored):
        problems.missing(
            f"no queries in uns[{keys.uns!r}]; uns has {listed(table.uns)}. "
            f'They are left by `semst.tl.query({name}, "words")`.'
        )
        return []
    given: object = names
    if not isinstance(given, str | Iterable | None):
        problems.add(f"`names` must be a query, several or None for all, got {given!r}; there is {listed(stored)}.")
        return []
    asked = sorted(stored, key=lambda each: int(stored[each].get(IN_QUERY.order, 0)))  # files are sorted by name
    wanted = asked if names is None else [names] if isinstance(names, str) else list(names)
    if not wanted:
        problems.add("`names` names no query.")
    maps = []
    for each in wanted:
        found = _find(str(each), stored)
        if found is None:
            problems.missing(
                f"no query {each!r} in uns[{keys.uns!r}]; there is {listed(stored)}. "
                f"Ask it with `semst.tl.query({name}, {each!r})`."
            )
        elif keys.score(found) not in table.obs:
            problems.missing(
                f"obs[{keys.score(found)!r}] is missing, with the scores of the query {found!r}; "
                f"ask it again with `semst.tl.query`."
            )
        else:
            entry = stored[found]
            # Of genes the name that somebody gave them says more than their list, which may be long.
            words = str(entry[IN_QUERY.asked]) if len(entry[IN_QUERY.read_as]) else _called(entry, found)
            scores = table.obs[keys.score(found)].to_numpy(dtype=np.float64, na_value=np.nan)
            far = is_far(float(entry.get(IN_QUERY.nearness, np.nan)))  # files of earlier versions do not tell
            maps.append(
                _Map(
                    words=words,
                    genes=tuple(shown(entry[IN_QUERY.genes]["gene"])),
                    p_value=float(entry[IN_QUERY.p_value]),
                    far_from=str(entry[IN_QUERY.read_as][0]) if far else "",
                    scores=scores,
                    batch_key=dict(entry.get(IN_QUERY.params, {})).get("batch_key"),
                )
            )
    return maps


def _warn_of_different_slices(maps: Sequence[_Map]) -> None:
    """Say where scores stand on one scale that are relative to different spots."""
    by_key = {each.batch_key: each.words for each in maps}
    if len(by_key) > 1:
        told = " and ".join(
            f"{words!r} {'without batch_key' if key is None else f'with batch_key={key!r}'}"
            for key, words in by_key.items()
        )
        logger.warning("query: %s were asked of different slices; ask them in the same way to compare them.", told)


def _called(entry: Mapping[str, Any], name: str) -> str:
    """Name of a set of genes as the user wrote it, which files of earlier versions do not tell."""
    return str(entry.get(IN_QUERY.called, name.replace("_", " ")))


def _find(asked: str, stored: Mapping[str, Any]) -> str | None:
    """Name of a query, from its name or from what was asked."""
    if asked in stored:
        return asked
    for name, entry in stored.items():
        if _bare(asked) in {_bare(name), _bare(str(entry[IN_QUERY.asked])), _bare(_called(entry, name))}:
            return name
    return None


def _bare(text: str) -> str:
    """Letters and digits, which is what the name of a query keeps of its words."""
    return " ".join(re.findall("[a-z0-9]+", text.lower()))


def _limit(maps: Sequence[_Map]) -> float:
    """End of the common scale."""
    telling = [each.scores for each in maps if each.readable] or [each.scores for each in maps]
    scores = np.abs(np.concatenate(telling))
    scores = scores[np.isfinite(scores)]
    return max(_LEAST_LIMIT, float(np.quantile(scores, 0.99))) if scores.size else _LEAST_LIMIT


def _heading(each: _Map, n_genes: int, width: float) -> tuple[list[str], list[str], list[str]]:
    """Lines of the words, of the genes and of the verdict for a map of this width in inches."""
    small = max(12, int(width * _GENES))
    genes = textwrap.wrap(", ".join(each.genes[:n_genes]), small)
    verdict = [line for words in each.verdict for line in textwrap.wrap(words, small)]
    return textwrap.wrap(each.words, max(12, int(width * _WORDS))), genes, verdict


def _new_axes(
    scenes: Mapping[str, Scene | None], maps: Sequence[_Map], *, n_genes: int, ncols: int, in_row: int
) -> list[Axes]:
    """Make a row of maps, or of several slices a row for each query."""
    sizes = [scene.panel_size(_PANEL_AREA) for scene in scenes.values() if scene is not None]
    size = max(sizes, key=lambda each: each[0] / each[1])
    lines = max(sum(map(len, _heading(each, n_genes, size[0]))) for each in maps) + any(scenes)  # and the slice
    beside, above = 0.9 / min(ncols, in_row), 0.4 + _LINE * lines
    blocks = len(maps) * len(scenes) // in_row
    return new_axes(in_row, ncols=ncols, size=size, beside=beside, above=above, blocks=blocks)


def _draw_map(ax: Axes, scene: Scene, each: _Map, *, rows: NDArray[np.int64] | None, cmap: str, limit: float) -> None:
    scene.draw_ground(ax)
    alpha = 1.0 if each.readable else _PALE
    scores = each.scores if rows is None else each.scores[rows]
    circles = _draw.draw_values(ax, scene.coordinates, scene.diameter, scores, alpha=alpha, cmap=cmap)
    if circles is not None:
        circles.set_clim(-limit, limit)
    _draw.frame(ax, scene.view, title="")


def _write_heading(ax: Axes, each: _Map, name: str, *, n_genes: int, first: bool) -> None:
    """Write above a map its words, genes and verdict, and the slice, where there are several: of those all the rest."""
    below = [name] if name else []
    _write_above(ax, below, lift=4, color=_INK, style="normal", gid="slice")
    if not first:
        return
    ink = _INK if each.readable else _PALE_INK
    words, genes, verdict = _heading(each, n_genes, ax.get_window_extent().width / ax.figure.dpi)
    line = 72 * 0.9 * _LINE  # points, of the small type
    lift = 4 + line * len(below)
    _write_above(ax, verdict, lift=lift, color=_PALE_INK, style="normal", gid="verdict")
    lift += line * len(verdict)
    _write_above(ax, genes, lift=lift, color=ink, style="italic", gid="genes")
    pad = 1 + lift + line * len(genes)
    ax.set_title("\n".join(words), fontsize="medium", fontweight="bold", color=ink, pad=pad)


def _write_above(ax: Axes, lines: list[str], *, lift: float, color: str, style: str, gid: str) -> None:
    """Write small lines over the tissue, ``lift`` points above its frame."""
    ax.annotate(
        "\n".join(lines),
        (0.5, 1),
        xycoords="axes fraction",
        xytext=(0, lift),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="bottom",
        fontsize="small",
        fontstyle=style,
        color=color,
        annotation_clip=False,
        gid=gid,
    )


def _explain(ax: Axes, maps: Sequence[_Map], *, cmap: str, limit: float) -> None:
    """Draw the one colour bar of all maps beside these Axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scores = np.concatenate([each.scores for each in maps])
    below, above = bool((scores < -limit).any()), bool((scores > limit).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    scale = ScalarMappable(Normalize(-limit, limit), cmap=cmap)
    _draw.add_colorbar(ax, scale, label="score (SD of random genes)", extend=extend[below, above])
