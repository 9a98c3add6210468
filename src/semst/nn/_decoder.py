from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from semst.nn._losses import (
    dropout_ridge,
    gaussian_negative_log_likelihood,
    nb_negative_log_likelihood,
    zinb_negative_log_likelihood,
)

Likelihood = Literal["zinb", "nb", "gaussian"]

RIDGE = 0.05  # weight of the mean of pi squared, as published
_EXPONENT_LIMIT = 10.0  # no gene is 20 000 times its average in a spot


class Decoder(nn.Module):
    r"""From a latent back to the expression of each gene, and how likely the observed one is.

    One hidden layer (batch norm, ReLU) gives, for spot :math:`i` with :math:`l_i` counts and gene :math:`j` with share
    :math:`p_j` of all counts,

    .. math::

        \mu_{ij} = l_i \, p_j \, e^{\eta_{ij}}, \qquad \theta_j, \qquad \pi_{ij} = \sigma(\zeta_{ij})

    :math:`\eta` is what the spot does differently from the tissue's average. Any subset of genes can be decoded on its
    own, which makes a step as cheap as the genes it looks at.

    Parameters
    ----------
    latent_features, n_genes
        Widths of input and output.
    likelihood
        ``"zinb"`` (zero-inflated negative binomial, as published), ``"nb"``, or ``"gaussian"`` (unit variance, for
        expression that is normalised already; :math:`\mu = \eta`).
    hidden_features
        Width of the hidden layer; the paper's 256.

    Raises
    ------
    ValueError
        If ``likelihood`` is unknown.

    References
    ----------
    Long et al., arXiv:2511.11380 (ZINB decoder); Lopez et al., *Nature Methods* 15, 2018 (size factors in the mean).
    """

    def __init__(
        self, latent_features: int, n_genes: int, *, likelihood: Likelihood = "zinb", hidden_features: int = 256
    ) -> None:
        super().__init__()
        if likelihood not in ("zinb", "nb", "gaussian"):
            message = f"likelihood must be 'zinb', 'nb' or 'gaussian', got {likelihood!r}."
            raise ValueError(message)
        self.likelihood = likelihood
        self.hidden = nn.Sequential(
            nn.Linear(latent_features, hidden_features), nn.BatchNorm1d(hidden_features), nn.ReLU()
        )
        self.eta = nn.Linear(hidden_features, n_genes)
        if likelihood != "gaussian":
            self.log_dispersion = nn.Parameter(torch.zeros(n_genes))
        if likelihood == "zinb":
            self.zeta = nn.Linear(hidden_features, n_genes)

    def forward(self, latent: Tensor, observed: Tensor, library: Tensor, share: Tensor, genes: Tensor) -> Tensor:
        r"""Mean negative log-likelihood of what was observed, ridge included.

        Parameters
        ----------
        latent
            ``(b, latent_features)``: some spots.
        observed
            ``(b, g)`` counts, or normalised expression where the likelihood is Gaussian.
        library
            ``(b,)`` counts of each spot, above 0.
        share
            ``(n_genes,)`` share of each gene in all counts, above 0; ``(b, n_genes)`` where spots come from several
            slices, each with a share of its own: the decoder then has nothing to learn of what tells slices apart.
            Where the likelihood is Gaussian, what is added to :math:`\eta` instead, and only in that form.
        genes
            ``(g,)`` int64: the genes observed.

        Returns
        -------
        Scalar.
        """
        hidden = self.hidden(latent)
        eta = _some_rows(self.eta, hidden, genes)
        if self.likelihood == "gaussian":
            mean = eta if share.ndim == 1 else eta + share[:, genes]
            return gaussian_negative_log_likelihood(observed, mean).mean()
        mean = library[:, None] * share[..., genes] * eta.clamp(-_EXPONENT_LIMIT, _EXPONENT_LIMIT).exp()
        dispersion = self.log_dispersion[genes].clamp(-_EXPONENT_LIMIT, _EXPONENT_LIMIT).exp()
        if self.likelihood == "nb":
            return nb_negative_log_likelihood(observed, mean, dispersion).mean()
        zeta = _some_rows(self.zeta, hidden, genes)
        return zinb_negative_log_likelihood(observed, mean, dispersion, zeta).mean() + RIDGE * dropout_ridge(zeta)


def _some_rows(layer: nn.Linear, x: Tensor, rows: Tensor) -> Tensor:
    """Apply a linear layer for some of its outputs."""
    return functional.linear(x, layer.weight[rows], layer.bias[rows])
