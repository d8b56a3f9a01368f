"""What a kind of answer is made of; each kind is a module beside this one."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from model_ui.prediction_types import AskedInput, Result

NAMED = 3


@dataclass(frozen=True)
class Answer:
    """What one version said, for all deployments of it that said exactly that."""

    result: Result
    deployments: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The first of its deployments, by which it is called."""
        return self.deployments[0]


@dataclass(frozen=True)
class Verdict:
    """What all answers come to: a title, a sentence about those that differ, and large on the left the answer itself.

    `glyph` is text, `more` is HTML; `dissenters` are names of answers.
    """

    title: str
    detail: str = ""
    glyph: str = ""
    agreed: bool = True
    dissenters: Collection[str] = ()
    more: str = ""


@dataclass(frozen=True)
class AnswerKind:
    """One kind: the kinds of output that it shows, what all answers come to, and the HTML of a single one."""

    outputs: frozenset[str]
    verdict: Callable[[Sequence[Answer]], Verdict]
    body: Callable[[Answer, Sequence[Answer], AskedInput], str]
    wide: bool = False
    """Whether an answer needs more room than a card's usual width."""


def named(answers: Sequence[Answer]) -> str:
    """Some answers by name."""
    return joined([answer.name for answer in answers])


def joined(names: Sequence[str]) -> str:
    """Some names: `a`, `a and b`, `a, b, c and 2 more`."""
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def says(answers: Sequence[Answer], what: str) -> str:
    """Who says what: `mlp-poor says 3`, `a and b say 3`."""
    return f"{named(answers)} {'says' if len(answers) == 1 else 'say'} {what}"
