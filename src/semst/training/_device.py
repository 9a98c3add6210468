from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from semst._device import named_device
from semst.training._processes import own_gpu

if TYPE_CHECKING:
    from semst._problems import Problems


def pick_device(device: str, problems: Problems) -> torch.device:
    """Turn ``"auto"`` or the name of a device into one that works here, or note why not.

    Of the processes that torchrun starts on a machine each takes a GPU of its own. ``"auto"`` takes CUDA where there is
    a GPU, else Apple's MPS where it can multiply sparse matrices (its support depends on the version of torch), else
    the CPU.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device(own_gpu())
        return torch.device("mps" if torch.backends.mps.is_available() and _multiplies_sparse("mps") else "cpu")
    return named_device(own_gpu() if device == "cuda" else device, problems)


def _multiplies_sparse(device: str) -> bool:
    try:
        identity = torch.eye(2).to_sparse_csr().to(device)
        return bool(torch.equal((identity @ torch.ones(2, 1, device=device)).cpu(), torch.ones(2, 1)))
    except (RuntimeError, NotImplementedError):
        return False


def cores() -> int:
    """Count the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only; elsewhere a process may use them all
    return len(affinity(0)) if affinity else os.cpu_count() or 1
