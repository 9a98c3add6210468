"""The network, in tensors only: nothing here knows AnnData."""

from semst.nn._adjacency import edge_pairs, normalised_adjacency
from semst.nn._branch import Convolution, GraphBranch
from semst.nn._decoder import Decoder, Likelihood
from semst.nn._fit import Fitted, Plan, fit, latent
from semst.nn._fsm import FSM
from semst.nn._losses import (
    dicr,
    dropout_ridge,
    gaussian_negative_log_likelihood,
    nb_negative_log_likelihood,
    spatial_contrastive,
    zinb_negative_log_likelihood,
)
from semst.nn._modulation import Modulation, modulation
from semst.nn._network import Architecture, Encoding, SemSTNetwork
from semst.nn._section import Section

__all__ = [
    "FSM",
    "Architecture",
    "Convolution",
    "Decoder",
    "Encoding",
    "Fitted",
    "GraphBranch",
    "Likelihood",
    "Modulation",
    "Plan",
    "Section",
    "SemSTNetwork",
    "dicr",
    "dropout_ridge",
    "edge_pairs",
    "fit",
    "gaussian_negative_log_likelihood",
    "latent",
    "modulation",
    "nb_negative_log_likelihood",
    "normalised_adjacency",
    "spatial_contrastive",
    "zinb_negative_log_likelihood",
]
