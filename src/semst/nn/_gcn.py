from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv, SAGEConv

from semst.nn._precision import full_precision


class SymmetricProduct(torch.autograd.Function):
    """Product of a symmetric sparse matrix ``(n, n)`` and features ``(n, d)``.

    torch transposes the sparse matrix anew in each backward pass; a symmetric one needs no transposing.
    """

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, x: Tensor) -> Tensor:  # noqa: ANN401
        """Multiply, in the precision of the matrix."""
        ctx.adjacency = adjacency
        with full_precision(x.device):
            return adjacency @ x.to(adjacency.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:  # noqa: ANN401
        """Multiply the gradient with the same matrix."""
        return None, ctx.adjacency @ gradients[0]


class SymmetricGCNConv(GCNConv):  # type: ignore[misc]
    """PyG's graph convolution for an adjacency that is normalised already, and symmetric.

    Parameters
    ----------
    in_features, out_features
        Widths.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, normalize=False)

    def message_and_aggregate(self, adj_t: Tensor, x: Tensor) -> Tensor:
        """Sum over neighbours, both passes by the same product."""
        return SymmetricProduct.apply(adj_t, x)  # type: ignore[no-any-return, no-untyped-call]


class SymmetricSAGEConv(SAGEConv):  # type: ignore[misc]
    r"""PyG's GraphSAGE convolution for an adjacency that is normalised already, and symmetric.

    PyG would weigh the neighbours by the entries of the matrix and then divide by their number once more. The plain
    mean, self loop included, is read off the same matrix: :math:`D^{-1}(A + I) = D^{-1/2} \hat A D^{1/2}`.

    Parameters
    ----------
    in_features, out_features
        Widths.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)

    def message_and_aggregate(self, adj_t: Tensor, x: tuple[Tensor, Tensor]) -> Tensor:
        """Average over the neighbourhood."""
        root = adj_t.crow_indices().diff().to(x[0].dtype).sqrt()[:, None]
        total: Tensor = SymmetricProduct.apply(adj_t, root * x[0])  # type: ignore[no-untyped-call]
        return total / root
