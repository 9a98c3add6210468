"""Variants of SemST's network after related designs, each starting from a linear path as ours does.

All read the same :class:`semst.nn.Section`, yield two views for DICR and a latent for the decoder, and begin as
smoothing + PCA: what is learnt starts at zero, or at equal attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semst.nn import FSM, Architecture, Decoder, Encoding, GraphBranch, Section
from semst.nn._gcn import SymmetricProduct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Variant(nn.Module):
    """Views of a section, FSM, fusion, decoder: the frame that the designs share with :class:`semst.nn.SemSTNetwork`.

    A design says in :meth:`views` what FSM reads and what DICR compares.
    """

    def __init__(self, architecture: Architecture, *, width: int, modulate: bool = True) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.spatial_branch, self.expression_branch = self._branch(), self._branch()
        self.fsm = FSM(width, a.semantic_features) if a.semantic_features and modulate else None
        last = nn.Linear(a.hidden_features, a.latent_features)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.fusion = nn.Sequential(nn.Linear(width, a.hidden_features), nn.ReLU(), last)
        self.linear_fusion = nn.Linear(width, a.latent_features)
        self.decoder = Decoder(a.latent_features, a.n_genes, likelihood=a.likelihood)

    def _branch(self) -> GraphBranch:
        a = self.architecture
        return GraphBranch(a.in_features, a.hidden_features, a.branch_features, shortcut=True)

    def views(self, section: Section) -> tuple[Tensor, Tensor, Tensor]:
        """Give what is fused ``(n, width)``, and the spatial and expression view ``(n, branch_features)``."""
        raise NotImplementedError

    def extra_loss(self, section: Section, encoding: Encoding) -> Tensor | None:
        """Give a further term of the loss, if the design has one."""
        return None

    def encode(self, section: Section) -> Encoding:
        z, spatial, expression = self.views(section)
        if self.fsm is not None:
            z = self.fsm(z, section.semantics)
        return Encoding(self.fusion(z) + self.linear_fusion(z), spatial, expression)

    @torch.no_grad()
    def start_linear(self, section: Section) -> None:
        """Let the linear fusion give the principal components of the untrained views, as semst's own network does."""
        z = self.views(section)[0]
        mean = z.mean(dim=0)
        components = torch.linalg.svd(z - mean, full_matrices=False).Vh[: self.architecture.latent_features]
        components = components * components.gather(1, components.abs().argmax(dim=1, keepdim=True)).sign()
        self.linear_fusion.weight.zero_()
        self.linear_fusion.bias.zero_()
        self.linear_fusion.weight[: len(components)] = components
        self.linear_fusion.bias[: len(components)] = -components @ mean


