from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from semst.semantics import _cache
from semst.semantics._cache import TextCache, encode_cached


class Counting:
    """Gives (length, first letter) and remembers what it was asked."""

    def __init__(self, name="counting", *, interrupt_after=None):
        self.name = name
        self.asked = []
        self.calls = 0
        self.interrupt_after = interrupt_after

    def encode(self, texts):
        if self.calls == self.interrupt_after:
            raise KeyboardInterrupt
        self.calls += 1
        self.asked.extend(texts)
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float32)


TEXTS = [f"{letter} {'x' * number}" for number, letter in enumerate("hgfedcbaab")]
EXPECTED = np.array([[len(text), ord(text[0])] for text in TEXTS], dtype=np.float32)


def test_vectors_come_in_the_order_of_the_texts(tmp_path):
    result = encode_cached(Counting(), TEXTS, cache_dir=tmp_path, progress=False, chunk_size=3)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, EXPECTED)


def test_equal_texts_are_encoded_once(tmp_path):
    encoder = Counting()
    result = encode_cached(encoder, ["b", "a", "b", "b"], cache_dir=tmp_path, progress=False)
    assert sorted(encoder.asked) == ["a", "b"]
    np.testing.assert_array_equal(result[:, 1], [98, 97, 98, 98])


def test_interrupted_run_continues(tmp_path):
    first = Counting(interrupt_after=2)
    with pytest.raises(KeyboardInterrupt):
        encode_cached(first, TEXTS, cache_dir=tmp_path, progress=False, chunk_size=3)
    assert len(first.asked) == 6
    second = Counting()
    result = encode_cached(second, TEXTS, cache_dir=tmp_path, progress=False, chunk_size=3)
    assert second.calls == 2
    assert sorted(first.asked + second.asked) == sorted(TEXTS)  # each once, in one of the two runs
    np.testing.assert_array_equal(result, EXPECTED)


def test_third_run_asks_nothing(tmp_path):
    encode_cached(Counting(), TEXTS, cache_dir=tmp_path, progress=False)
    again = Counting(interrupt_after=0)
    np.testing.assert_array_equal(encode_cached(again, TEXTS, cache_dir=tmp_path, progress=False), EXPECTED)


def test_another_encoder_shares_nothing(tmp_path):
    encode_cached(Counting("one"), TEXTS, cache_dir=tmp_path, progress=False)
    other = Counting("two")
    encode_cached(other, TEXTS, cache_dir=tmp_path, progress=False)
    assert len(other.asked) == len(TEXTS)


def test_storing_is_all_or_nothing(tmp_path):
    cache = TextCache(tmp_path)
    with pytest.raises(ValueError, match="zip"):
        cache.put("e", ["a", "b"], np.ones((1, 2), dtype=np.float32))
    assert cache.get("e", "a") is None
    cache.close()


def test_bar_counts_what_is_encoded(tmp_path, capsys):
    encode_cached(Counting(), TEXTS, cache_dir=tmp_path, progress=True)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capsys.readouterr().err
    encode_cached(Counting(), TEXTS, cache_dir=tmp_path / "other", progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda texts: np.ones(len(texts)), "shape"),
        (lambda texts: np.ones((len(texts) + 1, 2)), "shape"),
        (lambda texts: np.ones((len(texts), 0)), "shape"),
        (lambda texts: np.full((len(texts), 2), np.nan), "NaN"),
    ],
)
def test_useless_encoder_is_named(tmp_path, give, message):
    encoder = Counting("mine")
    encoder.encode = give
    with pytest.raises(ValueError, match=f"'mine'.*{message}"):
        encode_cached(encoder, TEXTS, cache_dir=tmp_path, progress=False)


def test_encoder_that_changed_its_width_is_named(tmp_path):
    encode_cached(Counting("mine"), ["a"], cache_dir=tmp_path, progress=False)
    wider = Counting("mine")
    wider.encode = lambda texts: np.ones((len(texts), 5))
    with pytest.raises(ValueError, match=r"different lengths: \[2, 5\]"):
        encode_cached(wider, ["a", "b"], cache_dir=tmp_path, progress=False)


def test_damaged_file_says_what_to_do(tmp_path):
    (tmp_path / "text_vectors.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 40)
    with pytest.raises(OSError, match="delete the file"):
        encode_cached(Counting(), TEXTS, cache_dir=tmp_path, progress=False)


def test_file_of_another_kind_says_what_to_do(tmp_path):
    with closing(sqlite3.connect(tmp_path / "text_vectors.sqlite")) as file, file:
        file.execute("CREATE TABLE vectors (name TEXT)")
    with pytest.raises(OSError, match="is no text cache of semst; delete the file"):
        encode_cached(Counting(), TEXTS, cache_dir=tmp_path, progress=False)


def test_folder_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="SEMST_CACHE_DIR"):
        encode_cached(Counting(), TEXTS, cache_dir=tmp_path / "file", progress=False)


def test_place_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMST_CACHE_DIR", str(tmp_path / "named"))
    encode_cached(Counting(), TEXTS, progress=False)
    with sqlite3.connect(tmp_path / "named" / "text_vectors.sqlite") as file:
        assert file.execute("SELECT COUNT(*) FROM vectors").fetchone() == (len(set(TEXTS)),)
    file.close()


def test_a_file_that_others_write_is_not_to_be_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "_SECONDS_TO_WAIT_FOR_OTHERS", 0.1)
    cache = TextCache(tmp_path)
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for use in (
        lambda: TextCache(tmp_path),
        lambda: cache.put("e", ["a"], np.ones((1, 2), dtype=np.float32)),
        lambda: cache.get("e", "a"),
    ):
        with pytest.raises(OSError, match="another process has been writing") as caught:
            use()
        assert "delete" not in str(caught.value)
    other.close()
    cache.close()


def test_damage_that_shows_late_says_what_to_do(tmp_path):
    encode_cached(Counting(), [f"text {number}" for number in range(2000)], cache_dir=tmp_path, progress=False)
    path = tmp_path / "text_vectors.sqlite"
    content = bytearray(path.read_bytes())
    content[8192:] = b"x" * (len(content) - 8192)  # the first page says what there is, and stays
    path.write_bytes(content)
    with pytest.raises(OSError, match="delete the file"):
        encode_cached(Counting(), [f"text {number}" for number in range(2000)], cache_dir=tmp_path, progress=False)
