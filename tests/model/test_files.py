"""A model on disk: nothing in it can run, it appears at once or not at all, and damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import semst

FACTS, ARRAYS = "model.json", "arrays.safetensors"


def test_a_folder_holds_safetensors_and_json_and_nothing_else(folder):
    from safetensors.numpy import load

    assert sorted(path.name for path in folder.iterdir()) == [ARRAYS, FACTS]
    assert json.loads((folder / FACTS).read_text())["format"] == 1
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
    assert semst.SemST.load(folder).colors == ["red", "green", "blue", "black"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_is_no_model_is_never_overwritten(trained, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="is no model"):
        trained[1].save(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


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


def change(folder, **facts):
    path = folder / FACTS
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"format": 2}, "has format 2, and this version of semst reads format 1"),
        ({"kind": "scvi"}, "does not describe a model of semst"),
        ({"views": None}, "does not hold what a model of format 1 has"),
        ({"n_discriminants": 17}, "does not hold what a model of format 1 has"),
        ({"architectures": [{"in_features": 3, "n_genes": 4}]}, "does not hold what a model of format 1 has"),
    ],
)
def test_another_format_or_content_is_told(folder, facts, message):
    change(folder, **facts)
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
    assert semst.SemST.load(folder).colors == ["red", "green", "blue", "black"]


def test_a_folder_that_is_a_link_stays_one(trained, folder):
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    semst.SemST(trained[1]._kept, colors=["red"] * 4).save(link, overwrite=True)
    assert link.is_symlink()
    assert semst.SemST.load(folder).colors == ["red"] * 4


@pytest.mark.parametrize("stopped_at", [1, 2, 3])
def test_a_move_that_fails_leaves_the_model_that_was_there(trained, folder, monkeypatch, stopped_at):
    """A folder of two files is replaced in three moves, and Ctrl-C may come at each."""
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
