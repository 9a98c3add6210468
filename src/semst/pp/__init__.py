"""Before the network: the meaning of genes, expression and graphs."""

from semst.pp._gene_semantics import gene_semantics

__all__ = ["gene_semantics"]
