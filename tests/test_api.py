"""Every public name keeps to one shape: how it is called, what it says of itself."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import get_args

import pytest

import semst
from semst.clustering._checks import ClusterOptions
from semst.semantics import Species

PARTS = ("datasets", "metrics", "nn", "pl", "pp", "semantics", "tl")
ON_DATA = ("pl", "pp", "tl")  # the user's object comes first, all else by keyword
PURE = ("nn",)  # mathematics on tensors, called as torch's own functions are
HEADING = re.compile(r"^(?P<name>[A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)


def public():
    for part in PARTS:
        module = getattr(semst, part)
        for name in module.__all__:
            yield part, name, getattr(module, name)


FUNCTIONS = [pytest.param(part, each, id=f"{part}.{name}") for part, name, each in public() if inspect.isfunction(each)]
CLASSES = [pytest.param(part, each, id=f"{part}.{name}") for part, name, each in public() if inspect.isclass(each)]
ON_TISSUE = [param for param in FUNCTIONS if param.values[0] in ON_DATA] + [
    pytest.param("metrics", semst.metrics.score, id="metrics.score")
]


def parameters(function):
    return [each for name, each in inspect.signature(function).parameters.items() if name != "self"]


def sections(doc):
    """Sections of a numpydoc string, and its summary under ''."""
    text = inspect.cleandoc(doc)
    found = list(HEADING.finditer(text))
    bounds = [each.start() for each in found] + [len(text)]
    parts = {each["name"]: text[each.end() : end].strip("\n") for each, end in zip(found, bounds[1:], strict=True)}
    return {"": text[: bounds[0]], **parts}


def described(section):
    """Names that a section of parameters describes: lines that are not indented."""
    return [name.strip() for line in section.splitlines() if line[:1].strip() for name in line.split(",")]


def test_the_list_of_parts_is_complete():
    assert set(PARTS) == set(semst.__all__) - {"SemST", "__version__"}


def test_all_lists_hold_public_names_once():
    for part in PARTS:
        names = getattr(semst, part).__all__
        assert len(set(names)) == len(names)
        assert not [name for name in names if name.startswith("_")]


@pytest.mark.parametrize(("part", "function"), ON_TISSUE)
def test_data_comes_first_and_the_rest_by_keyword(part, function):
    first, *rest = parameters(function)
    if function is semst.tl.transfer:  # what is applied comes before what it is applied to: transfer(model, data)
        assert first.name == "model"
        first, *rest = rest
    assert first.name == "data"
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    # What is asked of the data may follow it: query(adata, "white matter").
    assert {each.kind for each in rest if each.name != "queries"} <= {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(("part", "function"), [param for param in FUNCTIONS if param.values[0] not in PURE])
def test_what_has_a_default_goes_by_keyword(part, function):
    _, *rest = parameters(function) or [None]
    optional = [each for each in rest if each.default is not inspect.Parameter.empty]
    assert {each.kind for each in optional} <= {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(("part", "function"), [*FUNCTIONS, *CLASSES])
def test_everything_is_annotated(part, function):
    target = function.__init__ if inspect.isclass(function) else function
    missing = [each.name for each in parameters(target) if each.annotation is inspect.Parameter.empty]
    variadic = inspect.isclass(function) and {each.name for each in parameters(target)} <= {"args", "kwargs"}
    assert missing == [] or variadic  # protocols have no constructor of their own
    if not inspect.isclass(function):
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize(("part", "function"), ON_TISSUE)
def test_common_arguments_have_common_defaults(part, function):
    common = {"random_state": 0, "progress": True, "copy": False, "table_key": None, "spatial_key": "spatial"}
    for each in parameters(function):
        assert each.default == common.get(each.name, each.default), each.name


def test_what_cluster_is_called_with_and_what_a_model_is_trained_with_have_the_same_defaults():
    options = {each.name: each.default for each in fields(ClusterOptions)}
    of_cluster = {each.name: each.default for each in parameters(semst.tl.cluster)}
    assert {name: of_cluster[name] for name in options} == options
    of_train = {each.name: each.default for each in parameters(semst.SemST.train)}
    shared = of_cluster.keys() - options.keys() - {"data", "copy"}
    assert {name: of_train[name] for name in shared} == {name: of_cluster[name] for name in shared}


@pytest.mark.parametrize(("part", "each"), [*FUNCTIONS, *CLASSES])
def test_the_summary_is_one_sentence(part, each):
    summary = sections(each.__doc__)[""].split("\n\n")[0]
    assert summary.endswith("."), summary
    assert len(summary.splitlines()) == 1, summary


@pytest.mark.parametrize(("part", "each"), [*FUNCTIONS, *CLASSES])
def test_the_docstring_describes_every_argument_and_no_other(part, each):
    found = sections(each.__doc__)
    target = each.__init__ if inspect.isclass(each) else each
    names = [parameter.name for parameter in parameters(target) if parameter.name not in {"args", "kwargs"}]
    if "Parameters" in found or "Attributes" in found:
        assert described(found.get("Parameters") or found["Attributes"]) == names
    else:  # a short one names its arguments in its text
        assert [name for name in names if not re.search(rf"\b{name}\b", found[""])] == []


@pytest.mark.parametrize(("part", "function"), ON_TISSUE)
def test_what_is_written_what_is_raised_and_an_example_are_told(part, function):
    found = sections(function.__doc__)
    assert {"Parameters", "Returns", "Raises", "Examples"} <= set(found)
    assert ">>>" in found["Examples"]
    assert {"TypeError", "KeyError", "ValueError"} <= set(described(found["Raises"]))


@pytest.mark.parametrize(("part", "each"), FUNCTIONS)
def test_sections_stand_in_the_order_of_numpydoc(part, each):
    order = ["", "Parameters", "Returns", "Yields", "Raises", "See Also", "Notes", "References", "Examples"]
    names = list(sections(each.__doc__))
    assert set(names) <= set(order)
    assert names == sorted(names, key=order.index)


def test_species_are_those_of_the_simulated_tissue():
    from semst.datasets._simulated import Species as Simulated

    assert get_args(Species) == get_args(Simulated)
