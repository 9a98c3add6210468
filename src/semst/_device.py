"""A device by its name, if it works here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from semst._problems import Problems


def named_device(device: str, problems: Problems) -> torch.device:
    """Turn the name of a device into one that works here, or note why not."""
    import torch

    try:
        named = torch.device(device)
        torch.zeros(1, device=named)
    except (RuntimeError, AssertionError, TypeError) as error:
        problems.add(f"device {device!r} cannot be used here ({str(error).splitlines()[0]}); use 'auto' or 'cpu'.")
        return torch.device("cpu")  # never used: the problem is raised
    return named
