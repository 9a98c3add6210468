"""Genes and text to vectors; knows genes, never spots."""

from semst.semantics._encoders import Encoder
from semst.semantics._language_model import LanguageModelEncoder
from semst.semantics._packaged import PackagedTable, packaged_table
from semst.semantics._resolve import Resolution, Species, infer_species, resolve_genes
from semst.semantics._sentence import SentenceEncoder
from semst.semantics._vocabulary import Vocabulary, packaged_vocabulary

__all__ = [
    "Encoder",
    "LanguageModelEncoder",
    "PackagedTable",
    "Resolution",
    "SentenceEncoder",
    "Species",
    "Vocabulary",
    "infer_species",
    "packaged_table",
    "packaged_vocabulary",
    "resolve_genes",
]
