"""What ends a command: one line for people that says what to do, and an exit code.

Failure      1 the command was understood and cannot be carried out
└── WrongUse 2 what was typed, or the file that it names, has to be changed first
"""


class Failure(Exception):
    """The command cannot be carried out; the text is one line and says what to do."""

    exit_code = 1


class Unreachable(Failure):
    """No answer, or one that says "not now": the same request may succeed later."""


class NotFound(Failure):
    """There is nothing of this name."""


class WrongUse(Failure):
    """What was typed, or a file that it names, has to be changed first."""

    exit_code = 2
