from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

_T = TypeVar("_T")


@dataclass(frozen=True)
class Processes:
    """The processes that train one network together, and which of them this is.

    Each takes its share of the tiles of a step; what they find is added up, so that all of them hold the same network
    after it. Every process calls every method but :meth:`mine`, in the same order.

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
        """Put the sum over all processes in place of values."""
        if self.size > 1:
            distributed.all_reduce(values)

    def follow(self, network: nn.Module) -> None:
        """Give the network of each process the numbers that it has in the first."""
        if self.size > 1:
            for values in network.state_dict().values():
                distributed.broadcast(values, src=0)

    def told(self, thing: _T) -> _T:
        """Give all processes what the first holds."""
        if self.size == 1:
            return thing
        things = [thing]
        distributed.broadcast_object_list(things, src=0)
        return things[0]

    def gathered(self, found: Sequence[_T]) -> list[_T]:
        """Give all processes what each found for its own pieces of work (:meth:`mine`), in the order of the pieces."""
        if self.size == 1:
            return list(found)
        by_process: list[list[_T]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(by_process, list(found))
        return in_order(by_process)


def in_order(by_process: Sequence[Sequence[_T]]) -> list[_T]:
    """Put what each process found for every ``len(by_process)``-th piece of work into the order of the pieces."""
    n = sum(len(found) for found in by_process)
    return [by_process[piece % len(by_process)][piece // len(by_process)] for piece in range(n)]


ALONE = Processes()
"""One process, which does everything itself."""
