import matplotlib.pyplot as plt
import numpy as np
import pytest

import semst.pl


@pytest.fixture
def trained(visium):
    falling = np.exp(-np.arange(30) / 10)
    zinb, spatial, dicr = 0.4 + 0.2 * falling, 1 + 0.3 * falling, falling
    spatial[1] += 0.5  # the first epoch is not the worst
    history = {"dicr": dicr, "spatial": spatial, "total": zinb + 0.1 * spatial + 0.1 * dicr, "zinb": zinb}
    visium.uns["semst"] = {"history": history, "params": {}}
    return visium


def lines_of(ax):
    return {line.get_gid(): line for line in ax.lines}


def test_each_term_relative_to_its_first_epoch(trained):
    ax = semst.pl.training(trained)
    lines = lines_of(ax)
    assert list(lines) == ["total", "dicr", "spatial", "zinb"]
    for name, values in trained.uns["semst"]["history"].items():
        np.testing.assert_allclose(lines[name].get_ydata(), values / values[0])
        np.testing.assert_array_equal(lines[name].get_xdata(), np.arange(1, 31))
    assert ax.get_yscale() == "log"
    assert len({line.get_color() for line in lines.values()}) == 4


def test_labels_stand_at_their_lines_with_the_last_value_and_apart(trained):
    ax = semst.pl.training(trained)
    ax.figure.canvas.draw()
    color_of = {name: line.get_color() for name, line in lines_of(ax).items()}
    assert {text.get_text() for text in ax.texts} == {"total 0.518", "zinb 0.411", "spatial 1.02", "dicr 0.0550"}
    for text in ax.texts:
        assert text.get_color() == color_of[text.get_text().split()[0]]
        assert text.get_window_extent().x0 > ax.get_window_extent().x1
        assert text.get_window_extent().x1 <= ax.figure.bbox.x1
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(below.y1 < above.y0 + 1 for below, above in zip(boxes, boxes[1:], strict=False))


def test_a_negative_term_turns_all_into_changes(trained):
    history = trained.uns["semst"]["history"]
    history["zinb"] = history["zinb"] - 1
    ax = semst.pl.training(trained)
    assert ax.get_yscale() == "linear"
    for name, values in history.items():
        np.testing.assert_allclose(lines_of(ax)[name].get_ydata(), values - values[0])


def tick_labels(axis):
    """Texts of the ticks that lie within the axis."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (0.979, ["0.98", "0.985", "0.99", "0.995", "1"]),
        (0.8, ["0.8", "0.85", "0.9", "0.95", "1"]),
        (0.3, ["0.4", "0.6", "0.8", "1"]),
        (0.1, ["0.1", "0.2", "0.5", "1"]),
        (1e-4, ["0.0001", "0.001", "0.01", "0.1", "1"]),
        (3.0, ["1", "1.5", "2", "2.5", "3"]),
        (1.0, ["0.9", "0.95", "1", "1.05", "1.1"]),  # a loss that stays as it was
    ],
)
def test_the_logarithmic_axis_has_several_numbers_however_far_the_loss_fell(trained, last, expected):
    trained.uns["semst"]["history"] = {"total": np.geomspace(1, last, 30)}
    ax = semst.pl.training(trained)
    ax.figure.canvas.draw()
    assert ax.get_yscale() == "log"
    assert tick_labels(ax.yaxis) == expected


def test_epochs_are_whole_numbers(trained):
    trained.uns["semst"]["history"] = {"total": np.array([3.0, 2.0, 1.0])}
    ax = semst.pl.training(trained)
    ax.figure.canvas.draw()
    assert tick_labels(ax.xaxis) == ["1", "2", "3"]


def test_one_epoch_and_one_term(trained):
    trained.uns["semst"]["history"] = {"total": np.array([2.0])}
    ax = semst.pl.training(trained)
    ax.figure.canvas.draw()
    assert list(lines_of(ax)) == ["total"]
    assert lines_of(ax)["total"].get_marker() == "o"  # else nothing is seen
    assert tick_labels(ax.xaxis) == ["1"]


def test_given_axes_and_key(trained):
    trained.uns["other"] = trained.uns.pop("semst")
    figure, ax = plt.subplots()
    assert semst.pl.training(trained, key="other", ax=ax) is ax
    assert semst.pl.training(trained, key="other", ax=[ax]) is ax
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="training: `ax` must hold Axes of matplotlib, got 'Figure'"):
        semst.pl.training(trained, key="other", ax=figure)


def test_spatialdata(trained, spatialdata_circles):
    spatialdata_circles["table"].uns["semst"] = trained.uns["semst"]
    assert len(semst.pl.training(spatialdata_circles).lines) == 4
    with pytest.raises(KeyError, match=r"semst\.tl\.cluster\(sdata"):
        semst.pl.training(spatialdata_circles, key="other")


@pytest.mark.parametrize(
    "stored", [None, {}, {"history": {}}, {"history": 3}, {"history": {"zinb": np.ones(3)}}, "text"]
)
def test_no_history(visium, stored):
    if stored is not None:
        visium.uns["semst"] = stored
    with pytest.raises(KeyError, match=r"no training history in uns\['semst'\].*semst\.tl\.cluster\(adata"):
        semst.pl.training(visium)


def test_a_term_without_numbers(trained):
    trained.uns["semst"]["history"]["zinb"] = ["low", "lower"]
    with pytest.raises(ValueError, match=r"uns\['semst'\]\['history'\] holds what is no number under 'zinb'"):
        semst.pl.training(trained)


@pytest.mark.parametrize("bad", [np.ones(29), np.ones((30, 2)), np.array([])])
def test_bad_history(trained, bad):
    trained.uns["semst"]["history"]["zinb"] = bad
    with pytest.raises(ValueError, match="must be of one length"):
        semst.pl.training(trained)
    trained.uns["semst"]["history"] = {"total": np.array([])}
    with pytest.raises(ValueError, match="at least 1"):
        semst.pl.training(trained)
