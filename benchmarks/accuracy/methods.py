"""The methods that are compared: where each is written, and in which environment it runs."""

from __future__ import annotations

from dataclasses import dataclass

OUR_PARTITION = " + our partition"


@dataclass(frozen=True)
class Method:
    """
    Parameters
    ----------
    file, function
        Where it is written; see ``one.py`` for what the function takes and gives.
    environment
        Name of a peer's environment; None for that of semst.
    uses_labels
        Whether it looks at the experts' labels. Shown to learn what that is worth, never compared.
    embedding_of
        Name of the method whose embedding it cuts; None for a method that starts from the counts.
    """

    file: str
    function: str = "find"
    environment: str | None = None
    uses_labels: bool = False
    embedding_of: str | None = None


PEERS = {
    "BANKSY": "banksy",
    "SpatialLeiden": "spatialleiden",
    "SpaGCN": "spagcn",
    "GraphST": "graphst",
    "CellCharter": "cellcharter",
    "STAGATE": "stagate",
    "Novae, from nothing": "novae",
}
WITHOUT_EMBEDDING = {"SpatialLeiden"}

METHODS = {
    "floor, 6 neighbours": Method("floor.py", "six"),
    "floor, 18 neighbours": Method("floor.py", "eighteen"),
    "semst": Method("ours.py", "default"),
    "semst, no semantics": Method("ours.py", "no_semantics"),
    "semst, one step": Method("ours.py", "one_step"),
    "semst, permuted genes": Method("ours.py", "permuted_genes"),
    "semst, spot prompts": Method("ours.py", "spot_prompts"),
    "semst, spot prompts, permuted genes": Method("ours.py", "spot_prompts_permuted"),
    "published preset": Method("ours.py", "published"),
    "published preset, oracle epoch": Method("ours.py", "published_oracle", uses_labels=True),
}
for _name, _environment in PEERS.items():
    METHODS[_name] = Method(f"peers/{_environment}.py", environment=_environment)
    if _name not in WITHOUT_EMBEDDING:
        METHODS[_name + OUR_PARTITION] = Method("ours.py", "partition", embedding_of=_name)
