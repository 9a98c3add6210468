import logging

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from semst.pl._palette import PALETTE, UNLABELLED, oklab, pick_distinct

# Full dichromacy, on linear RGB (G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE TVCG 15, 2009).
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def differences(colors, vision):
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    return deltaE_ciede2000(lab[:, None], lab[None])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("n", "least"), [(4, 20), (8, 12.9), (13, 8.5), (16, 7.4), (24, 5.5), (30, 4.8)])
def test_any_two_colours_differ_for_every_vision(vision, n, least):
    # A CIEDE2000 difference of 2.3 is just noticeable.
    pairs = differences(PALETTE[:n], vision)[np.triu_indices(n, 1)]
    assert pairs.min() > least


@pytest.mark.parametrize(("n", "least"), [(8, 18), (12, 14), (16, 13), (20, 11), (30, 8.1)])
def test_any_two_colours_are_clearly_apart_for_normal_vision(n, least):
    pairs = differences(PALETTE[:n], "normal")[np.triu_indices(n, 1)]
    assert pairs.min() > least


@pytest.mark.parametrize("vision", VISION)
def test_neighbours_in_the_list_differ_clearly(vision):
    assert np.diag(differences(PALETTE, vision), 1).min() > 11


@pytest.mark.parametrize("vision", VISION)
def test_no_colour_is_lost_on_paper_or_among_the_unlabelled(vision):
    assert differences([*PALETTE, UNLABELLED, "white"], vision)[:-2, -2:].min() > 10


def test_oklab_of_known_colours():
    # White, and the red that B. Ottosson's article lists.
    np.testing.assert_allclose(oklab(["white", "red"]), [[1, 0, 0], [0.628, 0.225, 0.126]], atol=1e-3)


def test_pick_distinct_goes_in_order_and_avoids_what_is_taken():
    assert pick_distinct(5) == list(PALETTE[:5])
    assert pick_distinct(3, taken=PALETTE[:2]) == list(PALETTE[2:5])
    assert pick_distinct(0, taken=["red"]) == []
    # "#3448b0" is all but the first colour, so the second goes first.
    assert pick_distinct(1, taken=["#3448b0"]) == [PALETTE[1]]
    # Nothing is clearly apart from both ends of a grey pool: the middle is the farthest.
    greys = ["#808080", "#8c8c8c", "#949494", "#9c9c9c", "#a8a8a8"]
    assert pick_distinct(1, taken=[greys[0], greys[-1]], pool=greys) == ["#949494"]


def test_more_categories_than_colours_repeat_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="semst"):
        colors = pick_distinct(len(PALETTE) + 2)
    assert len(colors) == len(PALETTE) + 2
    assert set(colors) == set(PALETTE)
    assert "colours repeat" in caplog.text
