"""What an archive needs of its environment: imports of its code, which is read and not run, and its requirements.txt.

Only code that a model surely loads counts: the handler, the model file, and what these import from the archive. What
is imported in a `try` that catches the failure, or for type checkers only, is not needed.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from serving_runtime.archive import syntax, zip_reader
from serving_runtime.archive.errors import MarError
from serving_runtime.archive.manifest import TORCHSERVE_HANDLERS, file_of
from serving_runtime.archive.mar import MarInfo
from serving_runtime.archive.stock_handlers import STOCK
from serving_runtime.environments import Environment

REQUIREMENTS = "requirements.txt"
_LARGEST_SOURCE = 1024**2
# Of all files that are read together.
_MOST_SOURCE = 4 * 1024**2
_LONGEST_LINE = 1000
_DEEPEST = 32
_STOCK = "ts.torch_handler."
_COMMENT = re.compile(r"(^|\s)#.*$")
_CATCHES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True)
class Needs:
    """Top-level names that are imported, and packages that are asked for."""

    imports: frozenset[str] = frozenset()
    requirements: tuple[Requirement, ...] = ()

    def missing(self, environment: Environment) -> list[str]:
        """What an environment does not have, sorted, as people write it; nothing when it fits."""
        return sorted(self.imports - environment.imports) + [
            f"{one.name}{one.specifier}" + (f" (it has {has})" if has else "")
            for one in self.requirements
            if (has := environment.packages.get(canonicalize_name(one.name))) is None
            or not one.specifier.contains(has, prereleases=True)
        ]


def smallest(needs: Needs, offered: Iterable[Environment]) -> Environment | None:
    """The environment with the fewest packages that has all that is needed."""
    fitting = [one for one in offered if not needs.missing(one)]
    return min(fitting, key=lambda one: (len(one.packages), one.name), default=None)


def read(path: Path, info: MarInfo) -> Needs:
    """The needs of the archive at `path`, whose content is `info`. Raises MarError, OSError."""
    with path.open("rb") as file:
        entries = zip_reader.open_zip(file)

        def source(name: str) -> bytes:
            entry = entries[name]
            return zip_reader.read(file, entry, entry.size) if entry.size <= _LARGEST_SOURCE else b""

        files = frozenset(entries)
        model = info.manifest["model"]
        needed = of_code(_roots(model, files), files, source)
        if model["handler"] in TORCHSERVE_HANDLERS and file_of(model["handler"]) not in files:
            needed |= _of_stock(f"{_STOCK}{model['handler']}")
        wanted = entries.get(REQUIREMENTS)
        requirements = _requirements(zip_reader.read(file, wanted, _LARGEST_SOURCE)) if wanted else ()
    return Needs(frozenset(needed), requirements)


def of_code(roots: Iterable[str], files: frozenset[str], source: Callable[[str], bytes]) -> set[str]:
    """Top-level names that the files `roots` import, and those of `files` that they import in turn.

    Without the standard library and the files themselves. A file that cannot be parsed, and all behind the first
    megabytes, is left to whoever loads it.
    """
    needed: set[str] = set()
    waiting = list(roots)
    read_already = set(waiting)
    folders = {"", *(_folder(name) for name in waiting)}
    packages = frozenset(str(folder) for name in files for folder in PurePosixPath(name).parents)
    left = _MOST_SOURCE
    while waiting and left > 0:
        name = waiting.pop()
        content = source(name)
        left -= len(content)
        for dotted in _imported(name, content):
            own = _own(dotted, folders, files, packages)
            if own is None:
                needed |= _of_stock(dotted)
                if (top := dotted.partition(".")[0]) not in sys.stdlib_module_names:
                    needed.add(top)
                continue
            waiting += [found for found in own if found not in read_already]
            read_already.update(own)
    return needed


def _roots(model: Mapping[str, str], files: frozenset[str]) -> list[str]:
    named = (file_of(model["handler"]), model.get("modelFile"))
    return [name for name in named if name in files]


def _of_stock(dotted: str) -> set[str]:
    """What a module of TorchServe's own handlers imports."""
    if not dotted.startswith(_STOCK):
        return set()
    known = STOCK.get(dotted.removeprefix(_STOCK).partition(".")[0])
    return set(known.needs) if known is not None else set()


def _own(
    dotted: str, folders: Iterable[str], files: frozenset[str], packages: frozenset[str]
) -> list[str] | None:
    """The files of the archive that importing `dotted` runs; None when its first part is none of the archive's.

    `packages` are all folders that hold one of `files`.
    `/folder/module` is a module of the folder, wherever modules are looked for.
    """
    roots = [""] if dotted.startswith("/") else folders
    parts = dotted.removeprefix("/").replace("/", ".").split(".")[:_DEEPEST]
    for root in roots:
        first = f"{root}{parts[0]}"
        if f"{first}.py" in files or first in packages:
            paths = [f"{root}{'/'.join(parts[:count])}" for count in range(1, len(parts) + 1)]
            candidates = [name for path in paths for name in (f"{path}.py", f"{path}/__init__.py")]
            return [name for name in candidates if name in files]
    return [] if dotted.startswith("/") else None


def _imported(name: str, source: bytes) -> Iterator[str]:
    """What a file surely imports, as dotted names; what is imported from a package may be a module of it."""
    tree = syntax.parsed(source)
    waiting: list[ast.AST] = [] if tree is None else [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _relative(name, node) if node.level else node.module or ""
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)
        elif isinstance(node, ast.Try) and any(map(_catches, node.handlers)):
            waiting += [*node.orelse, *node.finalbody]
        elif isinstance(node, ast.If) and any(map(_is_for_types, ast.walk(node.test))):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _relative(name: str, node: ast.ImportFrom) -> str:
    """`from .. import x` in a file of the archive, as the folder that it means."""
    folder = PurePosixPath(name).parent
    for _ in range(min(node.level - 1, _DEEPEST)):
        folder = folder.parent
    path = "/".join(part for part in (*folder.parts, *(node.module or "").split(".")) if part)
    return f"/{path}"


def _catches(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _CATCHES) for kind in kinds)


def _is_for_types(node: ast.AST) -> bool:
    return syntax.dotted(node).rpartition(".")[2] == "TYPE_CHECKING"


def _folder(name: str) -> str:
    return name[: name.rfind("/") + 1]


def _requirements(text: bytes) -> tuple[Requirement, ...]:
    """The packages of a requirements.txt that this Python needs; options say where from, which is not asked here."""
    found: list[Requirement] = []
    for line in text.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        plain = _COMMENT.sub("", line).split(" --")[0].strip()
        if not plain or plain.startswith("-"):
            continue
        found += _requirement(plain)
    return tuple(found)


def _requirement(line: str) -> list[Requirement]:
    """The package of a line; nothing when its marker says that this Python does not need it. Raises MarError."""
    try:
        if len(line) > _LONGEST_LINE:
            raise ValueError("it is too long")
        found = Requirement(line)
        return [found] if found.marker is None or found.marker.evaluate() else []
    except (ValueError, RecursionError):
        raise MarError(
            "requirements",
            f"{REQUIREMENTS} has the line {ascii(line[:80])}, which names no package. Write NAME==VERSION.",
        ) from None
