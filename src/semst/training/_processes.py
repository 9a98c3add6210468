"""The processes that torchrun started, if it did."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import distributed

from semst.nn._processes import ALONE, Processes

if TYPE_CHECKING:
    from semst._problems import Problems


def _launched() -> bool:
    """Tell whether torchrun started this process; some builds of torch know no other processes."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def own_gpu() -> str:
    """Name a GPU: of the processes that torchrun starts on a machine each has one of its own."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if _launched() else "cuda"


def rank() -> int:
    """Give the number of this process among all that work together, from 0."""
    return int(os.environ["RANK"]) if _launched() else 0


def join() -> Processes:
    """Meet the other processes that torchrun started; where it did not, this one is alone.

    A process group that is there already is used as it is; else one is made, which ends with the process: gloo carries
    what lies in main memory, NCCL what lies on GPUs.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        if not _launched():
            return ALONE
        distributed.init_process_group(_backend())
        atexit.register(_leave)
    return Processes(distributed.get_rank(), distributed.get_world_size())


def _backend() -> str:
    """Name what carries the numbers; a torch that was built for GPUs refuses NCCL on a machine that has none."""
    return "cpu:gloo,cuda:nccl" if distributed.is_nccl_available() and torch.cuda.is_available() else "gloo"


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def share_out(tiles_per_step: int | None, processes: Processes, problems: Problems) -> int:
    """Give the number of tiles of a step, one for each process where nothing is asked, or note why it cannot be."""
    if tiles_per_step is None:
        return processes.size
    if isinstance(tiles_per_step, int | np.integer) and tiles_per_step % processes.size:
        problems.add(
            f"tiles_per_step must be a multiple of the {processes.size} processes that share them, "
            f"got {tiles_per_step}; leave it out for one each."
        )
    return tiles_per_step
