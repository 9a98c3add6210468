"""Where half of the digits are enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def has_mixed_precision(device: torch.device) -> bool:
    """Tell whether dense products on a device are faster in bfloat16: on CUDA GPUs that have it."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Let dense products run in bfloat16 inside, where the device is faster so.

    It is safe where only a gradient is wanted: bfloat16 has the range of float32, so nothing overflows and no loss has
    to be scaled. Weights, products with a graph, losses and the latents that are kept stay in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=has_mixed_precision(device))


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Keep float32 inside, also within :func:`mixed_precision`."""
    return torch.autocast(device.type, enabled=False)
