"""What a page shows when the API says no, or nothing; called by the callbacks of Try."""

from model_ui.api_errors import ApiError, ApiUnauthenticated
from model_ui.render.markup import log_in_again, note


def problem(error: ApiError) -> str:
    """The reason in a box; for a credential that is no longer accepted, the way to the login."""
    return log_in_again() if isinstance(error, ApiUnauthenticated) else note(error.detail, "bad")
