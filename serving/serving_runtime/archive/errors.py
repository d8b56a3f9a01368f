"""Why an archive is rejected."""


class MarError(ValueError):
    """The archive is rejected. `code` is stable (snake_case); the text says what is wrong and what to do."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
