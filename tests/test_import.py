"""What ``import semst`` costs and loads, seen from fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import semst

HEAVY = (
    "matplotlib",
    "pooch",
    "scanpy",
    "sentence_transformers",
    "sklearn",
    "spatialdata",
    "squidpy",
    "torch",
    "torch_geometric",
    "transformers",
)


def in_fresh_process(code: str) -> dict:
    """Run code in a new interpreter; what it puts into ``result`` comes back."""
    program = f"import json, sys, time\nresult = {{}}\n{code}\nprint(json.dumps(result))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOADED = f"result['loaded'] = sorted(set({HEAVY!r}) & set(sys.modules))"


def test_import_takes_less_than_a_second():
    code = "start = time.perf_counter()\nimport semst\nresult['seconds'] = time.perf_counter() - start"
    assert min(in_fresh_process(code)["seconds"] for _ in range(3)) < 1


def test_import_loads_nothing_heavy_and_not_even_anndata():
    found = in_fresh_process(f"import semst\n{LOADED}\nresult['anndata'] = 'anndata' in sys.modules")
    assert found == {"loaded": [], "anndata": False}


def test_parts_that_need_no_torch_load_nothing_heavy():
    parts = "semst.pp, semst.pl, semst.datasets, semst.metrics, semst.semantics"
    assert in_fresh_process(f"import semst\n{parts}\n{LOADED}") == {"loaded": []}


@pytest.mark.parametrize("order", ["import semst, anndata", "import anndata, semst", "import semst.pp, anndata"])
def test_accessor_is_there_whatever_is_imported_first_and_loads_nothing_heavy(order):
    code = f"{order}\nresult['accessor'] = anndata.AnnData.semst.__name__\n{LOADED}"
    assert in_fresh_process(code) == {"accessor": "SemSTAccessor", "loaded": []}


def test_accessor_comes_with_anndata_that_another_package_imports():
    code = "import semst\nimport scanpy\nresult['accessor'] = hasattr(scanpy.AnnData, 'semst')"
    assert in_fresh_process(code) == {"accessor": True}


def test_waiting_for_anndata_disturbs_neither_a_search_nor_other_imports():
    code = """
import importlib.util
before = list(sys.meta_path)
import semst
first, second = importlib.util.find_spec("anndata"), importlib.util.find_spec("anndata")
result["searched"] = [first.name, second.name, "anndata" in sys.modules]
import anndata
result["accessor"] = hasattr(anndata.AnnData, "semst")
result["left_behind"] = [type(finder).__name__ for finder in sys.meta_path if "WhenImported" in type(finder).__name__]
result["origin"] = anndata.__spec__.origin == first.origin
"""
    found = in_fresh_process(code)
    assert found == {"searched": ["anndata", "anndata", False], "accessor": True, "left_behind": [], "origin": True}


def test_all_that_is_promised_can_be_reached():
    assert [name for name in semst.__all__ if not hasattr(semst, name)] == []
    assert set(semst.__all__) <= set(dir(semst))


def test_an_unknown_name_is_an_attribute_error_that_says_what_there_is():
    with pytest.raises(AttributeError, match="no attribute 'tools'; it has .*tl"):
        semst.tools  # noqa: B018


def test_version_is_that_of_the_installed_package():
    assert semst.__version__ == version("semst")


def test_the_first_call_warns_of_nothing_that_users_could_not_mend():
    code = """
import warnings, semst
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", SyntaxWarning)
    tissue = semst.datasets.simulated(n_spots=60, n_genes=40, n_domains=2, progress=False)
    semst.tl.query(tissue, tissue.var_names[0], n_permutations=19)
result["warned"] = [str(each.message) for each in caught if issubclass(each.category, SyntaxWarning)]
result["squidpy"] = "squidpy" in sys.modules
"""
    assert in_fresh_process(code) == {"warned": [], "squidpy": True}
