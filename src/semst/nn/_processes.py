from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, distributed


@dataclass(frozen=True)
class Processes:
    """The processes that train one network together, and which of them this is.

    Each takes its share of the tiles of a step; what they find is added up, so that all of them hold the same network
    after it.

    Parameters
    ----------
    rank
        Number of this process, from 0.
    size
        How many there are. With more than one, ``torch.distributed`` has its process group.
    """

    rank: int = 0
    size: int = 1

    def mine(self, n: int) -> range:
        """Of ``n`` pieces of work, the numbers of those that this process does."""
        return range(self.rank, n, self.size)

    def add_up(self, values: Tensor) -> None:
        """Put the sum over all processes in place of values; every process calls it, in the same order."""
        if self.size > 1:
            distributed.all_reduce(values)


ALONE = Processes()
"""One process, which does everything itself."""
