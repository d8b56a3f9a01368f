"""Scripts, styles and examples that the pages are made of, read from the package; used when the UI is built."""

import base64
from functools import cache
from importlib import resources


def text(name: str) -> str:
    """One file of this folder."""
    return resources.files(__name__).joinpath(name).read_text("utf-8")


def styles() -> str:
    """The style sheet; what holds for phones comes last."""
    return "".join(text(name) for name in ("tokens.css", "pieces.css", "marina.css", "try.css", "narrow.css"))


def asking() -> str:
    """The script of what the models are asked about: the widgets, then what brings them up."""
    parts = ("freshness.js", "picture.js", "pen_keys.js", "sketchpad.js", "form.js", "asking.js")
    return "const widgets = {};\n" + "".join(text(name) for name in parts)


@cache
def examples() -> str:
    """HTML of the example digits, as buttons."""
    folder = resources.files("model_ui").joinpath("examples")
    images = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".png")), key=lambda file: file.name
    )
    buttons = []
    for image in images:
        digit = image.name.removeprefix("digit-").removesuffix(".png")
        data = base64.b64encode(image.read_bytes()).decode()
        buttons.append(
            f'<button type="button" data-example="{digit}" aria-label="Example: a {digit}">'
            f'<img src="data:image/png;base64,{data}" alt="" width="28" height="28"></button>'
        )
    return "".join(buttons)
