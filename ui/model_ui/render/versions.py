"""What a version takes, gives and asks for, in words; used by the pages Version and Try."""

from model_ui.render.markup import number
from model_ui.spec_types import ArchiveSettings, Column, Tensor


def tensor_words(tensor: Tensor) -> str:
    """What a tensor is, in a few words: `image, 28 × 28, grey`."""
    if tensor.image is not None:
        colours = {1: "grey", 3: "colour", 4: "colour with transparency"}
        found = colours.get(tensor.image.channels, f"{tensor.image.channels} channels")
        return f"image, {tensor.image.width} × {tensor.image.height}, {found}"
    if tensor.kind == "table":
        return f"table of {len(tensor.columns)} columns" if tensor.columns else "table"
    if tensor.kind == "number":
        return f"number in {tensor.unit}" if tensor.unit else "number"
    if tensor.kind in ("probabilities", "label", "text", "boxes"):
        return tensor.kind
    shape = " × ".join("n" if size < 0 else str(size) for size in tensor.shape)
    return " ".join(part for part in ("tensor", tensor.datatype, shape) if part)


def asked_for(settings: ArchiveSettings | None) -> str:
    """What an archive's configuration file sets where a deployment says nothing else."""
    if settings is None:
        return ""
    delay = settings.batch_delay_seconds
    found = (
        f"batches of {settings.batch_size} rows" if settings.batch_size is not None else "",
        f"batches after {1000 * delay:g} ms" if delay is not None else "",
        f"{settings.startup_seconds:g} s to load" if settings.startup_seconds is not None else "",
        f"{settings.response_seconds:g} s to answer" if settings.response_seconds is not None else "",
    )
    return ", ".join(filter(None, found))


def column_words(column: Column) -> str:
    """A column with its unit and its range or categories: `alcohol, 11 – 15 % vol`."""
    missing = "may be missing" if column.optional else ""
    return ", ".join(part for part in (column.name, range_words(column), missing) if part)


def range_words(column: Column) -> str:
    """What a column's values are: `11 – 15 % vol`, `at least 0`, `red, white`; empty when nothing is known."""
    if column.categories:
        return ", ".join(column.categories)
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        words = f"{number(low)} – {number(high)}"
    elif low is not None:
        words = f"at least {number(low)}"
    elif high is not None:
        words = f"at most {number(high)}"
    else:
        words = ""
    return " ".join(part for part in (words, column.unit) if part)
