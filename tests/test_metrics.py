from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from hypothesis import given
from hypothesis import strategies as st

from semst.metrics import agreement, chaos, pas, score


def test_agreement_by_hand():
    scores = agreement(list("aaabbc"), [1, 1, 2, 2, 2, 2])
    # Contingency: domain 1 has 2 of a; domain 2 has 1 of a, 2 of b, 1 of c. Matched: 1 with a, 2 with b.
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["f1"] == pytest.approx((2 * 2 / (2 + 3) + 2 * 2 / (4 + 2) + 0) / 3)
    # Pairs together in both: 1 + 1; in the domains: 1 + 6; in the reference: 3 + 1; of 15 pairs.
    expected = 7 * 4 / 15
    assert scores["ari"] == pytest.approx((2 - expected) / ((7 + 4) / 2 - expected))
    entropy_true = -(np.log(3 / 6) * 3 + np.log(2 / 6) * 2 + np.log(1 / 6)) / 6
    entropy_pred = -(np.log(2 / 6) * 2 + np.log(4 / 6) * 4) / 6
    joint = -(np.log(2 / 6) * 2 + np.log(1 / 6) + np.log(2 / 6) * 2 + np.log(1 / 6)) / 6
    shared = entropy_true + entropy_pred - joint
    assert scores["nmi"] == pytest.approx(shared / ((entropy_true + entropy_pred) / 2))
    assert scores["ami"] < scores["nmi"]
    assert all(type(value) is float for value in scores.values())


def test_perfect_agreement():
    assert set(agreement(["x", "y", "y", "z"], [3, 1, 1, 2]).values()) == {1.0}


def test_equally_good_matchings_are_decided_by_f1():
    # "1" goes with a (one spot); "2" has two spots of b and two of c, but c is whole in it and b is not.
    scores = agreement(list("abbbcc"), list("112222"))
    assert scores["accuracy"] == pytest.approx(3 / 6)
    assert scores["f1"] == pytest.approx((2 * 1 / (2 + 1) + 0 + 2 * 2 / (4 + 2)) / 3)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_unlabelled_spots_are_left_out(missing):
    truth = pd.Series(["a", "a", "b", missing], dtype=object)
    assert agreement(truth, ["1", "1", "2", "1"]) == agreement(list("aab"), list("112"))
    assert agreement(truth.astype("category"), [1, 1, 2, np.nan])["ari"] == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (["a"], ["1", "2"], "labels_true has 1 entries and labels_pred 2"),
        ([None, None], ["1", "2"], "no spot has a label"),
        ([], [], "no spot has a label"),
        (["a", "b", "b"], ["1", None, None], "2 spots with a label in labels_true have none"),
    ],
)
def test_agreement_of_bad_input(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        agreement(truth, predicted)


partitions = st.integers(1, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n)] * 2, st.permutations(range(n)))
)


@given(partitions, st.permutations(range(5)), st.permutations("vwxyz"))
def test_agreement_knows_neither_names_nor_order(partition, numbers, letters):
    truth, predicted, order = map(np.array, partition)
    renamed = agreement(np.array(letters)[truth][order], np.array(numbers)[predicted][order])
    assert renamed == pytest.approx(agreement(truth, predicted))


@given(partitions)
def test_agreement_is_bounded_and_accuracy_is_the_best_matching(partition):
    truth, predicted, _ = map(np.array, partition)
    scores = agreement(truth, predicted)
    assert 0 <= scores["f1"] <= 1
    assert 0 < scores["accuracy"] <= 1
    assert -1 <= scores["ari"] <= 1
    # Matching everything to one category is a matching, too.
    assert scores["accuracy"] * len(truth) >= max(np.bincount(predicted[truth == name]).max() for name in set(truth))


LINE = np.column_stack([np.arange(30.0), np.zeros(30)])


def test_pas_by_hand():
    halves = np.arange(30) < 15
    # At the border five of ten neighbours differ: not abnormal.
    assert pas(LINE, halves) == 0
    lone = halves.copy()
    lone[[7, 29]] = [False, True]
    assert pas(LINE, lone) == pytest.approx(2 / 30)
    assert pas(LINE, np.arange(30)) == 1
    assert pas(LINE, ["one"] * 30) == 0


