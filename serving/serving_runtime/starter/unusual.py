"""Says when an image is unlike the digits that the networks know: they answer anything, and are sure of most.

Used by the handler. A frozen copy lies in every archive that we build; it needs nothing but NumPy. The limits are such
that hardly one in two hundred handwritten digits is beyond them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SIDE = 28
INK = 127
LEAST_INK = 20
MOST_INK = 250
# So many pixels have ink two pixels far in each direction in no digit but the boldest.
MOST_SOLID = 34
WIDEST = 1.7
# A second piece of half the height of the whole and a quarter of the ink of the first is no dash of a five.
PIECE_HEIGHT = 0.5
PIECE_INK = 0.25
MOST_PIECES = 4

BLANK = "The image is blank: there is nothing to read."
LITTLE = "There is hardly any ink, less than in any digit."
BLOB = "This looks like a dot or a blob, not like a digit."
SEVERAL = "This looks like more than one digit; the models read one."
SHADOW = "There is a shadow on the image; what lies in it may be read wrongly."


def warnings(pixels: npt.NDArray[np.uint8], shadowed: Sequence[bool]) -> list[str]:
    """What is unusual about each of uint8 [n, 28, 28], an empty text for what is not.

    `shadowed` says which of the n images had a shadow that was taken away.
    """
    places = 1 << np.arange(SIDE, dtype=np.int64)
    rows: list[list[int]] = ((pixels > INK) @ places).tolist()
    found = []
    for image, dark in zip(rows, shadowed, strict=True):
        said = [_unlike_a_digit(image), SHADOW if dark else ""]
        found.append(" ".join(each for each in said if each))
    return found


def _unlike_a_digit(rows: list[int]) -> str:
    """The same for one image, whose rows are numbers with a bit for each pixel with ink."""
    ink = _ink(rows)
    if ink < LEAST_INK:
        return LITTLE if ink else BLANK
    if ink > MOST_INK or _ink(_eroded(_eroded(rows))) > MOST_SOLID:
        return BLOB
    columns = 0
    for row in rows:
        columns |= row
    inked = [at for at, row in enumerate(rows) if row]
    height, width = inked[-1] - inked[0] + 1, columns.bit_length() - _lowest(columns)
    pieces = sorted(_pieces(rows), key=lambda piece: -piece.ink)
    apart = len(pieces) > 1 and (
        pieces[1].height >= PIECE_HEIGHT * height and pieces[1].ink >= PIECE_INK * pieces[0].ink
    )
    return SEVERAL if apart or len(pieces) > MOST_PIECES or width > WIDEST * height else ""


@dataclass
class _Piece:
    """What hangs together, also by corners: its ink and height, and its pixels in the row before and in this one."""

    above: int
    here: int
    ink: int
    height: int


def _pieces(rows: list[int]) -> list[_Piece]:
    """All pieces, found in one way from the first row to the last."""
    found: list[_Piece] = []
    growing: list[_Piece] = []
    for row in rows:
        left = row
        while left:
            run = left & ~(left + (left & -left))
            left &= ~run
            near = run | run << 1 | run >> 1
            piece = _Piece(0, run, run.bit_count(), 0)
            for other in [each for each in growing if each.above & near]:
                growing.remove(other)
                piece.above |= other.above
                piece.here |= other.here
                piece.ink += other.ink
                piece.height = max(piece.height, other.height)
            growing.append(piece)
        found += [piece for piece in growing if not piece.here]
        growing = [piece for piece in growing if piece.here]
        for piece in growing:
            piece.above, piece.here, piece.height = piece.here, 0, piece.height + 1
    return found + growing


def _ink(rows: list[int]) -> int:
    return sum(row.bit_count() for row in rows)


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _eroded(rows: list[int]) -> list[int]:
    """The pixels all of whose eight neighbours have ink."""
    across = [0, *(row & (row << 1) & (row >> 1) for row in rows), 0]
    return [above & row & below for above, row, below in zip(across, across[1:], across[2:], strict=False)]
