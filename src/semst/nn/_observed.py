from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from semst.nn._section import Section


class Observed:
    """What a step looks at of the counts of a section, on the device where the network is.

    In main memory counts stay sparse. Those of a section that lies on a GPU are dense and lie there too, so that no
    step has to wait for main memory: 120 MB for 10 000 spots and 3000 genes.

    Parameters
    ----------
    section
        On ``device``.
    device
        Of the network.
    """

    def __init__(self, section: Section, device: torch.device) -> None:
        self.section = section
        self.library = section.library().to(device)
        self._dense = None if device.type == "cpu" else torch.from_numpy(section.counts.toarray()).to(device)

    def counts(self, spots: Tensor, genes: Tensor) -> Tensor:
        """Counts of some spots and genes, int64 indices: ``(len(spots), len(genes))`` float32."""
        if self._dense is None:
            return self.section.observed(spots.numpy(), genes.numpy())
        return self._dense.index_select(0, spots).index_select(1, genes)