def test_six_of_ten_are_abnormal_and_five_are_not():
    # Spot 0 at the end of the line has the neighbours 1 to 10.
    five, six = np.zeros(30, dtype=int), np.zeros(30, dtype=int)
    five[1:6], six[1:7] = 1, 1
    # Of the others, in `five` 1 to 5 have 6, 6, 6, 6 and 6 neighbours outside; in `six` 1 to 6 have 5 outside.
    assert pas(LINE, five) == pytest.approx(5 / 30)
    assert pas(LINE, six) == pytest.approx(1 / 30)


@pytest.mark.parametrize(("differing", "abnormal"), [(7, 0), (8, 1)])
def test_equally_far_neighbours_share_the_places(differing, abnormal):
    # Twelve neighbours at distance 1 share ten places: 7 x 10 / 12 = 5.8 do not reach six, 8 x 10 / 12 = 6.7 do.
    # Each of them stands in a cloud of eleven of its own label, so only the centre can be abnormal.
    angle = 2 * np.pi * np.arange(12) / 12
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    clouds = np.repeat(ring * 1.01, 11, axis=0)
    labels = np.array(["b"] * differing + ["a"] * (12 - differing))
    places, labels = np.vstack([[[0, 0]], ring, clouds]), np.concatenate([["a"], labels, np.repeat(labels, 11)])
    for order in (np.arange(145), np.arange(145)[::-1], np.random.default_rng(0).permutation(145)):
        assert pas(places[order], labels[order]) == pytest.approx(abnormal / 145)


def naive_abnormal(places, labels, row):
    """The definition with ties, in so many words, on whole numbers."""
    gaps = ((places - places[row]) ** 2).sum(axis=1)
    others = [other for other in range(len(places)) if other != row]
    tenth = sorted(gaps[others])[9]
    nearer = [other for other in others if gaps[other] < tenth]
    tied = [other for other in others if gaps[other] == tenth]
    share = Fraction(10 - len(nearer), len(tied))
    differing = sum(labels[other] != labels[row] for other in nearer)
    differing += share * sum(labels[other] != labels[row] for other in tied)
    return bool(differing >= 6)


def naive_pas(places, labels):
    return float(np.mean([naive_abnormal(np.array(places), labels, row) for row in range(len(places))]))


# Few whole numbers: many ties and many spots in one place.
tissues = st.integers(11, 45).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=n, max_size=n),
        st.lists(st.sampled_from("abc"), min_size=n, max_size=n),
        st.permutations(range(n)),
    )
)


@given(tissues)
def test_pas_is_its_definition(tissue):
    places, labels, _ = tissue
    assert pas(places, labels) == pytest.approx(naive_pas(places, labels))


@given(tissues, st.floats(0, 6.3), st.sampled_from([1e-3, 1.0, 137.5]), st.permutations("xyz"))
def test_pas_knows_neither_orientation_nor_unit_nor_names_nor_order(tissue, angle, unit, names):
    places, labels, order = np.array(tissue[0], dtype=float), np.array(tissue[1]), list(tissue[2])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    renamed = np.array([dict(zip("abc", names, strict=True))[label] for label in labels])
    assert pas((unit * places @ turn + 5)[order], renamed[order]) == pytest.approx(pas(places, labels))


def test_chaos_by_hand():
    # x is 0 to 3 with standard deviation sqrt(1.25), y is scaled by nothing: each spot has one at 1 / sqrt(1.25).
    places = [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert chaos(places, list("aaaa")) == pytest.approx(1 / np.sqrt(1.25))
    # Of "aaab", a has three spots, each 1 from the next; b has one, which adds nothing to the sum.
    assert chaos(places, list("aaab")) == pytest.approx(3 / 4 / np.sqrt(1.25))
    assert chaos(places, list("aabb")) == 0
    assert chaos([[0, 0], [1, 0], [5, 0], [5, 0]], list("aaa") + [None]) == pytest.approx(6 / 3 / np.std([0, 1, 5]))


def naive_chaos(places, labels):
    scaled = (places - places.mean(axis=0)) / places.std(axis=0)
    total = 0.0
    for row, label in enumerate(labels):
        own = [other for other in range(len(labels)) if labels[other] == label and other != row]
        if len(own) >= 2:
            total += min(np.linalg.norm(scaled[row] - scaled[other]) for other in own)
    return total / len(labels)


@given(st.integers(0, 1000), st.integers(5, 40), st.integers(1, 5))
def test_chaos_is_its_definition(seed, n, n_domains):
    rng = np.random.default_rng(seed)
    places, labels = rng.normal(size=(n, 2)), rng.integers(n_domains, size=n)
    assert chaos(places, labels) == pytest.approx(naive_chaos(places, labels))


@given(st.integers(0, 1000), st.integers(0, 3), st.permutations("xyz"))
def test_chaos_knows_neither_quarter_turns_nor_units_nor_names_nor_order(seed, turns, names):
    rng = np.random.default_rng(seed)
    places, labels = rng.normal(size=(30, 2)), rng.integers(3, size=30)
    order = rng.permutation(30)
    turned = places @ np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), turns) * [3.0, 137.5] + 4
    assert chaos(turned[order], np.array(names)[labels][order]) == pytest.approx(chaos(places, labels))


