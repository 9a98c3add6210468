"""Counts -> what the network reads: spatially variable genes, variance-stabilised, as principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from semst._sample import is_large, sample
from semst._slices import WithinSlices, centred, slice_means

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.decomposition import PCA

Transform = Literal["log", "log10k", "sqrt", "scaled", "none"]

_CLIP = 10.0  # standard deviations; a gene seen in a handful of spots would else be all that is seen there
_NARROW = 1000  # genes; of so few the covariance matrix is small, and its eigenvectors are all that is sought
_FEW_SPOTS = 100
_PRECISE = 1e-2  # of ARPACK: components of whole tissue stay what they are to three digits, in nine tenths of the time
_ROUNDING = 1e-9  # share of a gene's mean square that is no variance but rounding
_MIN_SPOTS = 3  # a gene seen in fewer spots has no pattern to speak of


def library_size(counts: sparse.csr_matrix, transform: Transform) -> float:
    """Give the library size that spots are scaled to, see :func:`stabilise`."""
    if transform == "log10k":
        return 1e4
    return float(np.median(np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()))


def stabilise(
    counts: sparse.csr_matrix,
    transform: Transform,
    *,
    depth: float | None = None,
    deviation: NDArray[np.float64] | None = None,
) -> sparse.csr_matrix:
    r"""Scale each spot to the same library size and even out the variance of small and large counts.

    .. math::

        \log(1 + x) \quad\text{or}\quad \sqrt{x}, \qquad x_{ij} = c_{ij} \, \frac{s}{l_i},
        \quad l_i = \sum_j c_{ij}

    Parameters
    ----------
    counts
        ``(n_spots, n_genes)`` float32 CSR.
    transform
        ``"log"`` and ``"sqrt"`` at :math:`s = \mathrm{median}(l)`; ``"log10k"``: the logarithm at :math:`s = 10^4`,
        where small counts weigh more; ``"scaled"``: ``"log"`` with each gene divided by its standard deviation,
        clipped at 10, where genes of low expression weigh as much as others; ``"none"`` for values that are
        normalised already.
    depth
        :math:`s`; the default computes it from these spots.
    deviation
        ``(n_genes,)`` for ``"scaled"``: the standard deviations; the default computes them from these spots.

    Returns
    -------
    ``(n_spots, n_genes)`` float32 CSR, zeros where the counts are zero.

    References
    ----------
    Ahlmann-Eltze & Huber, *Nature Methods* 20, 2023: logarithm and square root hold up against all others.
    """
    if transform == "none":
        return counts
    library = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    depth = library_size(counts, transform) if depth is None else depth
    library[library == 0] = 1  # a spot without counts stays one
    # Entry by entry: a product with a diagonal matrix does the same ten times slower.
    scaled = (counts.data * np.repeat(depth / library, np.diff(counts.indptr))).astype(np.float32)
    scaled = np.sqrt(scaled) if transform == "sqrt" else np.log1p(scaled)
    values = sparse.csr_matrix((scaled, counts.indices, counts.indptr), shape=counts.shape)
    result: sparse.csr_matrix = unit_variance(values, deviation) if transform == "scaled" else values
    return result


def deviations(values: sparse.csr_matrix) -> NDArray[np.float64]:
    """Standard deviation of each gene, 1 where it does not vary."""
    deviation = moments(values)[1]
    return np.where(deviation > 0, deviation, 1)


def moments(
    values: sparse.csr_matrix, slices: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column, 0 where it does not vary: what is left is no more than rounding.

    With ``slices`` ``(n,)`` the deviation is that from the mean of each row's own slice.
    """
    n = values.shape[0]
    exact = np.square(values.data, dtype=np.float64)
    squares = sparse.csr_matrix((exact, values.indices, values.indptr), shape=values.shape)
    mean, square = (np.asarray(each.T @ np.ones(n)) / n for each in (values, squares))
    variance = square - mean**2
    if slices is not None:
        sizes = np.bincount(slices)
        variance = square - sizes @ np.square(slice_means(values, slices)) / n
    return mean, np.sqrt(np.where(variance > _ROUNDING * square, variance, 0))


