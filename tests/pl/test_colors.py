import logging
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from semst._problems import Problems
from semst.pl._colors import (
    as_labels,
    assign_colors,
    best_overlap,
    check_labels,
    check_palette,
    keep_colors,
    reading_order,
    stored_colors,
)
from semst.pl._palette import PALETTE, oklab


def table_with(**columns):
    obs = pd.DataFrame(columns)
    return AnnData(np.ones((len(obs), 1), dtype=np.float32), obs=obs.set_axis(obs.index.astype(str)))


def labels_of(table):
    return {key: as_labels(table.obs[key]) for key in table.obs}


def test_text_becomes_categories_in_natural_order():
    labels = as_labels(pd.Series(["d10", "d2", None, "D1"]))
    assert list(labels.categories) == ["D1", "d2", "d10"]
    assert list(labels.codes) == [2, 1, -1, 0]


def test_text_becomes_the_categories_that_anndata_makes_of_it():
    table = table_with(key=["stroma", "Tumor", "d10", "d2"] * 2)
    ours, legend = list(as_labels(table.obs["key"]).categories), reading_order(as_labels(table.obs["key"]))
    table.strings_to_categoricals()
    assert list(table.obs["key"].cat.categories) == ours == ["Tumor", "d2", "d10", "stroma"]
    assert reading_order(as_labels(table.obs["key"])) == legend == ["d2", "d10", "stroma", "Tumor"]


@pytest.mark.parametrize("dtype", [object, "string"])
def test_gaps_in_text_stay_gaps(dtype):
    labels = as_labels(pd.Series(["a", None, "b"], dtype=dtype))
    assert list(labels.codes) == [0, -1, 1]


def test_booleans_are_labels_and_numbers_are_not():
    assert list(as_labels(pd.Series([True, False])).categories) == ["False", "True"]
    assert as_labels(pd.Series([1, 2])) is None
    assert as_labels(pd.Series([0.5, np.nan], dtype="Float32")) is None


def test_categories_keep_their_order_and_become_text():
    labels = as_labels(pd.Series(pd.Categorical([3, 1, 3], categories=[3, 2, 1])))
    assert list(labels.categories) == ["3", "2", "1"]
    assert list(labels.codes) == [0, 2, 0]


def test_reading_order_is_natural_unless_the_user_ordered():
    names = ["L10", "L2", "L1", "never"]
    assert reading_order(pd.Categorical(names[:3], categories=names)) == ["L1", "L2", "L10"]
    assert reading_order(pd.Categorical(names[:3], categories=names, ordered=True)) == ["L10", "L2", "L1"]


def test_best_overlap_by_hand():
    reference = pd.Categorical(["a", "a", "a", "b", "b", None])
    labels = pd.Categorical(["2", "2", "1", "1", "1", "3"])
    # "3" covers only an unlabelled spot, so it has no partner.
    assert best_overlap(reference, labels) == {"1": "b", "2": "a"}


label_lists = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=n, max_size=n)] * 2)
)


@given(label_lists)
def test_no_other_pairing_shares_more_spots(lists):
    reference, labels = (pd.Categorical(values, categories=list("abcd")) for values in lists)
    shared = pd.crosstab(np.array(labels), np.array(reference)).reindex(index=list("abcd"), columns=list("abcd"))
    shared = shared.fillna(0).to_numpy()
    pairs = best_overlap(reference, labels)
    assert len(set(pairs.values())) == len(pairs)
    found = sum(shared["abcd".index(name), "abcd".index(partner)] for name, partner in pairs.items())
    assert found == max(sum(shared[range(4), order]) for order in permutations(range(4)))


@given(label_lists)
def test_colours_are_never_shared_within_a_key(lists):
    table = table_with(one=pd.Categorical(lists[0]), two=pd.Categorical(lists[1]))
    for colors in assign_colors(table, labels_of(table), palette=None, match=True).values():
        assert len(set(colors)) == len(colors)


def test_matched_categories_take_the_colour_of_the_reference():
    table = table_with(truth=pd.Categorical(["L1"] * 4 + ["L2"] * 4), ours=pd.Categorical(list("2222") + list("1113")))
    colors = assign_colors(table, labels_of(table), palette=None, match=True)
    assert colors["truth"] == list(PALETTE[:2])
    # "1" is L2, "2" is L1, and "3" overlaps what is taken, so it gets the next colour.
    assert colors["ours"] == [PALETTE[1], PALETTE[0], PALETTE[2]]
    apart = assign_colors(table, labels_of(table), palette=None, match=False)
    assert apart["ours"] == list(PALETTE[:3])