@pytest.mark.parametrize("away", [0, 1e6, 4e6])
def test_a_grid_of_half_units_is_no_coarser_far_from_its_origin(away):
    places = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) / 2
    labels = np.random.default_rng(0).integers(0, 3, len(places))
    assert pas(places + away, labels) == pas(places, labels)


@pytest.mark.parametrize("measure", [pas, chaos])
@pytest.mark.parametrize(
    ("places", "labels", "message"),
    [
        (LINE[:5], ["a"] * 6, "5 coordinates and 6 labels"),
        (LINE, [None] * 30, "at least"),
        (np.where(LINE == 3, np.nan, LINE), ["a"] * 30, "finite"),
        (LINE[:, 0], ["a"] * 30, r"shape \(n_spots, 2\)"),
        (LINE.astype(str), ["a"] * 30, "must be numbers"),
    ],
)
def test_bad_places(measure, places, labels, message):
    with pytest.raises(ValueError, match=message):
        measure(places, labels)


def test_pas_needs_ten_neighbours():
    with pytest.raises(ValueError, match="at least 11 spots with a label are needed, got 10"):
        pas(LINE[:10], ["a"] * 10)
    assert pas(LINE[:11], ["a"] * 11) == 0


@pytest.fixture
def tissue():
    adata = AnnData(np.ones((30, 2), dtype=np.float32), obsm={"spatial": LINE})
    adata.obs["ground_truth"] = pd.Categorical(["L1"] * 10 + ["L2"] * 18 + [None] * 2)
    adata.obs["semst"] = pd.Categorical(["1"] * 12 + ["2"] * 18)
    return adata


def test_score_puts_it_all_together(tissue):
    expected = agreement(tissue.obs["ground_truth"], tissue.obs["semst"])
    expected |= {"pas": pas(LINE, tissue.obs["semst"]), "chaos": chaos(LINE, tissue.obs["semst"])}
    assert score(tissue) == expected
    assert set(score(tissue, reference=None)) == {"pas", "chaos"}
    tissue.obs["other"], tissue.obsm["places"] = tissue.obs["ground_truth"], LINE[::-1]
    assert score(tissue, key="other", spatial_key="places")["ari"] == 1


def test_score_of_a_spatialdata(tissue):
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    circles = ShapesModel.parse(LINE, geometry=0, radius=0.5, index=np.arange(30))
    expected = score(tissue)
    del tissue.obsm["spatial"]
    tissue.obs["region"], tissue.obs["instance"] = pd.Categorical(["spots"] * 30), np.arange(30)
    shuffled = tissue[np.random.default_rng(0).permutation(30)].copy()
    table = TableModel.parse(shuffled, region="spots", region_key="region", instance_key="instance")
    assert score(SpatialData(shapes={"spots": circles}, tables={"table": table})) == pytest.approx(expected)


def test_score_tells_all_that_is_missing(tissue):
    del tissue.obsm["spatial"]
    with pytest.raises(KeyError, match="3 problems") as caught:
        score(tissue, key="x", reference="y")
    for part in ("no obs['x']", "semst.tl.cluster(adata, n_clusters=...)", "no obs['y']", "reference=None", "obsm"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["dlpfc_151673", "starmap_mvc", "osmfish_ssc", "her2st_H1"])
