"""Syntax trees of Python files from outside, which are read and never run; bounded, as a tree is large.

A line of two bytes becomes 2 kB of tree, so that a file of 1 MB would take 1 GB.
"""

import ast
import io
import re
import tokenize

MOST_TOKENS = 50_000
"""About 5,000 lines of usual code; 100 MB of tree at worst."""
STREAMING = "send_intermediate_predict_response"
# Others are hardly used for code, and some decode a small file in minutes.
_ENCODINGS = {"utf-8", "utf-8-sig", "ascii", "us-ascii", "iso-8859-1", "iso-8859-15", "cp1252"}
_TOKEN = re.compile(r"\w+|[^\w\s\\]")
# The parser writes each dotted name of an import down once for each of its dots.
_MOST_DOTS = 100


def parsed(source: bytes) -> ast.Module | None:
    """The tree of a file; None for one that cannot be parsed or is too long, which is left to whoever loads it."""
    try:
        return parse(source)
    except SyntaxError:
        return None


def parse(source: bytes) -> ast.Module | None:
    """The same, but what is no Python raises SyntaxError."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        if encoding.lower() not in _ENCODINGS:
            return None
        text = source.decode(encoding)
        return ast.parse(text) if _is_bounded(text) else None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "it is nested too deeply") from None


def streams(tree: ast.AST) -> bool:
    """Whether code names what TorchServe's handlers stream answers with; the text alone may stand in a comment."""
    return any(
        STREAMING in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute | ast.alias)
    )


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression that is a name with attributes, however long; empty for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _is_bounded(text: str) -> bool:
    """Whether the tree stays small: few tokens, and no endless dotted name."""
    dots, last = 0, ""
    for at, found in enumerate(_TOKEN.finditer(text)):
        token = found[0]
        if at >= MOST_TOKENS or dots > _MOST_DOTS:
            return False
        if token == ".":
            dots += last != "."  # a line of dots in a comment is no name
        elif last != "." or not token.isidentifier():
            dots = 0
        last = token
    return dots <= _MOST_DOTS
