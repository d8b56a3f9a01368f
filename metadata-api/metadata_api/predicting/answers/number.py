"""One number, with its unit if the version names one."""

import math

from metadata_api.predicting.base import Answer, Outputs

RANK = 2
FAMILY = "numbers"
# Beyond it spread and mean of several would be infinite, which JSON cannot say.
LARGEST = 1e150


def read(outputs: Outputs) -> Answer:
    """The first number of the output."""
    found = outputs.of_kind("number")
    if found is None or not found[1].data:
        raise ValueError("its number is missing")
    spec, tensor = found
    try:
        number = float(tensor.values()[0])
    except ValueError:
        number = math.nan
    if not abs(number) < LARGEST:
        raise ValueError("its number is no number, or a very large one")
    return Answer("number", number=number, unit=spec.unit or None)
