from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from semst.nn._precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Callable

Convolution = Literal["gcn", "gat", "sage"]


def _convolution(kind: Convolution, in_features: int, out_features: int) -> nn.Module:
    from torch_geometric.nn import GATConv

    from semst.nn._gcn import SymmetricGCNConv, SymmetricSAGEConv

    makers: dict[str, Callable[[], nn.Module]] = {
        "gcn": lambda: SymmetricGCNConv(in_features, out_features),
        "gat": lambda: GATConv(in_features, out_features, add_self_loops=False),
        "sage": lambda: SymmetricSAGEConv(in_features, out_features),
    }
    if kind not in makers:
        message = f"convolution must be 'gcn', 'gat' or 'sage', got {kind!r}."
        raise ValueError(message)
    return makers[kind]()


class GraphBranch(nn.Module):
    r"""Two graph convolutions over one graph: what the neighbours say of a spot.

    .. math::

        z = \mathrm{conv}_2\left(\mathrm{ReLU}(\mathrm{conv}_1(x, \hat A)), \hat A\right) \; [+ \; \hat A x]

    With ``shortcut`` the mean over the neighbourhood is added and the second convolution starts at zero: an untrained
    branch is a smoother, and training learns what to add to it.

    Parameters
    ----------
    in_features, hidden_features, out_features
        Widths; with ``shortcut`` the output must be as wide as the input.
    convolution
        ``"gcn"`` as published, ``"gat"`` (attention) or ``"sage"`` (mean of the neighbourhood beside the spot
        itself).
    shortcut
        Whether to add the smoothed input.

    Raises
    ------
    ValueError
        If ``convolution`` is unknown, or the widths do not fit the shortcut.

    References
    ----------
    Long et al., arXiv:2511.11380 (two GCN branches, genes -> 256 -> 128). The shortcut is ours.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int,
        *,
        convolution: Convolution = "gcn",
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        if shortcut and in_features != out_features:
            message = f"a shortcut needs out_features equal to in_features, got {out_features} and {in_features}."
            raise ValueError(message)
        self.shortcut = shortcut
        self.first = _convolution(convolution, in_features, hidden_features)
        self.second = _convolution(convolution, hidden_features, out_features)
        if shortcut:
            for parameter in self.second.parameters():
                if parameter.shape[0] == out_features:  # weights and biases, not the attention
                    nn.init.zeros_(parameter)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Map ``x`` ``(n, in_features)`` over ``adjacency`` ``(n, n)`` CSR to ``(n, out_features)``."""
        z: Tensor = self.second(self.first(x, adjacency).relu(), adjacency)
        if not self.shortcut:
            return z
        with full_precision(x.device):
            return z + adjacency @ x
