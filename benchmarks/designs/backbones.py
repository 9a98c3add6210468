"""Two backbones that know nothing of semst, and take FSM as a plug-in.

Both read expression ``x`` ``(n, d)`` and a spatial graph, and offer ``latent`` and ``loss``. FSM is made
last, so that with and without it all other weights start from the same values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.utils import softmax

from semst.nn import FSM
from semst.nn._gcn import SymmetricGCNConv


class Semantics:
    """The spots' semantics, averaged over the neighbourhood as semst's recipe does.

    Parameters
    ----------
    values
        ``(n, m)`` float32, of single spots.
    adjacency
        ``(n, n)`` CSR of the spatial graph, normalised.
    """

    def __init__(self, values: Tensor, adjacency: Tensor) -> None:
        self.centred = values - values.mean(dim=0)
        self.adjacency = adjacency
        smooth = adjacency @ self.centred
        self.shift = smooth.mean(dim=0)
        self.scale = (smooth - self.shift).std(dim=0).mean().clamp_min(1e-8)
        self.smooth = (smooth - self.shift) / self.scale

    def shuffled(self, order: Tensor) -> Tensor:
        """Give what the spots would mean if their contents were exchanged."""
        return (self.adjacency @ self.centred[order] - self.shift) / self.scale


class GraphAttentionAutoencoder(nn.Module):
    r"""Attention over the spatial graph, in the manner of STAGATE (Dong & Zhang, Nature Communications 13, 2022).

    .. math::

        h = \mathrm{ELU}(A x W_1), \quad z = h W_2, \quad \hat x = \mathrm{ELU}(A z W_2^\top) W_1^\top

    :math:`A` is attention over the neighbours and the spot itself, bounded before the softmax so that no neighbour
    weighs more than e times another one. The way back has the attention and the weights of the way there:
    free ones learn to undo the averaging, and the latent then tells cell types instead of domains. FSM calibrates
    :math:`h`.
    """

    def __init__(self, in_features: int, semantic_features: int, *, hidden: int = 128, latent: int = 32) -> None:
        super().__init__()
        self.first = nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_features, hidden)))
        self.second = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, latent)))
        self.source = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, 1)))
        self.target = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, 1)))
        self.fsm = FSM(hidden, semantic_features) if semantic_features else None

    def _encode(self, x: Tensor, edges: Tensor, semantics: Semantics | None) -> tuple[Tensor, Tensor]:
        projected = x @ self.first
        logits = (projected @ self.source)[edges[0]] + (projected @ self.target)[edges[1]]
        attention = softmax(torch.sigmoid(logits), edges[1], num_nodes=len(x))
        hidden = functional.elu(_average(projected, edges, attention))
        if self.fsm is not None:
            hidden = self.fsm(hidden, semantics.smooth)
        return hidden @ self.second, attention

    def latent(self, x: Tensor, edges: Tensor, semantics: Semantics | None) -> Tensor:
        return self._encode(x, edges, semantics)[0]

    def loss(self, x: Tensor, edges: Tensor, semantics: Semantics | None) -> Tensor:
        z, attention = self._encode(x, edges, semantics)
        hidden = functional.elu(_average(z @ self.second.T, edges, attention))
        return functional.mse_loss(hidden @ self.first.T, x)


def _average(values: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
    """Sum the values ``(n, d)`` of the sources ``edges[0]`` at the targets ``edges[1]``, weighted."""
    return torch.zeros_like(values).index_add(0, edges[1], weights * values[edges[0]])


class ContrastiveGCN(nn.Module):
    """Contrast with shuffled tissue, in the manner of DGI and GraphST (Long et al., Nature Communications 14, 2023).

    One graph convolution encodes, another one decodes. A bilinear discriminator learns which spot belongs to which
    neighbourhood: those of the tissue, or those of the same spots with their contents exchanged. FSM calibrates the
    encoder's output; in the shuffled tissue a spot's semantics move with its expression.
    """

    RECONSTRUCTION = 10.0  # weight against each side of the contrast, as GraphST has it

    def __init__(self, in_features: int, semantic_features: int, *, latent: int = 64) -> None:
        super().__init__()
        self.encode = SymmetricGCNConv(in_features, latent)
        self.decode = SymmetricGCNConv(latent, in_features)
        self.judge = nn.Bilinear(latent, latent, 1)
        self.fsm = FSM(latent, semantic_features) if semantic_features else None

    def _encode(self, x: Tensor, adjacency: Tensor, semantics: Tensor | None) -> Tensor:
        z = self.encode(x, adjacency)
        return z if self.fsm is None else self.fsm(z, semantics)

    def latent(self, x: Tensor, adjacency: Tensor, semantics: Semantics | None) -> Tensor:
        return self._encode(x, adjacency, None if semantics is None else semantics.smooth)

    def loss(self, x: Tensor, adjacency: Tensor, semantics: Semantics | None) -> Tensor:
        order = torch.randperm(len(x))
        z = self.latent(x, adjacency, semantics)
        fake = self._encode(x[order], adjacency, None if semantics is None else semantics.shuffled(order))
        contrast = self._contrast(z, fake, adjacency) + self._contrast(fake, z, adjacency)
        return self.RECONSTRUCTION * functional.mse_loss(self.decode(z, adjacency), x) + contrast

    def _contrast(self, own: Tensor, other: Tensor, adjacency: Tensor) -> Tensor:
        """How badly a neighbourhood tells its own spot from the other tissue's spot at the same place."""
        own, other = own.relu(), other.relu()
        around = torch.sigmoid(functional.normalize(adjacency @ own, dim=1))
        real, false = self.judge(own, around), self.judge(other, around)
        return 0.5 * (functional.softplus(-real).mean() + functional.softplus(false).mean())
