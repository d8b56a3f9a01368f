"""Parallel coordinates: which axes there are, and where a line runs."""

import math

from model_ui.render.parallel import MOST_AXES, parallel

NAMES, COLOURS = ["a", "b", "c"], ["red", "green", "blue"]


def test_the_largest_is_at_the_top_and_texts_are_in_order() -> None:
    found = parallel(
        [("lr", [0.1, 0.2, 0.3]), ("network", ["cnn", "mlp", "cnn"]), ("on", [True, False, True])],
        NAMES,
        COLOURS,
    )
    assert found is not None
    assert [axis.name for axis in found.axes] == ["lr", "network", "on"]
    heights = [[y for _, y in line.dots] for line in found.lines]
    assert heights[0][0] > heights[1][0] > heights[2][0]
    assert heights[0][1] == heights[2][1] < heights[1][1]
    assert found.lines[1].words == "lr 0.2, network mlp, on False"


def test_a_line_is_broken_where_an_experiment_has_no_value() -> None:
    found = parallel([(name, [1, 2, None if name == "b" else 3]) for name in "abcd"], NAMES, COLOURS)
    assert found is not None
    assert [len(line.parts) for line in found.lines] == [1, 1, 1]
    assert [len(line.dots) for line in found.lines] == [4, 4, 3]


def test_magnitudes_are_shown_by_their_logarithm_and_huge_ones_stay_within() -> None:
    found = parallel([("lr", [1e-4, 1e-2, 1.0]), ("x", [-1.7e308, 0, 1.7e308])], NAMES, COLOURS)
    assert found is not None
    assert [axis.is_log for axis in found.axes] == [True, False]
    for place in (0, 1):
        low, middle, high = (line.dots[place][1] for line in found.lines)
        assert math.isclose(middle, (low + high) / 2, abs_tol=0.2)


def test_what_cannot_be_drawn_is_left_out() -> None:
    texts = [f"text {number}" for number in range(20)]
    twenty = [str(number) for number in range(20)]
    same, numbers = ("same", [1.0] * 20), ("n", list(range(20)))
    assert parallel([("texts", texts), same, numbers], twenty, twenty) is None
    assert parallel([("a", [1]), ("b", [2])], ["one"], ["red"]) is None
    many = parallel([(f"p{number}", [1, 2, 3]) for number in range(30)], NAMES, COLOURS)
    assert many is not None
    assert len(many.axes) == MOST_AXES
