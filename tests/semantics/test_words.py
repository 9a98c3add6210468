"""From words to directions among gene vectors: the formula worked out by hand, and which encoder may be asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semst._problems import Problems
from semst.semantics import SentenceEncoder, packaged_table, packaged_vocabulary
from semst.semantics import _words as words
from semst.semantics._vocabulary import ASK
from semst.semantics._words import Glossary, WordSpace, unit, word_space

TERMS = ("bark", "root", "leaf")
DEFINITIONS = ("It covers.", "It drinks.", "It eats light.")


class Letters:
    """Counts letters: a text encoder that needs no model, and remembers what it was asked."""

    def __init__(self, name="letters-1", letters="abcdefghijklmnopqrstuvwxyz"):
        self.name = name
        self.letters = letters
        self.asked = []

    def encode(self, texts):
        self.asked.extend(texts)
        return np.array([[text.lower().count(letter) for letter in self.letters] for text in texts], dtype=np.float32)


def place(texts):
    """Give every text a vector of its own, the same each time."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=5) for text in texts]
    return np.array(rows, dtype=np.float32)


def space():
    asked = place([ASK.format(term) for term in TERMS])
    return WordSpace(place, Glossary(TERMS, DEFINITIONS, place(TERMS), asked, place(DEFINITIONS)))


def by_hand(text):
    """The direction of a text, in plain steps."""
    plain, defined = place(TERMS).astype(float), place(DEFINITIONS).astype(float)
    asked = place([ASK.format(term) for term in TERMS]).astype(float)
    own = place([text])[0] - plain.mean(axis=0)
    cosine = [own @ (row - plain.mean(axis=0)) for row in plain]
    cosine = [
        dot / np.linalg.norm(own) / np.linalg.norm(row - plain.mean(axis=0))
        for dot, row in zip(cosine, plain, strict=True)
    ]
    share = np.exp(10 * np.array(cosine)) / np.exp(10 * np.array(cosine)).sum()
    meant = sum(w * (row - defined.mean(axis=0)) for w, row in zip(share, defined, strict=True))
    said = place([ASK.format(text)])[0] - asked.mean(axis=0)
    return said / np.linalg.norm(said) + meant / np.linalg.norm(meant), cosine


# The formula


@pytest.mark.parametrize("text", ["sap", "root", "The leaf of a tree."])
def test_a_direction_worked_out_by_hand(text):
    found, likeness = space().directions([text])
    direction, cosine = by_hand(text)
    np.testing.assert_allclose(found[0], direction, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(likeness[0], cosine, rtol=1e-4, atol=1e-5)
    assert found.dtype == likeness.dtype == np.float32


def test_a_term_is_nearest_to_itself():
    _, likeness = space().directions(TERMS)
    np.testing.assert_array_equal(likeness.argmax(axis=1), [0, 1, 2])
    np.testing.assert_allclose(np.diag(likeness), 1, rtol=1e-5)


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5))
@settings(max_examples=30)
def test_texts_do_not_touch_each_other(texts):
    together = space().directions(texts)
    for row, text in enumerate(texts):
        alone = space().directions([text])
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[row], rtol=1e-4, atol=1e-5)


def test_definitions_that_are_given_are_the_second_half():
    found = space().of_terms(["sap", "bark"], ["It rises.", "It is brown."])  # known by name, but meant otherwise
    asked, defined = (place([ASK.format(term) for term in TERMS]), place(DEFINITIONS))
    for row, (term, text) in enumerate([("sap", "It rises."), ("bark", "It is brown.")]):
        said, meant = place([ASK.format(term)])[0] - asked.mean(axis=0), place([text])[0] - defined.mean(axis=0)
        expected = said / np.linalg.norm(said) + meant / np.linalg.norm(meant)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_terms_of_the_vocabulary_in_any_order_need_no_encoder():
    def silent(texts):
        raise AssertionError(texts)

    known = space().glossary
    found = WordSpace(silent, known).of_terms(["leaf", "bark"], [DEFINITIONS[2], DEFINITIONS[0]])
    # The same terms beside one that must be read give the same rows.
    beside = space().of_terms(["leaf", "bark", "sap"], [DEFINITIONS[2], DEFINITIONS[0], "It rises."])
    np.testing.assert_allclose(found, beside[:2], rtol=1e-4, atol=1e-5)


def test_terms_without_a_definition_are_read_like_a_query():
    found = space().of_terms(["sap", "leaf", "bark"], ["", DEFINITIONS[2], ""])
    np.testing.assert_allclose(found[[0, 2]], space().directions(["sap", "bark"])[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], space().of_terms(["leaf"], [DEFINITIONS[2]])[0], rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[0], by_hand("leaf")[0])