def unit_variance(values: sparse.csr_matrix, deviation: NDArray[np.float64] | None = None) -> sparse.csr_matrix:
    """Divide each gene by its standard deviation, at most 10 of them, without centring: zeros stay zeros."""
    deviation = deviations(values) if deviation is None else deviation
    scaled: Any = sparse.csr_matrix(values @ sparse.diags(1 / deviation), dtype=np.float32)
    scaled.data = np.minimum(scaled.data, _CLIP)
    result: sparse.csr_matrix = scaled
    return result


def morans_i(
    values: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    *,
    slices: NDArray[np.int64] | None = None,
    chunk: int = 1000,
) -> NDArray[np.float64]:
    r"""Spatial autocorrelation of each gene.

    .. math::

        I_j = \frac{n}{\sum_{ik} w_{ik}} \frac{\sum_{ik} w_{ik} \tilde x_{ij} \tilde x_{kj}}{\sum_i \tilde x_{ij}^2},
        \qquad \tilde x_{ij} = x_{ij} - \bar x_j

    with :math:`w` the graph's rows normalised to sum 1.

    Parameters
    ----------
    values
        ``(n_spots, n_genes)`` CSR.
    graph
        ``(n_spots, n_spots)`` CSR without self loops.
    slices
        ``(n_spots,)`` number of each spot's slice, from 0: :math:`\bar x_j` is then the mean of the spot's slice, since
        a gene that only tells slices apart would be the smoothest of all. The default takes all spots for one slice.
    chunk
        Genes that are dense at a time.

    Returns
    -------
    ``(n_genes,)`` float64 in about [-1, 1]; 0 for a gene that does not vary.

    References
    ----------
    Moran, *Biometrika* 37, 1950.
    """
    degree = np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1)
    weights = sparse.csr_matrix(sparse.diags(1 / degree) @ graph, dtype=np.float32)
    by_gene = values.tocsc()
    index = np.zeros(values.shape[1])
    for start in range(0, values.shape[1], chunk):
        dense = by_gene[:, start : start + chunk].toarray().astype(np.float32)
        # The mean in double precision: rounded in single, it would leave a constant gene a pattern that is all smooth.
        if slices is None:
            dense -= dense.mean(axis=0, dtype=np.float64).astype(np.float32)
        else:
            dense = centred(dense, slices)
        variance = np.square(dense).sum(axis=0)
        covariance = (dense * (weights @ dense)).sum(axis=0)
        index[start : start + chunk] = covariance / np.where(variance > 0, variance, np.inf)
    scaled: NDArray[np.float64] = index * (values.shape[0] / max(float(weights.sum()), 1.0))
    return scaled


