from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from semst.nn._branch import Convolution, GraphBranch
from semst.nn._decoder import Decoder, Likelihood
from semst.nn._fsm import FSM

if TYPE_CHECKING:
    from semst.nn._section import Section


@dataclass(frozen=True)
class Architecture:
    """The shape of the network; see :class:`SemSTNetwork` for what the parts do.

    Parameters
    ----------
    in_features
        Width of a spot's input.
    n_genes
        Number of genes that are reconstructed.
    semantic_features
        Width of a spot's semantics; 0 leaves FSM out.
    hidden_features
        Width inside branches and fusion.
    branch_features
        Width of each branch's output; with ``shortcut`` it must be ``in_features``.
    latent_features
        Width of the latent.
    convolution
        ``"gcn"``, ``"gat"`` or ``"sage"``.
    likelihood
        ``"zinb"``, ``"nb"`` or ``"gaussian"``.
    shortcut
        Whether branches and fusion start from a linear map, see :class:`SemSTNetwork`.
    """

    in_features: int
    n_genes: int
    semantic_features: int = 0
    hidden_features: int = 128
    branch_features: int = 50
    latent_features: int = 32
    convolution: Convolution = "gcn"
    likelihood: Likelihood = "zinb"
    shortcut: bool = True


@dataclass(frozen=True)
class Encoding:
    """What the encoder makes of a section: one row per spot in each.

    Parameters
    ----------
    latent
        ``(n, latent_features)``.
    spatial_view, expression_view
        ``(n, branch_features)``: what each branch gave, before FSM.
    """

    latent: Tensor
    spatial_view: Tensor
    expression_view: Tensor


class SemSTNetwork(nn.Module):
    r"""Two graph branches, modulated by meaning, fused to a latent, decoded to counts.

    .. math::

        Z = [\mathrm{branch}_s(x, A_s) \,|\, \mathrm{branch}_f(x, A_f)], \quad Z' = \mathrm{FSM}(Z, s), \quad
        y = \mathrm{fusion}(Z'), \quad \mathrm{decoder}(y) \to (\mu, \theta, \pi)

    With ``shortcut`` (our default) every learnt part starts as nothing on top of a linear path: the branches start as
    the mean over the neighbourhood, FSM as the identity, the fusion as the leading principal components of ``Z``. The
    network then begins where smoothing + PCA ends, and training can only add what the counts support. Without it the
    network is the published one.

    Parameters
    ----------
    architecture
        Widths and choices.

    References
    ----------
    Long et al., arXiv:2511.11380.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        both = 2 * a.branch_features

        def branch() -> GraphBranch:
            return GraphBranch(
                a.in_features,
                a.hidden_features,
                a.branch_features,
                convolution=a.convolution,
                shortcut=a.shortcut,
            )

        self.spatial_branch = branch()
        self.expression_branch = branch()
        self.fsm = FSM(both, a.semantic_features) if a.semantic_features else None
        last = nn.Linear(a.hidden_features, a.latent_features)
        self.fusion = nn.Sequential(nn.Linear(both, a.hidden_features), nn.ReLU(), last)
        self.linear_fusion = nn.Linear(both, a.latent_features) if a.shortcut else None
        if a.shortcut:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.decoder = Decoder(a.latent_features, a.n_genes, likelihood=a.likelihood)

    def encode(self, section: Section) -> Encoding:
        """Compute the latent of every spot of a section.

        Raises
        ------
        ValueError
            If the network has FSM and the section no semantics.
        """
        spatial = section.own(self.spatial_branch(section.features, section.spatial))
        expression = self.expression_branch(section.own(section.features), section.expression)
        z = torch.cat([spatial, expression], dim=1)
        if self.fsm is not None:
            if section.semantics is None:
                message = "the network was built for semantics, but the section has none."
                raise ValueError(message)
            z = self.fsm(z, section.semantics)
        latent = self.fusion(z)
        if self.linear_fusion is not None:
            latent = latent + self.linear_fusion(z)
        return Encoding(latent, spatial, expression)

    @torch.no_grad()
    def start_linear(self, section: Section) -> None:
        """Let the linear path of the fusion give the principal components of the untrained branches.

        The signs are fixed so that the largest loading of each component is positive; without a linear path nothing
        happens.
        """
        if self.linear_fusion is None:
            return
        encoding = self.encode(section)
        z = torch.cat([encoding.spatial_view, encoding.expression_view], dim=1)
        mean = z.mean(dim=0)
        components = torch.linalg.svd(z - mean, full_matrices=False).Vh[: self.architecture.latent_features]
        largest = components.abs().argmax(dim=1, keepdim=True)
        components = components * components.gather(1, largest).sign()
        rows = components.shape[0]
        self.linear_fusion.weight.zero_()
        self.linear_fusion.bias.zero_()
        self.linear_fusion.weight[:rows] = components
        self.linear_fusion.bias[:rows] = -components @ mean
