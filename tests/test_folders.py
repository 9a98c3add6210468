"""Where the cache lies."""

from __future__ import annotations

from pathlib import Path

import pooch
import pytest

from semst._folders import cache_folder
from semst.semantics._cache import TextCache

VARIABLE = "SEMST_SOME_FOLDER"


def test_the_call_counts_before_the_environment_and_that_before_the_system(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert cache_folder(variable=VARIABLE) == Path(pooch.os_cache("semst"))
    monkeypatch.setenv(VARIABLE, "")
    assert cache_folder(variable=VARIABLE) == Path(pooch.os_cache("semst"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "named"))
    assert cache_folder(variable=VARIABLE) == tmp_path / "named"
    assert cache_folder(tmp_path, variable=VARIABLE) == tmp_path


@pytest.mark.parametrize("given", [True, False])
def test_a_tilde_is_the_home_of_the_user(monkeypatch, tmp_path, given):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "~/x")
    assert cache_folder("~/x" if given else None, variable=VARIABLE) == tmp_path / "x"


@pytest.mark.parametrize("given", [True, False])
def test_texts_lie_in_the_home_of_the_user_and_in_no_folder_of_that_name(monkeypatch, tmp_path, given):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("SEMST_CACHE_DIR", "~/texts")
    monkeypatch.chdir(tmp_path)
    TextCache("~/texts" if given else None).close()
    assert [path.name for path in tmp_path.iterdir()] == ["texts"]
