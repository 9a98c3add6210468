"""Reading what is asked, and turning it into weights of genes."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semst._problems import Problems
from semst.asking._questions import Question, broad, read_questions, short_name, steep, weigh, weights_of_directions
from semst.semantics._words import Glossary, WordSpace

GENES = ["MBP", "PLP1", "SNAP25", "SYT1"]


def read(asked, earlier=None):
    problems = Problems("here")
    questions = read_questions(asked, GENES, problems, earlier=earlier)
    problems.raise_if_any()
    return questions


# What is asked


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("myelin", [Question("myelin", text="myelin")]),
        ("  Myelin   sheath ", [Question("myelin_sheath", text="Myelin sheath")]),
        ("MBP", [Question("MBP", genes=(0,))]),
        (" MBP\n", [Question("MBP", genes=(0,))]),
        ("mbp", [Question("mbp", genes=(0,))]),
        ("fat", [Question("fat", text="fat")]),  # an alias of a gene, in prose
        ("ENSG00000197971", [Question("ENSG00000197971", genes=(0,))]),
        ("GABA", [Question("gaba", text="GABA")]),
        (pd.Series(["myelin", "MBP"]), [Question("myelin", text="myelin"), Question("MBP", genes=(0,))]),
        ({"set": pd.Index(["SYT1", "Plp1"])}, [Question("set", genes=(3, 1))]),
        ({"set": {"SYT1", "MBP"}}, [Question("set", genes=(0, 3))]),
        (["myelin", "SYT1"], [Question("myelin", text="myelin"), Question("SYT1", genes=(3,))]),
        (("myelin", "fat"), [Question("myelin", text="myelin"), Question("fat", text="fat")]),
        ({"Glia!": "myelin"}, [Question("Glia", text="myelin")]),
        ({"one": "SNAP25"}, [Question("one", genes=(2,))]),
        ({"set": ["SYT1", "MBP", "SYT1"]}, [Question("set", genes=(3, 0))]),
        ({"set": ("PLP1",)}, [Question("set", genes=(1,))]),
        ({"some": ["MBP", "nobody"]}, [Question("some", genes=(0,))]),
        ({1: "myelin", "a b": ["MBP"]}, [Question("1", text="myelin"), Question("a_b", genes=(0,))]),
        ({"one": "myelin", "other": "myelin"}, [Question("one", text="myelin"), Question("other", text="myelin")]),
    ],
)
def test_what_is_asked(asked, expected):
    assert read(asked) == expected


@pytest.mark.parametrize(
    ("asked", "name", "called"),
    [
        ({"T cells (CD3+)": ["MBP", "SYT1"]}, "T_cells_CD3", "T cells (CD3+)"),
        ({"Myelin": "white matter"}, "Myelin", "Myelin"),
        (" MBP\n", "MBP", "MBP"),
        ({"MyGene": "MBP"}, "MyGene", "MyGene"),
        ("White matter", "white_matter", "White matter"),  # words have no spelling of their own
    ],
)
def test_names_that_somebody_chose_keep_their_spelling(asked, name, called):
    (question,) = read(asked)
    assert (question.name, question.called) == (name, called)


def test_a_gene_that_the_table_lacks_is_read_as_words_and_noted():
    assert [(each.text, each.missing) for each in read(["GFAP", "DNA", "brain"])] == [
        ("GFAP", ("GFAP",)),
        ("DNA", ()),
        ("brain", ()),
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (5, "must be words, a sequence of them, or a mapping.*got 5"),
        (None, "got None"),
        ([], r"got \[\]"),
        ({}, "got {}"),
        ([1, 2], r"got \[1, 2\]"),
        ([["MBP", "PLP1"]], "mapping of names to words or lists of genes"),
        (b"myelin", "must be words"),
        ("", "the query '' holds no words"),
        ({"blank": " \n"}, "the query 'blank' holds no words"),
        ({"none": []}, "none of the 0 genes of the query 'none'"),
        ({"lost": ["nobody", "else"]}, r"none of the 2 genes of the query 'lost' is in var_names \('nobody', 'else'\)"),
        ({"number": 5}, "the query 'number' must be words or a list of gene names, got 5"),
        ({"nothing": None}, "the query 'nothing' must be words or a list of gene names, got None"),
        (["fat cells", "Fat, cells"], "different names.*'fat_cells'"),
        (["myelin", "myelin"], "different names.*'myelin'"),
        ({"?!": "myelin"}, "names with letters or digits"),
        ([f"{'long ' * 20} one", f"{'long ' * 20} other"], "different names"),
        (["myelin", "myelin pval"], "p-values of another query would be called 'myelin_pval'"),
    ],
)
def test_what_cannot_be_asked(asked, message):
    with pytest.raises(ValueError, match=message):
        read(asked)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match="(?s)3 problems.*'blank' holds no words.*query 'lost'.*'one'"):
        read({"blank": "", "lost": ["nobody"], "one": "fat", "One": "bone"})


@pytest.mark.parametrize(
    ("asked", "earlier", "message"),
    [
        ({"x": ["MBP"]}, ["x_pval"], "p-values of another query would be called 'x_pval' as well"),
        ({"x_pval": ["MBP"]}, ["x"], "p-values of another query would be called 'x_pval' as well"),
        ({"X_PVAL": ["MBP"]}, ["x"], "p-values of another query would be called 'x_pval' as well"),
        ({"abc": ["MBP"]}, ["Abc"], "earlier queries have these names in another spelling: 'Abc'"),
    ],
)
def test_names_must_be_told_from_those_of_earlier_queries(asked, earlier, message):
    assert read(asked)
    with pytest.raises(ValueError, match=message):
        read(asked, earlier)


def test_the_same_name_may_be_asked_again_whatever_else_is_there():
    assert read({"x": ["MBP"], "abc": ["PLP1"]}, ["x", "abc", "y", "y_pval", "Z", "z"])


def test_genes_that_are_not_there_are_remembered():
    (question,) = read({"some": ["MBP", "nobody", "else"]})
    assert question.missing == ("nobody", "else")


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_short_names_can_be_written(text):
    name = short_name(text)
    assert re.fullmatch(r"(?:[a-z0-9]+(?:_[a-z0-9]+)*)?", name)
    assert len(name) <= 60
    assert short_name(name) == name
    assert bool(name) == bool(re.search("[a-z0-9]", text.lower()))


# Weights


def test_weights_worked_out_by_hand():
    """Cosines 1, 0 and -1 have mean 0 and standard deviation sqrt(2/3)."""
    vectors = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0], [-1.0, 0.0]], dtype=np.float32)
    direction = np.array([[5.0, 0.0]], dtype=np.float32)
    z = np.sqrt(1.5)
    weights, cosines = weights_of_directions(direction, vectors, emphasis=steep)
    expected = np.exp([z, 0, -z])
    np.testing.assert_allclose(weights[[0, 2, 3], 0], expected, rtol=1e-6)
    assert weights[1, 0] == pytest.approx(expected.mean(), rel=1e-6)  # no vector: neither for nor against
    np.testing.assert_allclose(cosines[:, 0], [1, np.nan, 0, -1], atol=1e-6)
    assert cosines.dtype == np.float32
    squares, _ = weights_of_directions(direction, vectors, emphasis=broad)
    np.testing.assert_allclose(squares[:, 0], [1.5, 0.5, 0, 0], rtol=1e-6)


def test_emphasis():
    z = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(steep(z), np.exp(z))
    np.testing.assert_allclose(broad(z), [0, 0, 9])


@given(st.integers(0, 1000), st.sampled_from([steep, broad]))
@settings(max_examples=30)
def test_length_of_vectors_does_not_matter_and_neither_do_other_directions(seed, emphasis):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(20, 5)).astype(np.float32)
    vectors[rng.integers(20)] = 0
    directions = rng.normal(size=(3, 5)).astype(np.float32)
    weights, cosines = weights_of_directions(directions, vectors, emphasis=emphasis)
    longer = vectors * rng.uniform(0.1, 9, size=(20, 1)).astype(np.float32)
    again, same = weights_of_directions(directions * 7, longer, emphasis=emphasis)
    np.testing.assert_allclose(again, weights, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(same, cosines, rtol=1e-3, atol=1e-5)
    alone, _ = weights_of_directions(directions[1:2], vectors, emphasis=emphasis)
    np.testing.assert_allclose(alone[:, 0], weights[:, 1], rtol=1e-3, atol=1e-4)


def test_genes_that_all_fit_alike_weigh_alike():
    vectors = np.ones((4, 3), dtype=np.float32)
    weights, _ = weights_of_directions(np.array([[1.0, 0, 0]], dtype=np.float32), vectors, emphasis=steep)
    np.testing.assert_array_equal(weights, 1)


def test_words_and_genes_are_weighed_side_by_side():
    places = {"bark": [1.0, 0], "root": [0.0, 1], "leaf": [-1.0, -1]}

    def place(texts):
        # Within the sentence that asks, the same place: the word is found by its last letters.
        words = [next(word for word in places if word in text) for text in texts]
        return np.array([places[word] for word in words], dtype=np.float32)

    terms = tuple(places)
    space = WordSpace(place, Glossary(terms, terms, place(terms), place(terms), place(terms)))
    vectors = np.array([[1.0, 0], [0.0, 1], [0.0, 0], [-1.0, -1]], dtype=np.float32)
    questions = [
        Question("set", genes=(3, 0)),
        Question("words", text="bark"),
        Question("same", text="bark"),
        Question("other", text="leaf"),
    ]
    genes, words, same, other = weigh(questions, 4, vectors, space)
    np.testing.assert_array_equal(genes.weights, [1, 0, 0, 1])
    assert np.isnan(genes.likeness).all()
    assert genes.read_as == ()
    assert np.isnan(genes.nearness)
    assert genes.question is questions[0]
    assert words.weights.argmax() == 0
    assert words.likeness[0] == pytest.approx(1, abs=1e-3)
    assert words.read_as[0] == "bark"
    assert set(words.read_as) == set(terms)
    assert words.nearness == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(same.weights, words.weights)
    assert other.weights.argmax() == 3
    assert other.read_as[0] == "leaf"
    assert np.isnan(other.likeness[2])


def test_sets_of_genes_need_no_vectors():
    (found,) = weigh([Question("set", genes=(1,))], 3, None, None)
    np.testing.assert_array_equal(found.weights, [0, 1, 0])
