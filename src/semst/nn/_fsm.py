from __future__ import annotations

import torch
from torch import Tensor, nn


class FSM(nn.Module):
    r"""Fine-grained Semantic Modulation: meaning calibrates every feature of every spot.

    An affine transformation of its own for each spot :math:`i` and feature :math:`j`, read off the spot's semantics
    :math:`s_i`:

    .. math::

        h_i = \mathrm{head}(s_i), \qquad [\alpha_i \,|\, \beta_i] = \mathrm{mlp}(h_i), \qquad
        z'_{ij} = (1 + \alpha_{ij})\, z_{ij} + \beta_{ij}

    It asks nothing of the model around it but a matrix of features with one row per spot, so it can be put into any
    other network: see the example.

    Parameters
    ----------
    in_features
        Width of the features that are modulated, at least 1.
    semantic_features
        Width of the semantics, at least 1.
    hidden_features
        Width of ``h``; the paper's 128.

    Notes
    -----
    The last layer starts at zero, so an untrained FSM passes its features through unchanged: meaning has to earn its
    influence. The release of the paper starts at random instead.

    With a vector of its own for every spot FSM can learn spots by heart: in a graph attention autoencoder and in a
    contrastive network it lowered the agreement with experts when it learned as fast as the rest, with true gene
    vectors, permuted ones and random ones (``benchmarks/designs``). Train it at a tenth of the rate of the network
    around it, train briefly, and compare with gene vectors permuted across genes.

    References
    ----------
    Long et al., *When Genes Speak*, AAAI 2026, arXiv:2511.11380 (section on Fine-grained Semantic Modulation).

    Examples
    --------
    A graph attention autoencoder of plain PyG, with FSM between its encoder and its decoder:

    >>> import torch
    >>> from torch_geometric.nn import GATConv
    >>> from semst.nn import FSM
    >>> class SemanticGAT(torch.nn.Module):
    ...     def __init__(self, genes, semantics):
    ...         super().__init__()
    ...         self.encode = GATConv(genes, 32)
    ...         self.modulate = FSM(32, semantics)
    ...         self.decode = GATConv(32, genes)
    ...
    ...     def forward(self, x, semantics, edge_index):
    ...         z = self.encode(x, edge_index).relu()
    ...         return self.decode(self.modulate(z, semantics), edge_index)
    >>> ring = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    >>> model = SemanticGAT(genes=20, semantics=8)
    >>> model(torch.rand(4, 20), torch.rand(4, 8), ring).shape
    torch.Size([4, 20])
    """

    def __init__(self, in_features: int, semantic_features: int, *, hidden_features: int = 128) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(semantic_features, hidden_features), nn.ReLU(), nn.Linear(hidden_features, hidden_features)
        )
        last = nn.Linear(hidden_features, 2 * in_features)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.ReLU(), last)

    def coefficients(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Compute ``alpha`` and ``beta``, each ``(n_spots, in_features)``, from semantics ``(n_spots, d)``."""
        alpha, beta = self.mlp(self.head(s)).chunk(2, dim=-1)
        return alpha, beta

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        """Modulate features ``z`` ``(n_spots, in_features)`` by semantics ``s`` ``(n_spots, semantic_features)``."""
        alpha, beta = self.coefficients(s)
        return torch.addcmul(beta, 1 + alpha, z)