def test_unit_rows():
    found = unit(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert found.dtype == np.float32


# Which encoder


@pytest.fixture
def problems():
    return Problems("here")


@pytest.fixture(scope="module")
def minilm():
    return SentenceEncoder(device="cpu")


def test_packaged_vectors_need_no_model_for_packaged_terms(problems, monkeypatch):
    def never(encoder):
        raise AssertionError(encoder)

    monkeypatch.setattr(words, "_open", never)
    known = packaged_vocabulary()
    found = word_space("packaged", None, problems, key="gene_semantics").of_terms(known.terms, known.definitions)
    assert found.shape == (len(known.terms), 128)
    assert not problems
    assert np.linalg.norm(found, axis=1).min() > 0.5


def test_typed_words_reach_the_packaged_vocabulary(problems, minilm):
    opened = word_space("packaged", minilm, problems, key="gene_semantics")
    assert not problems
    asked = ["myelin sheath", "  Myelin Sheath ", "gibberish of the stock exchange"]
    directions, likeness = opened.directions([" ".join(text.split()) for text in asked])
    terms = opened.glossary.terms
    assert terms[likeness[0].argmax()] == "myelin sheath"
    assert likeness[0].max() > 0.99
    assert likeness[2].max() < 0.5
    np.testing.assert_allclose(directions[0], directions[1], atol=0.05)  # the model reads no capitals
    packaged = opened.of_terms(["myelin sheath"], [opened.glossary.definitions[terms.index("myelin sheath")]])
    cosine = (unit(directions[:1]) @ unit(packaged).T).item()
    assert cosine > 0.99  # typed, it leads where the term itself does


def test_a_model_is_loaded_once(problems, monkeypatch, tmp_path):
    loaded = []

    class Counted(Letters):
        def __init__(self, model):
            loaded.append(model)
            super().__init__(letters=[chr(97 + number % 26) * (1 + number // 26) for number in range(384)])

    monkeypatch.setattr("semst.semantics._sentence.SentenceEncoder", Counted)
    words._load.cache_clear()
    try:
        opened = words._open(tmp_path)
        assert words._open(str(tmp_path)) is opened
        assert loaded == [str(tmp_path)]
    finally:
        words._load.cache_clear()


@pytest.mark.parametrize("letters", ["abc", [chr(97 + number) for number in range(384)]])
def test_packaged_vectors_refuse_another_encoder_of_any_width(problems, letters):
    assert word_space("packaged", Letters("letters-9", letters), problems, key="gene_semantics") is None
    with pytest.raises(ValueError, match=r"varm\['gene_semantics'\].*'sentence-transformers/all-MiniLM.*'letters-9'"):
        problems.raise_if_any()


def test_an_object_that_is_no_encoder(problems):
    assert word_space("packaged", 5, problems, key="gene_semantics") is None
    with pytest.raises(ValueError, match=r"encoder must be.*semst\.semantics\.Encoder, got int"):
        problems.raise_if_any()


def test_own_vectors_without_their_encoder(problems):
    assert word_space("letters-1", None, problems, key="mine") is None
    with pytest.raises(ValueError, match=r"varm\['mine'\] come from 'letters-1'.*give it with `encoder`"):
        problems.raise_if_any()


def test_own_vectors_with_another_encoder(problems, tmp_path):
    other = Letters("letters-2")
    assert word_space("letters-1", other, problems, key="mine", cache_dir=tmp_path) is None
    assert not other.asked
    with pytest.raises(ValueError, match=r"varm\['mine'\] were made by 'letters-1', not by 'letters-2'"):
        problems.raise_if_any()


def test_own_encoder_reads_the_vocabulary_once(problems, tmp_path):
    encoder = Letters()
    opened = word_space("letters-1", encoder, problems, key="mine", cache_dir=tmp_path)
    known = packaged_vocabulary()
    assert not problems
    assert opened.glossary.terms == known.terms
    for own, texts in (("plain", known.terms), ("defined", known.definitions)):
        np.testing.assert_array_equal(getattr(opened.glossary, own), Letters().encode(texts))
    np.testing.assert_array_equal(opened.glossary.asked, Letters().encode([ASK.format(term) for term in known.terms]))
    assert len(encoder.asked) == len({*known.terms, *known.definitions, *(ASK.format(term) for term in known.terms)})
    encoder.asked.clear()
    again = word_space("letters-1", encoder, problems, key="mine", cache_dir=tmp_path)
    again.directions(["squirrel", "squirrel"])
    assert encoder.asked == ["squirrel", ASK.format("squirrel")]


def test_the_projection_puts_words_where_the_genes_are(problems, minilm):
    """The mean and the axes of the gene table are used, not those of anything else."""
    opened = word_space("packaged", minilm, problems, key="gene_semantics")
    texts = ["synaptic vesicle", "bone"]
    np.testing.assert_allclose(opened.place(texts), packaged_table().project(minilm.encode(texts)), atol=1e-6)