def test_what_has_colours_keeps_them_and_others_go_by_it():
    table = table_with(truth=pd.Categorical(["L1"] * 4 + ["L2"] * 4), ours=pd.Categorical(list("2222") + list("1113")))
    table.uns["ours_colors"] = ["red", "lime", "blue"]
    colors = assign_colors(table, labels_of(table), palette=None, match=True)
    assert colors == {"ours": ["#ff0000", "#00ff00", "#0000ff"], "truth": ["#00ff00", "#ff0000"]}
    table.uns["truth_colors"] = ["black", "white"]
    colors = assign_colors(table, labels_of(table), palette=None, match=True)
    assert colors == {"ours": ["#ff0000", "#00ff00", "#0000ff"], "truth": ["#000000", "#ffffff"]}


def test_a_key_without_overlap_shares_no_colour_with_the_reference():
    table = table_with(truth=pd.Categorical(["a", None]), ours=pd.Categorical([None, "x"]))
    colors = assign_colors(table, labels_of(table), palette=None, match=True)
    assert colors == {"truth": [PALETTE[0]], "ours": [PALETTE[1]]}


def test_stored_colours_are_used_where_they_fit():
    table = table_with(truth=pd.Categorical(["a", "b"]))
    table.uns["truth_colors"] = np.array(["red", "#00ff00"], dtype=object)
    assert assign_colors(table, labels_of(table), palette=None, match=True)["truth"] == ["#ff0000", "#00ff00"]
    for wrong in (["red"], ["red", "no colour"], "red", 3):
        table.uns["truth_colors"] = wrong if wrong != 3 else ["red"] * 3
        assert assign_colors(table, labels_of(table), palette=None, match=True)["truth"] == list(PALETTE[:2])


def test_colours_of_the_categories_that_are_left_stay_with_them():
    table = table_with(key=pd.Categorical(["a", "c"], categories=["a", "b", "c"]))
    table.uns["key_colors"] = ["red", "blue"]
    colors = assign_colors(table, labels_of(table), palette=None, match=True)["key"]
    assert (colors[0], colors[2]) == ("#ff0000", "#0000ff")
    assert len(set(colors)) == 3
    keep_colors(table, "key", labels_of(table)["key"], colors)
    assert table.uns["key_colors"] == colors  # one for each category again


def test_a_domain_keeps_its_colour_in_a_part_of_the_tissue():
    table = table_with(key=pd.Categorical(list("abcabc")))
    before = assign_colors(table, labels_of(table), palette=None, match=True)["key"]
    keep_colors(table, "key", labels_of(table)["key"], before)
    part = table[[0, 2, 3, 5]].copy()  # anndata drops the colour of "b"
    part.obs["key"] = part.obs["key"].cat.set_categories(["a", "b", "c"])  # and spatialdata keeps its category
    assert len(part.uns["key_colors"]) == 2
    after = assign_colors(part, labels_of(part), palette=None, match=True)["key"]
    assert (after[0], after[2]) == (before[0], before[2])


def test_a_list_goes_by_the_legend_and_a_mapping_by_name():
    table = table_with(key=pd.Categorical(["d10", "d2"], categories=["d10", "d2"]))
    assert assign_colors(table, labels_of(table), palette=["red", "blue"], match=True)["key"] == ["#0000ff", "#ff0000"]
    table.uns["key_colors"] = ["black", "white"]
    assert assign_colors(table, labels_of(table), palette={"d2": "red"}, match=True)["key"] == ["#000000", "#ff0000"]


def test_a_short_list_is_no_limit_for_the_matched_key():
    table = table_with(truth=pd.Categorical(["a"] * 2), ours=pd.Categorical(["1", "2"]))
    colors = assign_colors(table, labels_of(table), palette=["red"], match=True)
    assert colors["truth"] == ["#ff0000"]
    assert "#ff0000" in colors["ours"]
    assert len(set(colors["ours"])) == 2


def test_a_listed_colour_map_gives_its_colours_in_order():
    table = table_with(key=pd.Categorical(["d10", "d2"], categories=["d10", "d2", "never"]))
    table.uns["key_colors"] = ["black", "white", "red"]
    colors = assign_colors(table, labels_of(table), palette="tab20", match=True)
    assert colors["key"] == ["#aec7e8", "#1f77b4", "#ff7f0e"]  # in the order of the legend, whatever was stored


def test_a_continuous_colour_map_is_sampled_from_end_to_end():
    names = [f"d{number}" for number in range(5)]
    table = table_with(key=pd.Categorical(names, categories=[*names, "never"]))
    colors = assign_colors(table, labels_of(table), palette="gray", match=True)["key"]
    assert colors[:5] == ["#000000", "#404040", "#808080", "#c0c0c0", "#ffffff"]
    table = table_with(key=pd.Categorical(["a", "b"]))
    assert assign_colors(table, labels_of(table), palette="viridis", match=True)["key"] == ["#440154", "#fde725"]


@pytest.mark.parametrize("name", ["hsv", "twilight"])
def test_a_colour_map_that_closes_gives_no_colour_twice(name):
    table = table_with(key=pd.Categorical(list("abcd")))
    colors = assign_colors(table, labels_of(table), palette=name, match=True)["key"]
    apart = np.linalg.norm(oklab(colors)[:, None] - oklab(colors)[None], axis=2)
    assert apart[np.triu_indices(4, 1)].min() > 0.1


