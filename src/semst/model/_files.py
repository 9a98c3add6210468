"""Models on disk: a folder with arrays as safetensors and all else as json. Nothing in it can run code."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._folders import move_all
from semst.model._discriminant import Discriminant
from semst.model._genes import Panel
from semst.model._kept import Kept, Meaning
from semst.model._profiles import Profiles
from semst.model._reading import Reading
from semst.training._recipe import View

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from semst.nn import SemSTNetwork

    Arrays = dict[str, NDArray[Any]]

FORMAT = 2  # 1 had no checksum of the facts
KIND = "semst.SemST"
FACTS, ARRAYS = "model.json", "arrays.safetensors"


def write_model(folder: str | os.PathLike[str], kept: Kept, colors: list[str] | None, *, overwrite: bool) -> None:
    """Write a model: into a hidden folder, and from there to its place when it is complete.

    Of a folder that is there the files of the model are replaced, and all others stay.

    Raises
    ------
    FileExistsError
        If the folder is there and ``overwrite`` is not set, or what is there is no model.
    NotADirectoryError
        If a file lies where a folder above it would be.
    """
    from safetensors.numpy import save_file

    path = Path(folder)
    _check_place(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.exists()
    # Inside of a folder that is there: it may be a link, or lie on a disk of its own, and files are only moved on one.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path if there else path.parent) as aside:
        new = Path(aside) / "new"
        new.mkdir()
        facts, arrays = _taken_apart(kept)
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, new / ARRAYS)
        facts |= {"format": FORMAT, "kind": KIND, "colors": colors}
        facts = json.loads(json.dumps(facts, default=_plain))  # what will be read again, to the type of every key
        facts["sha256"] = {FACTS: _checksum_of_facts(facts), ARRAYS: _checksum(new / ARRAYS)}
        (new / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        if there:
            move_all({path / each: new / each for each in (ARRAYS, FACTS)})
        else:
            new.rename(path)


def _check_place(path: Path, *, overwrite: bool) -> None:
    """Refuse what is there and is not to be replaced, and a place where no folder can be made."""
    if path.exists() or path.is_symlink():
        if not overwrite:
            message = f"SemST.save: {str(path)!r} exists; choose another folder, or `overwrite=True`."
            raise FileExistsError(message)
        if not (path / FACTS).is_file():
            message = f"SemST.save: {str(path)!r} is no model (it has no {FACTS}), so it is not overwritten."
            raise FileExistsError(message)
    above = next(each for each in path.absolute().parents if each.exists() or each.is_symlink())
    if not above.is_dir():
        message = f"SemST.save: {str(above)!r} is no folder, so none can be made in it; choose another one."
        raise NotADirectoryError(message)


def read_model(folder: str | os.PathLike[str]) -> tuple[Kept, list[str] | None]:
    """Read a model and its colours.

    Raises
    ------
    FileNotFoundError
        If the folder or a file in it is missing.
    ValueError
        If a file is damaged or was edited, is no model of semst, or of another format.
    """
    path = Path(folder)
    for each in (path, path / FACTS, path / ARRAYS):
        if not each.exists():
            what = "is missing" if each == path else f"has no {each.name}, so it is no complete model"
            message = f"SemST.load: the folder {str(path)!r} {what}; a model is written by `model.save(folder)`."
            raise FileNotFoundError(message)
    facts = _read_facts(path / FACTS)
    sums = facts.pop("sha256", None)
    found = {FACTS: _checksum_of_facts(facts), ARRAYS: _checksum(path / ARRAYS)}
    for name, own in found.items():
        if not isinstance(sums, dict) or sums.get(name) != own:
            message = (
                f"SemST.load: {str(path / name)!r} is damaged, was edited, or is of another model (its checksum "
                "differs); save the model again, or take it from where it came."
            )
            raise ValueError(message)
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        kept = _put_together(facts, load_file(path / ARRAYS))
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        message = f"SemST.load: {str(path)!r} does not hold what a model of format {FORMAT} has ({error!s})."
        raise ValueError(message) from error
    return kept, facts.get("colors")


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"SemST.load: {str(path)!r} is damaged: it is no json ({error})."
        raise ValueError(message) from error
    if not isinstance(facts, dict) or facts.get("kind") != KIND:
        message = f"SemST.load: {str(path)!r} does not describe a model of semst."
        raise ValueError(message)
    if facts.get("format") != FORMAT:
        told = facts.get("versions")
        version = told.get("semst", "unknown") if isinstance(told, dict) else "unknown"
        message = (
            f"SemST.load: {str(path)!r} has format {facts.get('format')!r}, written by semst {version}, and this one "
            f"reads format {FORMAT}. Train the model again, or load it with the one that wrote it."
        )
        raise ValueError(message)
    return facts


def _checksum_of_facts(facts: dict[str, Any]) -> str:
    """Sum up what a file of facts says, whatever the order and spacing; the sums themselves are left out."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: object) -> object:
    """Turn numpy's numbers and arrays into those of json."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    message = f"{type(value).__name__} cannot be written to json."
    raise TypeError(message)


def _taken_apart(kept: Kept) -> tuple[dict[str, Any], Arrays]:
    arrays: Arrays = {"panel.chosen": kept.panel.chosen, "panel.totals": kept.panel.totals}
    for transform, reading in kept.readings.items():
        for name in ("deviation", "mean", "turn"):
            if (array := getattr(reading, name)) is not None:
                arrays[f"reading.{transform}.{name}"] = array
    for number, network in enumerate(kept.networks):
        for name, tensor in network.state_dict().items():
            arrays[f"network.{number}.{name}"] = tensor.numpy()
    for number, each in enumerate(kept.discriminants):
        for name, array in vars(each).items():
            arrays[f"discriminant.{number}.{name}"] = array
    assert kept.profiles is not None  # only while a model is made
    arrays |= {"profiles.means": kept.profiles.means, "profiles.likeness": kept.profiles.likeness}
    meaning = kept.meaning
    if meaning is not None:
        arrays["meaning.mean"] = meaning.mean
        arrays |= {f"meaning.centre.{n_rings}": centre for n_rings, centre in meaning.centres.items()}
    facts = {
        "versions": kept.versions,
        "params": kept.params,
        "n_spots": kept.n_spots,
        "n_slices": kept.n_slices,
        "views": [asdict(view) for view in kept.views],
        "expression_neighbors": kept.expression_neighbors,
        "linear": kept.linear,
        "smoothed": kept.smoothed,
        "species": kept.panel.species,
        "depths": {transform: reading.depth for transform, reading in kept.readings.items()},
        "architectures": [asdict(network.architecture) for network in kept.networks],
        "meaning": None if meaning is None else {"params": meaning.params, "units": list(meaning.units.items())},
        "domains": list(kept.domains),
        "n_discriminants": len(kept.discriminants),
        "genes": list(kept.panel.names),
    }
    return facts, arrays


def _put_together(facts: dict[str, Any], arrays: Arrays) -> Kept:
    meaning = None
    if facts["meaning"] is not None:
        units = {int(n_rings): float(unit) for n_rings, unit in facts["meaning"]["units"]}
        centres = {n_rings: arrays[f"meaning.centre.{n_rings}"] for n_rings in units}
        meaning = Meaning(facts["meaning"]["params"], arrays["meaning.mean"], centres, units)
    return Kept(
        params=facts["params"],
        versions=facts["versions"],
        n_spots=facts["n_spots"],
        n_slices=facts["n_slices"],
        views=tuple(View(**view) for view in facts["views"]),
        expression_neighbors=facts["expression_neighbors"],
        linear=facts["linear"],
        smoothed=facts["smoothed"],
        panel=Panel(tuple(facts["genes"]), facts["species"], arrays["panel.chosen"], arrays["panel.totals"]),
        readings={
            transform: Reading(
                transform,
                depth,
                arrays[f"reading.{transform}.deviation"],
                arrays[f"reading.{transform}.mean"],
                arrays.get(f"reading.{transform}.turn"),
                within=facts["n_slices"] > 1,
            )
            for transform, depth in facts["depths"].items()
        },
        networks=tuple(
            _network(architecture, arrays, f"network.{number}.")
            for number, architecture in enumerate(facts["architectures"])
        ),
        meaning=meaning,
        domains=tuple(facts["domains"]),
        discriminants=tuple(
            Discriminant(*(arrays[f"discriminant.{number}.{name}"] for name in ("axes", "means", "distances")))
            for number in range(facts["n_discriminants"])
        ),
        profiles=Profiles(arrays["profiles.means"], arrays["profiles.likeness"]),
    )


def _network(architecture: dict[str, Any], arrays: Arrays, prefix: str) -> SemSTNetwork:
    import torch

    from semst.nn import Architecture, SemSTNetwork

    # Initial weights are drawn from torch's global generator, which is the user's.
    with torch.random.fork_rng(devices=[]):
        network = SemSTNetwork(Architecture(**architecture))
    own = {key: torch.from_numpy(array) for key, array in arrays.items() if key.startswith(prefix)}
    network.load_state_dict({key.removeprefix(prefix): tensor for key, tensor in own.items()})
    return network.eval()