def select_genes(
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    *,
    n_top_genes: int,
    transform: Transform,
    slices: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Choose the genes that vary most smoothly over the tissue, by Moran's I.

    Genes that vary for reasons of their own (noise, depth) are often highly variable but not spatial, and only the
    latter draw domains.

    Parameters
    ----------
    counts, graph, transform
        As above; ranks are taken after :func:`stabilise`.
    n_top_genes
        How many, at least 1; all genes seen in at least 3 spots where there are fewer.
    slices
        As :func:`morans_i` takes them.

    Returns
    -------
    Sorted int64 indices of genes.
    """
    spots = counts.getnnz(axis=0)
    seen = np.flatnonzero(spots >= min(_MIN_SPOTS, spots.max()))
    if seen.size <= n_top_genes:
        return seen
    some, near, spots_seen = _some_spots(counts, graph)
    of_them = None if slices is None else slices[spots_seen]
    index = morans_i(stabilise(some, transform)[:, seen], near, slices=of_them)
    # A stable sort on the negative keeps ties in gene order, so that the choice does not depend on the machine.
    best = np.argsort(-index, kind="stable")[:n_top_genes]
    return np.sort(seen[best])


def _some_spots(
    counts: sparse.csr_matrix, graph: sparse.csr_matrix
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, NDArray[np.int64]]:
    """On large tissue keep a random sample of the spots, and their neighbours to compare them with.

    Rows of the graph are kept for the sample alone: Moran's I is then the mean over the sample, with no bias.
    """
    if not is_large(counts.shape[0]):
        return counts, graph, np.arange(counts.shape[0])
    chosen = sample(counts.shape[0], 0)
    rows: Any = graph[chosen]
    spots, place = np.unique(np.concatenate([chosen, rows.indices]), return_inverse=True)
    indptr = np.zeros(spots.size + 1, dtype=np.int64)
    indptr[1 + place[: chosen.size]] = np.diff(rows.indptr)
    near = sparse.csr_matrix((rows.data, place[chosen.size :], np.cumsum(indptr)), shape=(spots.size, spots.size))
    return sparse.csr_matrix(counts[spots]), near, spots


def principal_components(
    values: sparse.csr_matrix,
    n_components: int,
    *,
    random_state: int,
    slices: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Principal components of sparse expression; of more than 1000 genes nothing becomes dense, the centre is implicit.

    Parameters
    ----------
    values
        ``(n_spots, n_genes)`` CSR.
    n_components
        At least 1; fewer are returned where the matrix has no more.
    random_state
        Seed of the solver's starting vector.
    slices
        ``(n_spots,)`` number of each spot's slice, from 0: the mean of its slice is subtracted from each spot. The
        default subtracts the mean of all.

    Returns
    -------
    ``(n_spots, d)`` float32 scores, divided by the standard deviation of the first, ``d <= n_components``.
    """
    scores, _, _ = principal_axes(values, n_components, random_state=random_state, slices=slices)
    spread = scores[:, 0].std()
    result: NDArray[np.float32] = (scores / (spread if spread > 0 else 1.0)).astype(np.float32)
    return result


def principal_axes(
    values: sparse.csr_matrix, n_components: int, *, random_state: int, slices: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Scores ``(n_spots, d)`` of principal components, the mean ``(n_genes,)``, and the axes ``(d, n_genes)``.

    Where slices are given, scores are those of values less the mean of their slice; the mean is that of all spots.
    """
    d = max(min(n_components, min(values.shape) - 1), 1)
    if slices is not None:
        scores, axes = WithinSlices(values, slices).principal_axes(d, random_state=random_state)
        return scores, np.asarray(values.mean(axis=0), dtype=np.float64).ravel(), axes
    scores, solver = _fitted(values, d, random_state=random_state)
    return scores, np.asarray(solver.mean_, dtype=np.float64), np.asarray(solver.components_, dtype=np.float64)


def _fitted(values: sparse.csr_matrix, d: int, *, random_state: int) -> tuple[NDArray[Any], PCA]:
    """Give ``d`` scores of each spot and their model, by the solver that is fastest for the shape."""
    from sklearn.decomposition import PCA

    if values.shape[1] <= _NARROW:
        model = PCA(d, svd_solver="covariance_eigh")
        return model.fit_transform(values.toarray().astype(np.float64)), model
    if values.shape[0] <= max(d + 1, _FEW_SPOTS):  # ARPACK cannot give all
        model = PCA(d, svd_solver="full")
        return model.fit_transform(values.toarray()), model
    model = PCA(d, svd_solver="arpack", tol=_PRECISE, random_state=random_state)
    return model.fit_transform(values), model


def published_genes(
    counts: sparse.csr_matrix, *, n_top_genes: int, slices: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Choose genes as the paper does: seen in at least 100 spots, highly variable by ``seurat_v3`` on counts.

    On tissue of fewer than 1000 spots a tenth of the spots suffices, and where no more genes remain than are wanted,
    all of them are taken. Where slices are given, ``(n_spots,)`` from 0, genes are ranked in each and the ranks joined.

    Returns
    -------
    Sorted int64 indices of genes.
    """
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    seen = np.flatnonzero(counts.getnnz(axis=0) >= min(100, max(counts.shape[0] // 10, _MIN_SPOTS)))
    if seen.size <= n_top_genes:
        return seen
    some = sample(counts.shape[0], 0)
    table, batch_key = AnnData(counts[some][:, seen]), None
    if slices is not None:
        batch_key = "slice"
        table.obs[batch_key] = pd.Categorical(slices[some].astype(str))
    chosen = sc.pp.highly_variable_genes(
        table, flavor="seurat_v3", n_top_genes=n_top_genes, batch_key=batch_key, inplace=False
    )
    genes: NDArray[np.int64] = seen[chosen["highly_variable"].to_numpy()]
    return genes
