"""A model on disk: nothing in it can run, it appears at once or not at all, and damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import semst
from semst.model._files import _checksum_of_facts

FACTS, ARRAYS = "model.json", "arrays.safetensors"


def test_a_folder_holds_safetensors_and_json_and_nothing_else(folder):
    from safetensors.numpy import load

    assert sorted(path.name for path in folder.iterdir()) == [ARRAYS, FACTS]
    assert json.loads((folder / FACTS).read_text())["format"] == 2
    assert load((folder / ARRAYS).read_bytes())
    assert b"\x80\x04" not in (folder / ARRAYS).read_bytes()[:64]  # no pickle begins here


def test_loading_unpickles_nothing(folder, monkeypatch):
    import pickle

    import numpy as np
    import torch

    def refuse(*_, **__):
        raise AssertionError

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"), (np, "load")):
        monkeypatch.setattr(module, name, refuse)
    semst.SemST.load(folder)


def test_an_existing_folder_is_only_replaced_when_asked(trained, folder):
    model = semst.SemST(trained[1]._kept, colors=["red", "green", "blue", "black"])
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(folder)
    assert semst.SemST.load(folder).colors is None
    model.save(folder, overwrite=True)
    assert semst.SemST.load(folder).colors == ["#ff0000", "#008000", "#0000ff", "#000000"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_is_no_model_is_never_overwritten(trained, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="is no model"):
        trained[1].save(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_folder_cannot_be_made_inside_of_a_file(trained, tmp_path):
    (tmp_path / "in.h5ad").write_text("a tissue")
    for place in ("in.h5ad/model", "in.h5ad/models/model"):
        with pytest.raises(NotADirectoryError, match=r"SemST.save: '.*in\.h5ad' is no folder.* choose another"):
            trained[1].save(tmp_path / place)
    assert (tmp_path / "in.h5ad").read_text() == "a tissue"


def test_a_write_that_fails_leaves_what_was_there(trained, folder, monkeypatch):
    import safetensors.numpy

    def full(*_):
        message = "no space left on device"
        raise OSError(message)

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        trained[1].save(folder, overwrite=True)
    with pytest.raises(OSError, match="no space"):
        trained[1].save(folder.parent / "new")
    monkeypatch.undo()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    semst.SemST.load(folder)


def test_a_missing_folder_or_file_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*is missing"):
        semst.SemST.load(tmp_path / "nowhere")
    for name in (FACTS, ARRAYS):
        copy = tmp_path / f"without_{name}"
        shutil.copytree(folder, copy)
        (copy / name).unlink()
        with pytest.raises(FileNotFoundError, match=f"has no {name}"):
            semst.SemST.load(copy)


@pytest.mark.parametrize("name", [FACTS, ARRAYS])
def test_a_truncated_file_is_damaged(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{name}.*is damaged"):
        semst.SemST.load(folder)


def test_a_flipped_bit_is_damage(folder):
    content = bytearray((folder / ARRAYS).read_bytes())
    content[-100] ^= 1
    (folder / ARRAYS).write_bytes(content)
    with pytest.raises(ValueError, match="checksum differs"):
        semst.SemST.load(folder)


def change(folder, *, sums=False, **facts):
    """Edit what is told of a model; with ``sums`` as one who makes it pass for undamaged."""
    path = folder / FACTS
    told = json.loads(path.read_text()) | facts
    if sums:
        told["sha256"][FACTS] = _checksum_of_facts({name: each for name, each in told.items() if name != "sha256"})
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    "facts", [{"linear": "no"}, {"expression_neighbors": 3}, {"colors": ["red"] * 4}, {"versions": "x"}, {"sha256": 1}]
)
def test_facts_that_were_edited_are_told(folder, facts):
    change(folder, **facts)
    with pytest.raises(ValueError, match=f"{FACTS}.* was edited.*checksum differs"):
        semst.SemST.load(folder)


def test_the_order_and_spacing_of_facts_say_nothing(folder):
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(dict(reversed(facts.items()))))
    semst.SemST.load(folder)


@pytest.mark.parametrize("versions", ["x", {"semst": "0.1.0"}])
def test_a_model_of_another_format_is_to_be_trained_again(folder, versions):
    change(folder, format=1, versions=versions)
    with pytest.raises(ValueError, match=r"has format 1, .* and this one reads format 2. Train the model again"):
        semst.SemST.load(folder)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"kind": "scvi"}, "does not describe a model of semst"),
        ({"views": None}, "does not hold what a model of format 2 has"),
        ({"depths": None}, "does not hold what a model of format 2 has"),
        ({"depths": [1]}, "does not hold what a model of format 2 has"),
        ({"n_discriminants": 17}, "does not hold what a model of format 2 has"),
        ({"architectures": [{"in_features": 3, "n_genes": 4}]}, "does not hold what a model of format 2 has"),
    ],
)
def test_other_content_is_told(folder, facts, message):
    change(folder, sums=True, **facts)
    with pytest.raises(ValueError, match=message):
        semst.SemST.load(folder)


def test_a_json_that_is_no_model_is_told(folder):
    (folder / FACTS).write_text("[1, 2]")
    with pytest.raises(ValueError, match="does not describe a model"):
        semst.SemST.load(folder)


def test_other_files_in_the_folder_stay(trained, folder):
    (folder / "notes.txt").write_text("which slide this was")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "first.png").write_bytes(b"png")
    model = semst.SemST(trained[1]._kept, colors=["red", "green", "blue", "black"])
    model.save(folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == [ARRAYS, FACTS, "notes.txt", "pictures"]
    assert (folder / "notes.txt").read_text() == "which slide this was"
    assert (folder / "pictures" / "first.png").read_bytes() == b"png"
    assert semst.SemST.load(folder).colors == ["#ff0000", "#008000", "#0000ff", "#000000"]


def test_a_folder_that_is_a_link_stays_one(trained, folder):
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    semst.SemST(trained[1]._kept, colors=["red"] * 4).save(link, overwrite=True)
    assert link.is_symlink()
    assert semst.SemST.load(folder).colors == ["#ff0000"] * 4


@pytest.mark.parametrize("stopped_at", [1, 2, 3, 4])
def test_a_move_that_fails_leaves_the_model_that_was_there(trained, folder, monkeypatch, stopped_at):
    """A folder of two files is replaced in four moves, and Ctrl-C may come at each."""
    (folder / "notes.txt").write_text("which slide this was")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    moves = 0

    def stop(move):
        def moved(self, target):
            nonlocal moves
            moves += 1
            if moves == stopped_at:
                raise KeyboardInterrupt
            return move(self, target)

        return moved

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, stop(getattr(Path, name)))
    with pytest.raises(KeyboardInterrupt):
        semst.SemST(trained[1]._kept, colors=["red"] * 4).save(folder, overwrite=True)
    monkeypatch.undo()
    assert moves >= stopped_at
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert semst.SemST.load(folder).colors is None


def test_a_model_that_was_left_without_arrays_can_be_replaced(trained, folder):
    (folder / ARRAYS).unlink()
    trained[1].save(folder, overwrite=True)
    semst.SemST.load(folder)
