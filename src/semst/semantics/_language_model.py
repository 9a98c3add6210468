"""Language models of the Hugging Face transformers library, read out as the SemST paper does."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from semst.semantics._encoders import (
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

logger = logging.getLogger("semst")


class LanguageModelEncoder:
    r"""Any Hugging Face language model as an :class:`~semst.semantics.Encoder`.

    Parameters
    ----------
    model
        Name on the Hugging Face hub, such as ``"Qwen/Qwen3-4B"`` (the paper's), or folder of a saved model with its
        tokenizer. Of encoder-decoder models the encoder is taken.
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
    The vector of a text of :math:`T` tokens is the mean of the last hidden states,
    :math:`\frac{1}{T} \sum_{t=1}^{T} h_t`, over all tokens but padding [1]_. Texts of a batch are padded on the
    right, so that no token sees padding before it and the vector is the same in every batch, for models that read in
    one direction as for those that read in both.

    Runs in bfloat16 on GPUs and CPUs that compute in it (AMX), else in float32; what comes out is float32 always.

    References
    ----------
    .. [1] J. Long et al., "When Genes Speak", AAAI 2026, arXiv:2511.11380.

    Examples
    --------
    A model of 4 billion parameters wants a GPU:

    >>> from semst.semantics import LanguageModelEncoder
    >>> encoder = LanguageModelEncoder("Qwen/Qwen3-4B")  # doctest: +SKIP
    >>> semst.pp.gene_semantics(adata, mode="spots", encoder=encoder)  # doctest: +SKIP
    """

    def __init__(self, model: str | os.PathLike[str], *, device: str = "auto", batch_size: int = 16) -> None:
        self._device = check_options("LanguageModelEncoder", device=device, batch_size=batch_size)
        dtype = choose_dtype(self._device)
        self._tokenizer, self._model = load(model, partial(_load, dtype=dtype), where="LanguageModelEncoder")
        self._model.to(self._device)
        self._batch_size = batch_size
        self._max_tokens = _longest_text(self._tokenizer, self._model.config)
        identity = fingerprint(
            self._model,
            _describe_config(self._model.config),
            describe_tokenizer(self._tokenizer),
            str(self._max_tokens),
        )
        self._name = encoder_name(model_label(model), identity, dtype)

    @property
    def name(self) -> str:
        """Model, fingerprint of its weights, and number format."""
        return self._name

    def __repr__(self) -> str:
        return f"LanguageModelEncoder({self._name!r})"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode ``n`` texts into ``(n, d)`` float32; what exceeds the model's length is cut off, with a warning.

        Raises
        ------
        ValueError
            If a text holds not a single token.
        """
        tokens = self._tokenize(texts)
        # Texts of like length share a batch, so that little is padded.
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        batches = [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]
        vectors: NDArray[np.float32] | None = None
        for batch in batches:
            encoded = self._encode_batch([tokens[row] for row in batch])
            if vectors is None:
                vectors = np.empty((len(tokens), encoded.shape[1]), dtype=np.float32)
            vectors[batch] = encoded
        return np.empty((0, self._model.config.hidden_size), dtype=np.float32) if vectors is None else vectors

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        tokens: list[list[int]] = [self._tokenizer(text, verbose=False)["input_ids"] for text in texts]
        for text, ids in zip(texts, tokens, strict=True):
            if not ids:
                message = f"LanguageModelEncoder: the text {text!r} holds no token; leave out empty texts."
                raise ValueError(message)
        if self._max_tokens is not None:
            n_cut = sum(len(ids) > self._max_tokens for ids in tokens)
            if n_cut:
                logger.warning("%s texts are longer than the model's %s tokens and were cut.", n_cut, self._max_tokens)
            tokens = [ids[: self._max_tokens] for ids in tokens]
        return tokens

    def _encode_batch(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        import torch

        lengths = torch.tensor([len(ids) for ids in tokens])
        # Any id will do for padding, as the mask hides it; many language models have none of their own.
        ids = torch.zeros((len(tokens), int(lengths.max())), dtype=torch.long)
        for row, row_ids in enumerate(tokens):
            ids[row, : len(row_ids)] = torch.tensor(row_ids)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self._device)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids.to(self._device), attention_mask=mask.long()).last_hidden_state
            total = (hidden.float() * mask[:, :, None]).sum(dim=1)
            means: NDArray[np.float32] = (total / mask.sum(dim=1, keepdim=True)).cpu().numpy()
        return means


def _load(source: str, *, offline: bool, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=offline)
    model = AutoModel.from_pretrained(
        source, dtype=dtype, trust_remote_code=False, local_files_only=offline, weights_only=True
    )
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    return tokenizer, model.eval()


def _longest_text(tokenizer: Any, config: Any) -> int | None:  # noqa: ANN401 - untyped library
    """Give the number of tokens that the model can read, or None where it says nothing about it."""
    limits = [getattr(tokenizer, "model_max_length", None), getattr(config, "max_position_embeddings", None)]
    # Tokenizers without a limit say so with a number of thirty digits.
    known = [int(limit) for limit in limits if limit is not None and 0 < limit < 10**9]
    return min(known, default=None)


def _describe_config(config: Any) -> str:  # noqa: ANN401 - untyped library
    """Spell out a configuration without what depends on the place or program it was saved with."""
    incidental = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}
    return repr(sorted((key, repr(value)) for key, value in config.to_dict().items() if key not in incidental))
