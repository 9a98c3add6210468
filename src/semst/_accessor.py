"""``adata.semst``: the functions of semst as methods of the AnnData that they work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData, register_anndata_namespace

from semst._keys import CLUSTER, CONTROL, QUERY, SEMANTICS, SPATIAL

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from semst.asking._questions import Questions
    from semst.model import SemST
    from semst.nn import Convolution, Likelihood
    from semst.pl._colors import Palette
    from semst.pp._pool import Weights
    from semst.pp._semantics_options import Mode
    from semst.semantics import Encoder, Species
    from semst.semantics._user_table import TextSource, VectorSource
    from semst.semantics._vocabulary import VocabularySource
    from semst.training._recipe import Partition, Preset


@register_anndata_namespace("semst")
class SemSTAccessor:
    """The functions of semst, called on the AnnData itself: ``adata.semst.cluster(n_clusters=7)``.

    Methods take the arguments of the functions whose name they bear, but for those that only matter to SpatialData. The
    pictures of queries, descriptions and controls, whose names are taken by what makes them, are in :mod:`semst.pl`.

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
        batch_key: str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        tiles_per_step: int | None = None,
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
            batch_key=batch_key,
            checkpoint=checkpoint,
            tiles_per_step=tiles_per_step,
            key_added=key_added,
            copy=copy,
        )

    def query(
        self,
        queries: Questions,
        *,
        encoder: Encoder | str | os.PathLike[str] | None = None,
        smooth: bool = True,
        n_genes: int = 20,
        n_permutations: int = 999,
        semantics_key: str = SEMANTICS.base,
        layer: str | None = None,
        n_neighbors: int = 6,
        random_state: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        spatial_key: str = SPATIAL.coordinates,
        batch_key: str | None = None,
        key_added: str = QUERY.base,
    ) -> pd.DataFrame:
        """Ask the tissue in words where something is.

        See :func:`semst.tl.query` for the arguments, what is written and returned, and what is raised.
        """
        from semst.tl import query

        return query(
            self._adata,
            queries=queries,
            encoder=encoder,
            smooth=smooth,
            n_genes=n_genes,
            n_permutations=n_permutations,
            semantics_key=semantics_key,
            layer=layer,
            n_neighbors=n_neighbors,
            random_state=random_state,
            cache_dir=cache_dir,
            spatial_key=spatial_key,
            batch_key=batch_key,
            key_added=key_added,
        )

    def describe(
        self,
        *,
        key: str = CLUSTER.base,
        organs: str | Sequence[str] | None = None,
        vocabulary: VocabularySource | None = None,
        fdr: float = 0.05,
        n_permutations: int = 99,
        semantics_key: str = SEMANTICS.base,
        encoder: Encoder | str | os.PathLike[str] | None = None,
        layer: str | None = None,
        random_state: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        batch_key: str | None = None,
    ) -> pd.DataFrame:
        """Name each domain and give an account of it in standard terms.

        See :func:`semst.tl.describe` for the arguments, what is written and returned, and what is raised.
        """
        from semst.tl import describe

        return describe(
            self._adata,
            key=key,
            organs=organs,
            vocabulary=vocabulary,
            fdr=fdr,
            n_permutations=n_permutations,
            semantics_key=semantics_key,
            encoder=encoder,
            layer=layer,
            random_state=random_state,
            cache_dir=cache_dir,
            batch_key=batch_key,
        )

    def semantic_control(
        self,
        *,
        n_clusters: int,
        seeds: int = 3,
        labels: str | None = None,
        semantics_key: str = SEMANTICS.base,
        layer: str | None = None,
        held_out: float = 0.1,
        n_top_genes: int = 3000,
        n_neighbors: int = 6,
        epochs: int | None = None,
        device: str = "auto",
        random_state: int = 0,
        progress: bool = True,
        spatial_key: str = SPATIAL.coordinates,
        batch_key: str | None = None,
        key_added: str = CONTROL.base,
        copy: bool = False,
    ) -> AnnData | None:
        """Test whether the meaning of genes improves the domains of this tissue.

        See :func:`semst.tl.semantic_control` for the arguments, what is written, and what is raised.
        """
        from semst.tl import semantic_control

        return semantic_control(
            self._adata,
            n_clusters=n_clusters,
            seeds=seeds,
            labels=labels,
            semantics_key=semantics_key,
            layer=layer,
            held_out=held_out,
            n_top_genes=n_top_genes,
            n_neighbors=n_neighbors,
            epochs=epochs,
            device=device,
            random_state=random_state,
            progress=progress,
            spatial_key=spatial_key,
            batch_key=batch_key,
            key_added=key_added,
            copy=copy,
        )

    def transfer(
        self,
        model: SemST | str | os.PathLike[str],
        *,
        center: bool = True,
        layer: str | None = None,
        min_coverage: float = 0.1,
        device: str = "auto",
        spatial_key: str = SPATIAL.coordinates,
        batch_key: str | None = None,
        key_added: str = CLUSTER.base,
        copy: bool = False,
    ) -> AnnData | None:
        """Find the domains of a trained model in this tissue, without training.

        See :func:`semst.tl.transfer` for the arguments, what is written, and what is raised.
        """
        from semst.tl import transfer

        return transfer(
            model,
            self._adata,
            center=center,
            layer=layer,
            min_coverage=min_coverage,
            device=device,
            spatial_key=spatial_key,
            batch_key=batch_key,
            key_added=key_added,
            copy=copy,
        )

    def domains(
        self,
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
        spatial_key: str = SPATIAL.coordinates,
        batch_key: str | None = None,
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
            names=names,
            scale_bar=scale_bar,
            ncols=ncols,
            spatial_key=spatial_key,
            batch_key=batch_key,
            ax=ax,
        )

    def modulation(
        self,
        *,
        key: str = CLUSTER.base,
        n_genes: int = 6,
        image: bool | str | Mapping[str, bool | str | None] | None = None,
        size: float | None = None,
        cmap: str = "viridis",
        spatial_key: str = SPATIAL.coordinates,
        batch_key: str | None = None,
        ax: Sequence[Axes] | None = None,
    ) -> list[Axes]:
        """Draw where, how strongly and by which genes meaning modulated the features.

        See :func:`semst.pl.modulation` for the arguments, what is returned, and what is raised.
        """
        from semst.pl import modulation

        return modulation(
            self._adata,
            key=key,
            n_genes=n_genes,
            image=image,
            size=size,
            cmap=cmap,
            spatial_key=spatial_key,
            batch_key=batch_key,
            ax=ax,
        )

    def stability(self, *, key: str = CLUSTER.base, ax: Axes | None = None) -> Axes:
        """Draw how well two halves of the molecules reproduce each number of domains.

        See :func:`semst.pl.stability` for the arguments, what is returned, and what is raised.
        """
        from semst.pl import stability

        return stability(self._adata, key=key, ax=ax)

    def training(self, *, key: str = CLUSTER.base, ax: Axes | None = None) -> Axes:
        """Draw how the loss and each of its terms fell during the training.

        See :func:`semst.pl.training` for the arguments, what is returned, and what is raised.
        """
        from semst.pl import training

        return training(self._adata, key=key, ax=ax)
