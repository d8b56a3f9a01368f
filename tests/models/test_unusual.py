"""An image unlike the digits that the networks know is said to be so, and hardly a digit is."""

from collections.abc import Callable

import numpy as np
import pytest

from digits import digits
from serving_runtime.starter import preprocess, unusual
from tests.models import made
from tests.models.made import Pixels, Random

HELD_OUT = digits().test.inputs
MADE = 60


def said(files: list[bytes]) -> list[str]:
    return unusual.warnings(*preprocess.read(files))


def two(random: Random) -> bytes:
    first, second = random.integers(len(HELD_OUT), size=2)
    return made.two(HELD_OUT[first], HELD_OUT[second], random)


def shadow(random: Random) -> bytes:
    return made.photographed(HELD_OUT[random.integers(len(HELD_OUT))], random)


@pytest.mark.parametrize(
    ("make", "warning"),
    [
        (made.blank, unusual.BLANK),
        (made.dot, unusual.BLOB),
        (made.blob, unusual.BLOB),
        (two, unusual.SEVERAL),
        (shadow, unusual.SHADOW),
    ],
)
def test_what_no_model_knows_is_warned_of(make: Callable[[Random], bytes], warning: str) -> None:
    random = np.random.default_rng(11)
    found = said([make(random) for _ in range(MADE)])
    assert sum(warning in one for one in found) >= 0.95 * MADE


def test_hardly_a_held_out_digit_is_warned_of() -> None:
    found = unusual.warnings(HELD_OUT, [False] * len(HELD_OUT))
    assert sum(map(bool, found)) <= 0.01 * len(HELD_OUT)


@pytest.mark.parametrize("side", [60, 140, 280])
def test_nor_is_one_that_was_drawn(side: int) -> None:
    found = said([made.drawn(digit, side=side) for digit in HELD_OUT[:200]])
    assert sum(map(bool, found)) <= 0.02 * len(found)


def test_nor_is_a_photograph_without_a_shadow() -> None:
    random = np.random.default_rng(3)
    found = said([made.photographed(digit, random, shadow=False) for digit in HELD_OUT[:MADE]])
    assert sum(map(bool, found)) <= 0.02 * len(found)


def test_each_image_of_a_batch_has_its_own_warning() -> None:
    batch: Pixels = np.stack([HELD_OUT[0], np.zeros((28, 28), np.uint8), HELD_OUT[1]])
    assert unusual.warnings(batch, [False, False, True]) == ["", unusual.BLANK, unusual.SHADOW]


def test_hardly_any_ink_is_not_called_blank() -> None:
    pixels = np.zeros((1, 28, 28), np.uint8)
    pixels[0, 10:13, 10:13] = 255
    assert unusual.warnings(pixels, [False]) == [unusual.LITTLE]
