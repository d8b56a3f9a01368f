"""Colours of curves and of the experiments that they belong to, with 3:1 on light and on dark."""

# Told apart by people with colour blindness too, after Okabe and Ito.
COLOURS = (
    "#0072b2", "#d55e00", "#00875f", "#c05f97", "#a67a00", "#3d8fc4", "#8f62ab", "#8c6d31", "#5b7fa6", "#b5567a",
)  # fmt: skip


def colour(place: int) -> str:
    """The colour of the experiment at a place of the chosen ones."""
    return COLOURS[place % len(COLOURS)]