def test_experts_agree_with_themselves_and_are_smoother_than_chance(name, real_file):
    adata = read_h5ad(real_file(name))
    scores = score(adata, key="ground_truth")
    assert [scores[key] for key in ("ari", "nmi", "ami", "accuracy", "f1")] == pytest.approx([1] * 5)
    labels = adata.obs["ground_truth"].to_numpy(dtype=object)
    adata.obs["shuffled"] = np.random.default_rng(0).permutation(labels)
    shuffled = score(adata, key="shuffled", reference=None)
    assert scores["pas"] < 0.3 < 0.6 < shuffled["pas"]
    assert scores["chaos"] < shuffled["chaos"]


# Several slices


@pytest.fixture
def two_slices():
    """20 spots in a row in two halves, and 40 that alternate; both at the same places, the second in other units."""
    first, second = np.column_stack([np.arange(20.0), np.zeros(20)]), np.column_stack([np.arange(40.0), np.zeros(40)])
    table = AnnData(np.ones((60, 1), dtype=np.float32))
    table.obsm["spatial"] = np.concatenate([first, 3 * second])
    table.obs["slice"] = ["a"] * 20 + ["b"] * 40
    table.obs["semst"] = ["1"] * 10 + ["2"] * 10 + ["1", "2"] * 20
    return table


def test_smoothness_of_slices_is_that_within_each_by_their_spots(two_slices):
    found = score(two_slices, reference=None, batch_key="slice")
    for name, measure in (("pas", pas), ("chaos", chaos)):
        first, second = (
            measure(part.obsm["spatial"], part.obs["semst"]) for part in (two_slices[:20], two_slices[20:])
        )
        assert found[name] == pytest.approx((20 * first + 40 * second) / 60)
    assert found["pas"] != pytest.approx(score(two_slices, reference=None)["pas"])


def test_spots_without_a_domain_have_no_weight(two_slices):
    two_slices.obs["semst"] = two_slices.obs["semst"].where(np.arange(60) < 45)
    found = score(two_slices, reference=None, batch_key="slice")
    first, second = (pas(part.obsm["spatial"], part.obs["semst"]) for part in (two_slices[:20], two_slices[20:]))
    assert found["pas"] == pytest.approx((20 * first + 25 * second) / 45)


def test_slices_in_other_order_under_other_names_score_alike(two_slices):
    order = np.random.default_rng(0).permutation(60)
    shuffled = two_slices[order].copy()
    shuffled.obs["slice"] = shuffled.obs["slice"].map({"a": "z", "b": "y"})
    options = {"reference": None, "batch_key": "slice"}
    assert score(shuffled, **options) == pytest.approx(score(two_slices, **options))


def test_slices_that_cannot_be_scored_are_named_with_all_else(two_slices):
    two_slices.obs["semst"] = two_slices.obs["semst"].where(np.arange(60) >= 12)
    with pytest.raises(ValueError, match="1 of 2 slices has fewer than 11 spots with a domain in obs\\['semst'\\]"):
        score(two_slices, reference=None, batch_key="slice")
    with pytest.raises(KeyError, match="no obs\\['sample'\\], which `batch_key` names") as told:
        score(two_slices, reference="experts", batch_key="sample")
    assert "experts" in str(told.value)


@pytest.mark.parametrize("shift", [0, 20_000])
def test_places_in_single_precision_have_the_ties_that_they_had(shift):
    row, column = np.divmod(np.arange(900), 30)
    places = np.column_stack([(column + row % 2 / 2) * 100 / 7, row * np.sqrt(3) / 2 * 100 / 7])
    labels = np.random.default_rng(0).integers(2, size=900)
    assert pas((places + shift).astype(np.float32), labels) == pas(places, labels)


def test_score_names_the_columns_that_cannot_be_compared(tissue):
    tissue.obs["empty"] = pd.Categorical([None] * 30, categories=["L1"])
    with pytest.raises(ValueError, match=r"semst.metrics.score: no spot has a label in obs\['empty'\]"):
        score(tissue, reference="empty")
    tissue.obs["semst"] = tissue.obs["semst"].where(np.arange(30) < 8)
    with pytest.raises(ValueError, match="2 problems") as caught:
        score(tissue)
    for part in (
        "8 spots have a domain in obs['semst']",
        "20 spots with a label in obs['ground_truth'] have no domain",
    ):
        assert part in str(caught.value)
