"""Every AnnData key that semst reads or writes is spelled here and nowhere else.

So are the entries of its dicts in ``uns`` that another module reads than the one that writes them; what is only written
is spelled where it is written. Entries of ``params`` are called as the arguments are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SemanticsKeys:
    """Where :func:`semst.pp.gene_semantics` leaves its results; all three share one name."""

    base: str = "gene_semantics"

    @property
    def varm(self) -> str:
        """``(n_genes, d)`` float32 gene vectors, rows of zeros where a gene has none."""
        return self.base

    @property
    def obsm(self) -> str:
        """``(n_spots, d)`` float32 spot vectors."""
        return self.base

    @property
    def uns(self) -> str:
        """Dict: ``params``, ``coverage``, ``versions``."""
        return self.base


@dataclass(frozen=True)
class ClusterKeys:
    """Where :func:`semst.tl.cluster` leaves its results, all derived from ``key_added``."""

    base: str = "semst"

    @property
    def obs(self) -> str:
        """Domain labels: categories of str in natural order."""
        return self.base

    @property
    def confidence(self) -> str:
        """``obs`` float32 in [0, 1]: how firmly a spot belongs to its domain."""
        return f"{self.base}_confidence"

    @property
    def obsm(self) -> str:
        """``(n_spots, d)`` float32 latent of the network."""
        return f"X_{self.base}"

    @property
    def colors(self) -> str:
        """``uns`` list of hex colours, one for each category."""
        return f"{self.base}_colors"

    @property
    def uns(self) -> str:
        """Dict: ``params``, ``history``, ``versions``."""
        return self.base

    @property
    def uns_of_latent(self) -> str:
        """Dict: ``params``, ``model``, ``versions`` of a latent that :meth:`semst.SemST.embed` wrote."""
        return self.obsm


@dataclass(frozen=True)
class ModulationKeys:
    """Where :func:`semst.tl.cluster` says what meaning did, all derived from its ``key_added``."""

    base: str = "semst"

    @property
    def alpha(self) -> str:
        """``obs`` float32: size of the factor that FSM gave a spot."""
        return f"{self.base}_alpha"

    @property
    def beta(self) -> str:
        """``obs`` float32: size of the shift that FSM gave a spot."""
        return f"{self.base}_beta"

    @property
    def uns(self) -> str:
        """Entry of ``uns[base]``: means over domains, and the genes behind them; see :class:`ModulationEntries`."""
        return "modulation"


@dataclass(frozen=True)
class QueryKeys:
    """Where :func:`semst.tl.query` leaves its results; each query has a short name of its own."""

    base: str = "query"

    def score(self, name: str) -> str:
        """``obs`` float32: how much more a spot shows of what was asked than of other genes."""
        return f"{self.base}_{name}"

    def p_value(self, name: str) -> str:
        """``obs`` float32 in (0, 1]."""
        return f"{self.base}_{name}_pval"

    @property
    def uns(self) -> str:
        """Dict by name of the query, each with :class:`QueryEntries`, ``params`` and ``versions``."""
        return self.base


@dataclass(frozen=True)
class DescriptionKeys:
    """Where :func:`semst.tl.describe` leaves its results, derived from the key of the domains."""

    base: str = "semst"

    @property
    def uns(self) -> str:
        """Dict: ``names``, ``terms``, ``params``, ``versions``."""
        return f"{self.base}_description"


@dataclass(frozen=True)
class ControlKeys:
    """Where :func:`semst.tl.semantic_control` leaves its results."""

    base: str = "semantic_control"

    @property
    def uns(self) -> str:
        """Dict: ``verdict``, ``answer``, tables ``runs`` and ``differences``, ``params``, ``versions`` and others."""
        return self.base


@dataclass(frozen=True)
class SemanticsEntries:
    """Inside ``uns[SemanticsKeys.uns]``."""

    params: str = "params"  # dict: how the semantics were made
    coverage: str = "coverage"  # dict: which genes have a vector


@dataclass(frozen=True)
class ClusterEntries:
    """Inside ``uns[ClusterKeys.uns]``."""

    params: str = "params"  # dict: arguments of the run
    versions: str = "versions"  # dict: of the packages that made it
    n_clusters: str = "n_clusters"  # int: number of domains; in ``stability`` the numbers that were tried
    history: str = "history"  # dict: terms of the loss by epoch
    model: str = "model"  # dict: where the domains are those of a model, how it was trained
    stability: str = "stability"  # dict: where the number of domains was chosen
    values: str = "values"  # in ``stability``: a row for each number that was tried


@dataclass(frozen=True)
class ModulationEntries:
    """Inside ``uns[ClusterKeys.uns][ModulationKeys.uns]``."""

    domains: str = "domains"  # str, as many as there are rows in what follows
    alpha: str = "alpha"  # mean over each domain; in ``constant`` one number
    beta: str = "beta"  # likewise
    constant: str = "constant"  # dict: what all spots have in common
    genes: str = "genes"  # str, a row for each domain
    influence: str = "influence"  # float32, as ``genes``
    relative_share: str = "relative_share"  # float32, as ``genes``
    why_no_genes: str = "why_no_genes"  # str in place of the last three


@dataclass(frozen=True)
class QueryEntries:
    """Inside ``uns[QueryKeys.uns][name]``."""

    asked: str = "asked"  # str: words, or genes
    order: str = "order"  # int: in which they were asked; files are sorted by name
    called: str = "called"  # str: the name as it was given, or the words
    read_as: str = "read_as"  # str: the terms nearest to the words, none for genes
    nearness: str = "nearness"  # float: cosine of the words with the nearest term, NaN for genes
    p_value: str = "p_value"  # float: of the pattern that the genes have in common
    genes: str = "genes"  # table
    params: str = "params"  # dict: arguments


@dataclass(frozen=True)
class DescriptionEntries:
    """Inside ``uns[DescriptionKeys.uns]``."""

    names: str = "names"  # table: a row for each domain
    terms: str = "terms"  # table: a row for each domain and term


@dataclass(frozen=True)
class ControlEntries:
    """Inside ``uns[ControlKeys.uns]``."""

    runs: str = "runs"  # table
    verdict: str = "verdict"  # str


@dataclass(frozen=True)
class SpatialKeys:
    """The names that squidpy and scanpy gave to places and neighbourhoods."""

    coordinates: str = "spatial"  # obsm, and uns for tissue images
    connectivities: str = "spatial_connectivities"  # obsp
    distances: str = "spatial_distances"  # obsp
    neighbors: str = "spatial_neighbors"  # uns
    unit: str = "spatial_unit"  # uns: unit of the coordinates in words, such as "micrometer"
    attributes: str = "spatialdata_attrs"  # uns of a SpatialData's table: which elements its rows annotate


@dataclass(frozen=True)
class LibraryEntries:
    """Inside ``uns[SpatialKeys.coordinates][library]``, as scanpy leaves it."""

    images: str = "images"  # dict of arrays
    factors: str = "scalefactors"  # dict
    diameter: str = "spot_diameter_fullres"  # in ``factors``: of a spot, in the unit of the coordinates


@dataclass(frozen=True)
class VisiumKeys:
    """The columns of ``obs`` that Visium's software leaves: the place of a spot on the grid, and whether in tissue."""

    row: str = "array_row"
    col: str = "array_col"
    in_tissue: str = "in_tissue"  # 1 or 0


SEMANTICS = SemanticsKeys()
CLUSTER = ClusterKeys()
QUERY = QueryKeys()
DESCRIPTION = DescriptionKeys()
CONTROL = ControlKeys()
SPATIAL = SpatialKeys()
VISIUM = VisiumKeys()
IN_SEMANTICS = SemanticsEntries()
IN_CLUSTER = ClusterEntries()
IN_MODULATION = ModulationEntries()
IN_QUERY = QueryEntries()
IN_DESCRIPTION = DescriptionEntries()
IN_CONTROL = ControlEntries()
IN_LIBRARY = LibraryEntries()
GENE_NAMES = (  # var: where readers leave names of genes when var_names are others
    *("gene_symbols", "gene_symbol", "symbol", "gene_name", "gene_names", "feature_name", "gene_ids", "gene_id"),
)
GROUND_TRUTH = "ground_truth"  # obs: experts' labels in semst.datasets; never read outside datasets, pl and metrics
UNNAMED = "no term fits"  # the name of a domain without one
