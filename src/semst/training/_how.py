from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from semst.nn import Architecture, SemSTNetwork
from semst.nn._processes import ALONE, Processes

if TYPE_CHECKING:
    from semst.nn import Convolution, Likelihood
    from semst.training._checkpoint import Checkpoint
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue


@dataclass(frozen=True, kw_only=True)
class How:
    """How networks are trained, whatever the tissue; :func:`semst.tl.cluster` documents what it hands on.

    Parameters
    ----------
    likelihood, convolution, random_state, progress
        As there.
    device
        Where networks are trained.
    checkpoint
        Keeps networks whose training has ended; None keeps nothing.
    processes
        Those that train together on large tissue.
    tiles_per_step
        On large tissue; a multiple of the number of processes.
    """

    likelihood: Likelihood
    convolution: Convolution
    device: torch.device
    random_state: int
    progress: bool
    checkpoint: Checkpoint | None = None
    processes: Processes = ALONE
    tiles_per_step: int = 1

    def generators(self, recipe: Recipe) -> list[np.random.Generator]:
        """Give a generator for each view."""
        seeds = np.random.SeedSequence(self.random_state).spawn(len(recipe.views))
        return [np.random.default_rng(seed) for seed in seeds]

    def network(self, in_features: int, tissue: Tissue, recipe: Recipe, *, seed: int) -> SemSTNetwork:
        """Make a network that reads so many features of each spot, on the device.

        Its initial weights come from torch's global generator, which is lent a seed and given back untouched: networks
        have to be made one at a time.
        """
        architecture = Architecture(
            in_features=in_features,
            n_genes=tissue.genes.size,
            semantic_features=0 if tissue.semantics is None else tissue.semantics.shape[1],
            hidden_features=recipe.hidden_features,
            branch_features=recipe.branch_features or in_features,
            latent_features=recipe.latent_features,
            convolution=self.convolution,
            likelihood=self.likelihood,
            shortcut=recipe.shortcut,
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # and not those of GPUs, which would not be given back
            return SemSTNetwork(architecture).to(self.device)
