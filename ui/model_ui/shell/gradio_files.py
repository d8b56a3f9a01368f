"""Which of Gradio's scripts and styles its page needs: the styles become one file, the scripts are asked for at once.

Gradio's client asks for the styles of each part one by one, and for scripts only once those before have come. Its
modules name what they import, together with the files that belong to it, in a form that Vite writes; nothing is run.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# What `app.build_ui` is made of.
COMPONENTS = ("html", "column", "row")
ENTRY = re.compile(r'src="\./assets/(index-[^"]+\.js)"')
FILES = re.compile(r"m\.f=\[([^]]*)\]")
IMPORT = re.compile(r"import\(`\./([^`]+)`\)[^`]{0,80}?__vite__mapDeps\(\[([\d,]*)\]\)")


@dataclass(frozen=True)
class Files:
    """Names below Gradio's `/assets/`; the style that the document itself names is not among them."""

    scripts: tuple[str, ...]
    styles: tuple[str, ...]


@cache
def files() -> Files:
    """What the page loads until its first answer."""
    document = (_folder() / "index.html").read_text("utf-8")
    entry = ENTRY.findall(document)[0]
    found = dict.fromkeys([entry])
    for name, deps in _imports(entry):
        if name.startswith(("Index-", "core-")):
            found |= dict.fromkeys(deps)
    for name in list(found):
        if name.startswith("Index-") and name.endswith(".js"):
            blocks = [deps for imported, deps in _imports(name) if imported.startswith("Blocks-")]
            found |= dict.fromkeys(dep for deps in blocks for dep in deps)
        elif name.startswith("core-") and name.endswith(".js"):
            found |= dict.fromkeys(_of_components(name))
    return Files(
        tuple(name for name in found if name.endswith(".js")),
        tuple(name for name in found if name.endswith(".css")),
    )


def content(name: str) -> bytes:
    """One of the files."""
    return (_folder() / "assets" / name).read_bytes()


def _of_components(core: str) -> list[str]:
    text = content(core).decode()
    found: list[str] = []
    for name in COMPONENTS:
        part = re.search(rf"[{{,]{name}:\{{(.*?)import\.meta\.url\)\}}", text)
        if part:
            found += [dep for _, deps in _sites(part[1], text) for dep in deps]
    return found


def _imports(name: str) -> list[tuple[str, list[str]]]:
    text = content(name).decode()
    return _sites(text, text)


def _sites(part: str, text: str) -> list[tuple[str, list[str]]]:
    """What a part of a module imports later, and the files that come with each; `text` is the whole module."""
    listed = FILES.search(text)
    names = [name.strip('"').removeprefix("./") for name in listed[1].split(",")] if listed else []
    return [
        (imported, [names[int(at)] for at in places.split(",") if at and int(at) < len(names)])
        for imported, places in IMPORT.findall(part)
    ]


def _folder() -> Path:
    """Where Gradio keeps them; found without importing it, which takes seconds."""
    spec = find_spec("gradio")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gradio is not installed")
    return Path(spec.origin).parent / "templates" / "frontend"
