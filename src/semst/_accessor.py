"""``adata.semst``: the functions of semst as methods of the AnnData that they work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData, register_anndata_namespace

from semst._keys import CLUSTER, SEMANTICS, SPATIAL

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from semst.nn import Convolution, Likelihood
    from semst.pl._colors import Palette
    from semst.pp._compute_semantics import Mode
    from semst.pp._pool import Weights
    from semst.semantics import Encoder, Species
    from semst.semantics._user_table import TextSource, VectorSource
    from semst.tl._partition import Partition
    from semst.tl._recipe import Preset


@register_anndata_namespace("semst")
class SemSTAccessor:
    """The functions of semst, called on the AnnData itself: ``adata.semst.cluster(n_clusters=7)``.

    Methods take the arguments of the functions whose name they bear, but for those that only matter to SpatialData.

    Parameters
    ----------
    adata
        Spots x genes.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
    >>> adata.semst.gene_semantics()
    >>> adata.obsm["gene_semantics"].shape
    (400, 128)
    """

    def __init__(self, adata: AnnData) -> None:
        self._adata = adata

    def gene_semantics(
        self,
        *,
        mode: Mode = "genes",
        vectors: VectorSource | None = None,
        encoder: Encoder | str | os.PathLike[str] | None = None,
        gene_text: TextSource | None = None,
        species: Species | None = None,
        layer: str | None = None,
        weights: Weights = "lognorm",
        n_top: int | None = None,
        min_spots: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
        key_added: str = SEMANTICS.base,
        copy: bool = False,
    ) -> AnnData | None:
        """Give every spot a vector that says what its genes do.

        See :func:`semst.pp.gene_semantics` for the arguments, what is written, and what is raised.
        """
        from semst.pp import gene_semantics

        return gene_semantics(
            self._adata,
            mode=mode,
            vectors=vectors,
            encoder=encoder,
            gene_text=gene_text,
            species=species,
            layer=layer,
            weights=weights,
            n_top=n_top,
            min_spots=min_spots,
            cache_dir=cache_dir,
            progress=progress,
            key_added=key_added,
            copy=copy,
        )

    def cluster(
        self,
        *,
        n_clusters: int | None = None,
        preset: Preset = "default",
        semantics_key: str | None = SEMANTICS.base,
        layer: str | None = None,
        likelihood: Likelihood = "zinb",
        convolution: Convolution = "gcn",
        partition: Partition | None = None,
        refine: bool = False,
        n_top_genes: int = 3000,
        n_neighbors: int = 6,
        epochs: int | None = None,
        device: str = "auto",
        random_state: int = 0,
        progress: bool = True,
        spatial_key: str = SPATIAL.coordinates,
        key_added: str = CLUSTER.base,
        copy: bool = False,
    ) -> AnnData | None:
        """Find the spatial domains of the section.

        See :func:`semst.tl.cluster` for the arguments, what is written, and what is raised.
        """
        from semst.tl import cluster

        return cluster(
            self._adata,
            n_clusters=n_clusters,
            preset=preset,
            semantics_key=semantics_key,
            layer=layer,
            likelihood=likelihood,
            convolution=convolution,
            partition=partition,
            refine=refine,
            n_top_genes=n_top_genes,
            n_neighbors=n_neighbors,
            epochs=epochs,
            device=device,
            random_state=random_state,
            progress=progress,
            spatial_key=spatial_key,
            key_added=key_added,
            copy=copy,
        )

    def domains(
        self,
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
        spatial_key: str = SPATIAL.coordinates,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Axes | list[Axes]:
        """Draw the tissue, each spot or cell in the colour of its domain.

        See :func:`semst.pl.domains` for the arguments, what is returned, and what is raised.
        """
        from semst.pl import domains

        return domains(
            self._adata,
            color=color,
            image=image,
            size=size,
            alpha=alpha,
            palette=palette,
            match=match,
            cmap=cmap,
            title=title,
            legend=legend,
            scale_bar=scale_bar,
            ncols=ncols,
            spatial_key=spatial_key,
            ax=ax,
        )
