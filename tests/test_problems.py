from __future__ import annotations

import numpy as np
import pytest

from semst._problems import InputError, MissingKeyError, Problems, listed, meant, unknown


def raised(problems):
    with pytest.raises(InputError) as caught:
        problems.raise_if_any()
    return caught.value


def test_nothing_wrong_raises_nothing():
    problems = Problems("f")
    assert not problems
    problems.raise_if_any()


def test_one_problem_of_value_is_a_value_error_in_one_line():
    problems = Problems("semst.f")
    problems.add("x must be 1.")
    error = raised(problems)
    assert problems
    assert str(error) == "semst.f: x must be 1."
    assert isinstance(error, ValueError)
    assert not isinstance(error, KeyError)


def test_missing_keys_alone_are_a_key_error_that_prints_line_breaks():
    problems = Problems("semst.f")
    problems.missing("no layer 'a'.")
    problems.missing("no key 'b'.")
    error = raised(problems)
    assert type(error) is MissingKeyError
    assert isinstance(error, KeyError)
    assert isinstance(error, ValueError)
    assert str(error) == "semst.f: 2 problems with the input.\n  1. no layer 'a'.\n  2. no key 'b'."


def test_mixed_problems_are_a_value_error_in_the_order_they_were_found():
    for first, second in (("missing", "add"), ("add", "missing")):
        problems = Problems("f")
        getattr(problems, first)("one")
        getattr(problems, second)("two")
        error = raised(problems)
        assert type(error) is InputError
        assert str(error).splitlines()[1:] == ["  1. one", "  2. two"]


def test_a_problem_that_is_met_again_is_told_once():
    problems = Problems("f")
    problems.add("one")
    problems.missing("two")
    problems.missing("two")
    problems.add("one")
    assert str(raised(problems)) == "f: 2 problems with the input.\n  1. one\n  2. two"


@pytest.mark.parametrize("value", [2, 7, np.int64(2), np.uint8(3)])
def test_whole_numbers_are_no_problem(value):
    problems = Problems("f")
    problems.whole("n", value, least=2)
    assert not problems


@pytest.mark.parametrize("value", [1, -3, 2.0, np.float32(2), True, np.True_, "2", None, np.array([2, 3])])
def test_what_is_no_whole_number_or_too_small_is_told(value):
    problems = Problems("f")
    problems.whole("n", value, least=2)
    assert str(raised(problems)) == f"f: n must be a whole number of at least 2, got {value!r}."


@pytest.mark.parametrize("value", [0, 0.5, 3, np.float32(2), np.int64(7)])
def test_finite_numbers_are_no_problem(value):
    problems = Problems("f")
    problems.number("x", value, least=0)
    assert not problems


@pytest.mark.parametrize("value", [-1, -1e-9, np.nan, np.inf, True, "2", None, np.array([2.0])])
def test_what_is_no_finite_number_or_too_small_is_told(value):
    problems = Problems("f")
    problems.number("x", value, least=0)
    assert str(raised(problems)) == f"f: x must be a finite number of at least 0, got {value!r}."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cuonts", "did you mean 'counts'?"),
        ("COUNTS", "did you mean 'counts'?"),
        ("layer_1", "did you mean 'Layer1' or 'Layer2'?"),
        ("umap", ""),
        (5, ""),
    ],
)
def test_a_name_like_one_that_is_there_may_have_been_meant(name, expected):
    assert meant(name, {"counts": 1, "Layer1": 2, "Layer2": 3}) == expected


def test_a_value_that_there_is_not_is_told_with_those_that_there_are():
    assert unknown("preset", "best", ("default",)) == "preset must be one of 'default', got 'best'."
    assert unknown("preset", None, ("default",)) == "preset must be one of 'default', got None."
    told = "partition must be one of 'mixture', 'kmeans', got 'k-means' (did you mean 'kmeans'?)."
    assert unknown("partition", "k-means", ("mixture", "kmeans")) == told


@pytest.mark.parametrize(
    ("names", "limit", "expected"),
    [
        ([], 3, "none"),
        (["a"], 3, "'a'"),
        (["a", "b", "c"], 3, "'a', 'b', 'c'"),
        (["a", "b", "c"], 1, "'a' and 2 more"),
        ({"k": 1}, 3, "'k'"),
        ([1, 2], 3, "'1', '2'"),
    ],
)
def test_listed(names, limit, expected):
    assert listed(names, limit=limit) == expected