def test_each_unmatched_key_has_the_whole_colour_map():
    table = table_with(one=pd.Categorical(list("abcabc")), two=pd.Categorical(list("xxxyyy")))
    colors = assign_colors(table, labels_of(table), palette="gray", match=False)
    assert colors == {"one": ["#000000", "#808080", "#ffffff"], "two": ["#000000", "#ffffff"]}


def test_a_listed_colour_map_may_be_too_short_and_a_scale_never_is():
    labels = {"key": pd.Categorical([str(number) for number in range(12)])}
    problems = Problems("here")
    check_palette("viridis", labels, problems)
    check_palette("tab20", labels, problems)
    assert not problems
    check_palette("tab10", labels, problems)
    with pytest.raises(ValueError, match="`palette` 'tab10' has 10 colours for 12 categories; give more, or a mapping"):
        problems.raise_if_any()


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        (["red", "reed"], "no colours: 'reed'"),
        ({"a": "blau"}, "no colours: 'blau'"),
        (["red"], "1 colours for 2 categories"),
        ("tab_20", "name of a matplotlib colour map such as 'tab20', got 'tab_20'; did you mean 'tab20'"),
        ("no such map", "got 'no such map'; matplotlib.colormaps lists the names"),
        (7, "must be a list of colours, a mapping.*got 7"),
    ],
)
def test_wrong_palettes_are_named(palette, message):
    problems = Problems("here")
    check_palette(palette, {"key": pd.Categorical(["a", "b"])}, problems)
    with pytest.raises(ValueError, match=message):
        problems.raise_if_any()


def test_an_empty_string_is_no_label():
    text = pd.Series(["b", "", "a", None], dtype=object)
    assert as_labels(text).codes.tolist() == [1, -1, 0, -1]
    assert list(as_labels(text).categories) == ["a", "b"]
    column = text.astype("category")  # keeps its categories, which uns has colours for
    assert as_labels(column).isna().tolist() == [False, True, False, True]
    assert list(as_labels(column).categories) == ["", "a", "b"]
    assert reading_order(as_labels(column)) == ["a", "b"]
    problems = Problems("here")
    check_palette(["red", "blue"], {"key": as_labels(column)}, problems)
    assert not problems
    colors = assign_colors(AnnData(np.ones((4, 1))), {"key": as_labels(column)}, palette=["red", "blue"], match=True)
    assert colors["key"][1:] == ["#ff0000", "#0000ff"]


def test_a_palette_for_what_is_not_there_is_told(caplog):
    labels = {"one": pd.Categorical(["1", "2"]), "two": pd.Categorical(["a"], categories=["a", "unused"])}
    with caplog.at_level(logging.WARNING, logger="semst"):
        check_palette({"1": "red", "a": "blue", "unused": "green"}, labels, Problems("semst.pl.domains"))
    assert caplog.records == []
    with caplog.at_level(logging.WARNING, logger="semst"):
        check_palette({"9": "red", 1: "blue"}, labels, Problems("semst.pl.domains"))
    assert [record.getMessage() for record in caplog.records] == [
        "domains: `palette` names '9', 1, which no category is; there is '1', '2', 'a', 'unused', as str."
    ]


@pytest.mark.parametrize(
    "stored",
    [
        [(1, 0, 0), (0, 0, 1)],
        np.array([[1.0, 0, 0], [0, 0, 1]]),
        np.array([[1.0, 0, 0, 1], [0, 0, 1, 1]]),
        np.array(["red", "blue"], dtype=object),
    ],
    ids=["tuples", "array", "with opacity", "names"],
)
def test_colours_may_be_stored_in_any_way_that_matplotlib_reads(stored):
    table = table_with(key=pd.Categorical(["a", "b"]))
    table.uns["key_colors"] = stored
    labels = labels_of(table)
    assert stored_colors(table, "key", labels["key"]) == {"a": "#ff0000", "b": "#0000ff"}
    keep_colors(table, "key", labels["key"], assign_colors(table, labels, palette=None, match=True)["key"])
    assert len(table.uns["key_colors"]) == 2
    assert table.uns["key_colors"] is stored


@pytest.mark.parametrize("stored", ["red", 5, None, [1, 2], [(9, 9, 9), (0, 0, 1)]])
def test_what_is_stored_and_no_colours_is_passed_over(stored):
    table = table_with(key=pd.Categorical(["a", "b"]))
    table.uns["key_colors"] = stored
    assert stored_colors(table, "key", labels_of(table)["key"]) == {}


def test_categories_that_are_one_as_text_are_told():
    problems = Problems("here")
    assert check_labels(pd.Series(pd.Categorical(["a", "1"])), "good", problems)
    assert not check_labels(pd.Series(pd.Categorical([1, "1", "a"])), "bad", problems)
    with pytest.raises(
        ValueError, match=r"here: obs\['bad'\] has several categories that are '1' as text; give each a"
    ):
        problems.raise_if_any()
