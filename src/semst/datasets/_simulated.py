"""Simulated tissue: real gene names, plausible counts, known domains, no network."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from semst._keys import GROUND_TRUTH, IN_LIBRARY, SPATIAL
from semst.datasets._cell_types import CORTEX, TUMOUR
from semst.datasets._expression import Genes, choose_genes, draw_counts, genes_at_hand
from semst.datasets._section import Section, draw_section

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

Layout = Literal["layers", "patches"]
Platform = Literal["visium", "cells"]
Species = Literal["human", "mouse"]

TISSUES = {"layers": CORTEX, "patches": TUMOUR}
DEFAULT_DOMAINS = {"layers": 7, "patches": 6}
DEFAULT_GENES = {"visium": 2000, "cells": 300}
FEWEST_GENES = 20
SPOTS_PER_DOMAIN = 20  # with fewer, a domain has no shape

FULLRES_PIXELS_PER_UM = 1.4
SPOT_DIAMETER_UM = 55.0

HIRES_PIXELS = 2000

WARNING = (
    "Simulated tissue, for trying things out: agreement with ground_truth says nothing about accuracy on real tissue."
)


def simulated(
    *,
    n_spots: int = 3000,
    n_genes: int | None = None,
    n_domains: int | None = None,
    layout: Layout = "layers",
    platform: Platform = "visium",
    species: Species = "human",
    random_state: int = 0,
    progress: bool = True,
) -> AnnData:
    r"""Simulated tissue with known domains and real gene names, for trying things out.

    It is meant for examples, tests and timings. **It is never evidence of accuracy**: the same people wrote the tissue
    and the method, and real tissue is harder in ways that nobody has put into a simulation.

    Parameters
    ----------
    n_spots
        Number of spots or cells, at least 20 a domain; a million is fine. The default is a usual Visium slice.
    n_genes
        Number of genes, 20 to 3000 (2913 for cells: panels have no mitochondrial or ribosomal genes): marker genes of
        the cell types first, then other commonly expressed genes. `None` means 2000 for Visium and 300 for cells.
    n_domains
        Number of domains: 2 to 7 layers or 2 to 8 kinds of patch. `None` means 7 layers or 6 kinds of patch. Fewer
        layers leave out the outermost; fewer kinds of patch, the rarest.
    layout
        ``"layers"``: cerebral cortex, curved layers of uneven thickness above white matter. ``"patches"``: a breast
        tumour, patches of tumour, stroma, immune cells, fat and so on.
    platform
        ``"visium"``: spots of 55 um on the hexagonal array, pitch 100 um, a handful of cells in each; a median of about
        3 000 counts over 2 000 genes. ``"cells"``: single cells of an imaging method about 12 um apart, denser in some
        domains; a median of about 200 counts over 300 genes.
    species
        ``"human"`` (HGNC symbols) or ``"mouse"`` (MGI symbols of the orthologs).
    random_state
        Seed. Equal arguments and versions give equal data; another seed gives another section of the same kind of
        tissue.
    progress
        Whether to show a progress bar when there is much to draw.

    Returns
    -------
    AnnData of shape (n_spots, n_genes), with

    ``X``
        float32 CSR matrix of integer counts; no row is empty.
    ``var_names``, ``var["marker_of"]``
        str: gene symbols in alphabetical order of the human ones; categorical: the cell type that a gene marks, or
        missing.
    ``obs["ground_truth"]``
        Categorical of str: the domain at the spot's centre.
    ``obs["in_tissue"]``, ``obs["array_row"]``, ``obs["array_col"]``
        int64, for Visium: 1 throughout, and the place in the array (78 x 128, larger above 4992 spots).
    ``obs["cell_type"]``
        Categorical of str, for cells.
    ``obsm["spatial"]``
        float64 (n_spots, 2), x and y: pixels of a full-resolution image (1.4 a um) for Visium, um for cells.
    ``uns["spatial"]["simulated"]``
        For Visium: ``scalefactors`` (``spot_diameter_fullres``, ``tissue_hires_scalef``) and no images.
    ``uns["spatial_unit"]``
        "micrometer", for cells.
    ``uns["notes"]``
        dict of str and int: the arguments and a warning.

    Raises
    ------
    TypeError
        A number is no whole number.
    ValueError
        An argument is outside its range or none of the allowed words; all such problems in one message.

    See Also
    --------
    dlpfc : real tissue with labels by experts.

    Notes
    -----
    A spot is a handful of cells (one cell for ``"cells"``). Each cell's type is drawn from the mixture of the domain
    where the cell lies, a little off the spot's centre, so that borders are blurred and single spots are noisy. The
    counts of gene *g* in spot *i* are gamma-Poisson:

    .. math:: x_{ig} \sim \mathrm{Poisson}(d_i \, p_{ig} \, e_{ig}), \quad
              e_{ig} \sim \mathrm{Gamma}(1/\phi, \phi), \quad p_i = \sum_t w_{it} \, q_t

    with the depth :math:`d_i` (log-normal, rising with the number of cells, drifting over the section), the weights
    :math:`w_{it}` of the cell types, their profiles :math:`q_t`, and the dispersion :math:`\phi` (0.15 for Visium, 0.3
    for cells). Mitochondrial and ribosomal counts vary on their own, whatever the domain. Zeros come from depth alone.
    The profiles do not depend on the seed. Memory grows in proportion to `n_spots`.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=500, n_genes=200)
    >>> adata.shape
    (500, 200)
    >>> list(adata.obs["ground_truth"].cat.categories)
    ['Layer1', 'Layer2', 'Layer3', 'Layer4', 'Layer5', 'Layer6', 'WM']
    """
    words = {"layout": layout, "platform": platform, "species": species}
    asked = {"n_genes": n_genes, "n_domains": n_domains}
    numbers = {"n_spots": n_spots, "random_state": random_state}
    numbers |= {name: number for name, number in asked.items() if number is not None}
    _check_types(numbers)
    wrong = _wrong_words(words)
    if not wrong:
        numbers = {"n_genes": DEFAULT_GENES[platform], "n_domains": DEFAULT_DOMAINS[layout]} | numbers
    wrong += _wrong_numbers(numbers, layout=layout, platform=platform)
    if wrong:
        raise ValueError(" ".join(wrong))
    tissue = TISSUES[layout]
    n_genes, n_domains = numbers["n_genes"], numbers["n_domains"]
    names = list(tissue.domains)[-n_domains:] if layout == "layers" else list(tissue.domains)[:n_domains]

    section_rng, count_rng = np.random.default_rng(random_state).spawn(2)
    section = draw_section(section_rng, tissue, names, n_spots=n_spots, layered=layout == "layers", platform=platform)
    genes = choose_genes(tissue.markers, n_genes=n_genes, species=species, panel=platform == "cells")
    counts = draw_counts(count_rng, genes, section.mixture, section.depth, platform=platform, progress=progress)
    return _assemble(
        counts, genes, section, names, list(tissue.markers), notes={**words, **numbers, "warning": WARNING}
    )


def _check_types(numbers: Mapping[str, Any]) -> None:
    wrong_types = [
        f"{name} must be a whole number, got {number!r}."
        for name, number in numbers.items()
        if isinstance(number, bool) or not isinstance(number, Integral)
    ]
    if wrong_types:
        raise TypeError(" ".join(wrong_types))


def _wrong_words(words: Mapping[str, str]) -> list[str]:
    allowed = {"layout": get_args(Layout), "platform": get_args(Platform), "species": get_args(Species)}
    return [
        f"{name} must be one of {', '.join(map(repr, allowed[name]))}; got {word!r}."
        for name, word in words.items()
        if word not in allowed[name]
    ]


def _wrong_numbers(numbers: Mapping[str, int], *, layout: str, platform: str) -> list[str]:
    """Say what is out of range; where the layout is unknown, out of the range of any."""
    layouts = [TISSUES[layout]] if isinstance(layout, str) and layout in TISSUES else list(TISSUES.values())
    most_domains = max(len(tissue.domains) for tissue in layouts)
    most_genes = genes_at_hand(panel=platform == "cells")
    n_domains = numbers.get("n_domains", 2)
    fewest_spots = SPOTS_PER_DOMAIN * min(max(n_domains, 2), most_domains)
    n_spots, n_genes = numbers["n_spots"], numbers.get("n_genes", FEWEST_GENES)
    wrong = []
    if not 2 <= n_domains <= most_domains:
        wrong.append(f"n_domains must be from 2 to {most_domains} in this layout, got {n_domains}.")
    if not FEWEST_GENES <= n_genes <= most_genes:
        wrong.append(f"n_genes must be from {FEWEST_GENES} to {most_genes}, got {n_genes}.")
    if n_spots < fewest_spots:
        wrong.append(f"n_spots must be at least {fewest_spots} ({SPOTS_PER_DOMAIN} a domain), got {n_spots}.")
    if numbers["random_state"] < 0:
        wrong.append(f"random_state must not be negative, got {numbers['random_state']}.")
    return wrong


def _assemble(
    counts: csr_matrix, genes: Genes, section: Section, names: list[str], kinds: list[str], *, notes: dict[str, Any]
) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    var = pd.DataFrame({"marker_of": pd.Categorical(genes.marker_of, categories=kinds)}, index=pd.Index(genes.symbols))
    obs = _observations(section, names, kinds)
    uns: dict[str, Any] = {"notes": {name: int(n) if isinstance(n, Integral) else n for name, n in notes.items()}}
    spatial = section.places
    if section.array is not None:
        spatial = spatial * FULLRES_PIXELS_PER_UM
        # There is no image, but other packages' plots ask for the scale of one: that of the usual 2000 pixels.
        scalefactors = {
            IN_LIBRARY.diameter: SPOT_DIAMETER_UM * FULLRES_PIXELS_PER_UM,
            "tissue_hires_scalef": HIRES_PIXELS / float(spatial.max()),
        }
        uns[SPATIAL.coordinates] = {
            "simulated": {IN_LIBRARY.images: {}, IN_LIBRARY.factors: scalefactors, "metadata": {}}
        }
    else:
        uns[SPATIAL.unit] = "micrometer"
    return AnnData(counts, obs=obs, var=var, obsm={SPATIAL.coordinates: spatial}, uns=uns)


def _observations(section: Section, names: list[str], kinds: list[str]) -> pd.DataFrame:
    import pandas as pd

    n = len(section.places)
    word = "cell" if section.array is None else "spot"
    width = len(str(n - 1))
    columns: dict[str, Any] = {}
    if section.array is not None:
        row, column = section.array
        columns = {"in_tissue": np.ones(n, dtype=np.int64), "array_row": row, "array_col": column}
    columns[GROUND_TRUTH] = pd.Categorical.from_codes(section.domain, categories=pd.Index(names))
    if section.array is None:
        kind = np.asarray(section.mixture.argmax(axis=1))
        columns["cell_type"] = pd.Categorical.from_codes(kind, categories=pd.Index(kinds))
    return pd.DataFrame(columns, index=pd.Index([f"{word}_{i:0{width}d}" for i in range(n)]))