class ViewAttention(nn.Module):
    r"""How much each view counts in a spot, equal at first.

    .. math::

        a_v = \mathrm{softmax}_v(q \cdot \tanh(W \, \mathrm{norm}(h_v)))

    Each spot's view is brought to mean 0 and variance 1 first: without it, weights stayed within 0.50 ± 0.01 through a
    whole training, and there was no attention to judge.
    """

    def __init__(self, features: int, *, hidden: int = 32) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(features, elementwise_affine=False), nn.Linear(features, hidden))
        self.query = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.query.weight)

    def forward(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Weigh views, each ``(n, features)``: one ``(n, 1)`` for each view, which sum to 1."""
        scores = torch.cat([self.query(torch.tanh(self.project(view))) for view in views], dim=1)
        return list(scores.softmax(dim=1).split(1, dim=1))


class LayerwiseAttention(Variant):
    """Attention between the two views after every layer (Mei et al., stMFG, arXiv:2512.16188).

    After the first layer the views are merged, spot by spot, and both branches go on from what they have and the merged
    view. After the second, ``merged`` gives the weighted sum of the two views alone to FSM and fusion; without it, both
    views go on side by side, each times its weight, and the start is exactly that of the present network.
    """

    def __init__(self, architecture: Architecture, *, merged: bool) -> None:
        a = architecture
        super().__init__(a, width=a.branch_features * (1 if merged else 2))
        self.merged = merged
        self.attention = nn.ModuleList([ViewAttention(a.hidden_features), ViewAttention(a.branch_features)])

    def views(self, section: Section) -> tuple[Tensor, Tensor, Tensor]:
        branches = ((self.spatial_branch, section.spatial), (self.expression_branch, section.expression))
        x = section.features
        hidden = [branch.first(x, graph).relu() for branch, graph in branches]
        shared = sum(w * h for w, h in zip(self.attention[0](hidden), hidden, strict=True))
        spatial, expression = (
            branch.second(0.5 * (h + shared), graph) + SymmetricProduct.apply(graph, x)
            for (branch, graph), h in zip(branches, hidden, strict=True)
        )
        first, second = self.attention[1]([spatial, expression])
        if self.merged:
            return first * spatial + second * expression, spatial, expression
        return torch.cat([2 * first * spatial, 2 * second * expression], dim=1), spatial, expression


@dataclass(frozen=True)
class ContextSection(Section):
    """A section with a third graph: ``regions`` ``(n, n)`` CSR, normalised, whose edges stay inside rough regions."""

    regions: Tensor | None = None


class ContextGraphs(Variant):
    """Space, expression and rough regions, weighed spot by spot (Zahedi et al., SemanticST, arXiv:2506.11491).

    Each graph has a branch of its own; the views go on side by side, each times its attention. With ``communities``
    above 0 a linear head sorts the spots softly into so many communities, and the loss asks that few edges of the three
    graphs run between them (:func:`min_cut`).
    """

    CUT = 0.1  # weight of the cut, as of the other two terms beside the likelihood

    def __init__(self, architecture: Architecture, *, communities: int) -> None:
        a = architecture
        super().__init__(a, width=3 * a.branch_features)
        self.region_branch = self._branch()
        self.attention = ViewAttention(a.branch_features)
        self.communities = nn.Linear(a.latent_features, communities) if communities else None

    def views(self, section: ContextSection) -> tuple[Tensor, Tensor, Tensor]:
        x = section.features
        views = [
            self.spatial_branch(x, section.spatial),
            self.expression_branch(x, section.expression),
            self.region_branch(x, section.regions),
        ]
        weighed = [3 * w * view for w, view in zip(self.attention(views), views, strict=True)]
        return torch.cat(weighed, dim=1), views[0], views[1]

    def extra_loss(self, section: ContextSection, encoding: Encoding) -> Tensor | None:
        if self.communities is None:
            return None
        soft = self.communities(encoding.latent).softmax(dim=1)
        graphs = (section.spatial, section.expression, section.regions)
        return self.CUT * torch.stack([min_cut(soft, graph) for graph in graphs]).mean()


def min_cut(communities: Tensor, adjacency: Tensor) -> Tensor:
    r"""Share of the edges that leave soft communities, and how unequal the communities are.

    .. math::

        1 - \frac{1}{k} \sum_c \frac{(P^\top A P)_{cc}}{(P^\top A \mathbf{1})_c}
        + \left\lVert \frac{P^\top P}{\lVert P^\top P \rVert_F} - \frac{I}{\sqrt k} \right\rVert_F

    Without the second part one community would hold all spots and cut nothing.

    Parameters
    ----------
    communities
        ``(n, k)``, rows sum to 1.
    adjacency
        ``(n, n)`` CSR, symmetric.

    References
    ----------
    Zahedi et al., arXiv:2506.11491 (normalised cut of soft communities); Bianchi et al., *ICML* 2020 (balance).
    """
    k = communities.shape[1]
    around = SymmetricProduct.apply(adjacency, communities)
    inside = (communities * around).sum(dim=0) / around.sum(dim=0)
    overlap = communities.T @ communities
    target = torch.eye(k) / k**0.5
    return 1 - inside.mean() + torch.linalg.norm(overlap / torch.linalg.norm(overlap) - target)


class LayerwiseModulation(Variant):
    """FSM after every layer of each branch: four in all, instead of one on both branches' outputs."""

    def __init__(self, architecture: Architecture) -> None:
        a = architecture
        super().__init__(a, width=2 * a.branch_features, modulate=False)
        widths = (a.hidden_features, a.branch_features)
        self.modulations = nn.ModuleList(
            [nn.ModuleList([FSM(width, a.semantic_features) for width in widths]) for _ in range(2)]
        )

    def views(self, section: Section) -> tuple[Tensor, Tensor, Tensor]:
        x, s = section.features, section.semantics
        branches = ((self.spatial_branch, section.spatial), (self.expression_branch, section.expression))
        before, after = [], []
        for (branch, graph), (inner, outer) in zip(branches, self.modulations, strict=True):
            hidden = inner(functional.relu(branch.first(x, graph)), s)
            view = branch.second(hidden, graph) + SymmetricProduct.apply(graph, x)
            before.append(view)
            after.append(outer(view, s))
        # DICR compares the views before the last modulation, as in the present network.
        return torch.cat(after, dim=1), before[0], before[1]
