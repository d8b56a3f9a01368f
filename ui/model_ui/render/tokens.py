"""API tokens as a table, and the text of one that was just issued; used by the Audit tab."""

from collections.abc import Sequence
from datetime import UTC, datetime

from model_ui.api_types import IssuedToken, Token
from model_ui.render.markup import chip, empty, moment, text


def heading() -> str:
    """What stands over the form."""
    return '<div class="m-intro"><h3>API tokens</h3></div>'


def listing(tokens: Sequence[Token]) -> str:
    """HTML table of tokens, with a button to revoke each that is still accepted."""
    if not tokens:
        return empty("No token was issued", "Give a name and a role above, and press Issue.")
    rows = "".join(_row(token, datetime.now(UTC)) for token in tokens)
    head = "".join(
        f'<th scope="col">{column}</th>'
        for column in ("Name", "Role", "Deployments", "Created (UTC)", "Expires (UTC)", "State")
    )
    count = "1 token" if len(tokens) == 1 else f"{len(tokens):,} tokens"
    return (
        '<div class="m-table-wrap"><table class="m-table m-tokens">'
        f"<caption>{count}, newest first</caption>"
        f'<thead><tr>{head}<th scope="col"><span class="m-hidden">Revoke</span></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def issued(token: IssuedToken) -> str:
    """HTML of a new token's text, which is shown this one time, with a button to copy it."""
    return (
        f'<div class="m-note ok" role="status">The token of {text(token.name)} with the role {text(token.role)}. '
        "It is shown only now: copy it.</div>"
        f'<div class="m-once"><code>{text(token.token)}</code>'
        '<button type="button" class="m-button" data-copy>Copy</button></div>'
    )


def _row(token: Token, now: datetime) -> str:
    limits = "all" if token.deployments is None else ", ".join(token.deployments)
    expires = "never" if token.expires_at is None else moment(token.expires_at)
    return (
        f'<tr><th scope="row"><span class="m-name">{text(token.name)}</span>'
        f'<span class="m-sub">{text(token.id)}, by {text(token.created_by)}</span></th>'
        f"<td>{chip(token.role)}</td><td>{text(limits)}</td><td>{moment(token.created_at)}</td><td>{expires}</td>"
        f"{_state(token, now)}</tr>"
    )


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return f"<td>{chip('revoked', 'bad')} {moment(token.revoked_at)}</td><td></td>"
    if token.expires_at is not None and token.expires_at <= now:
        return f"<td>{chip('expired', 'quiet')}</td><td></td>"
    label = text(f"Revoke: {token.name}")
    return (
        f'<td>{chip("valid", "ok")}</td><td><button type="button" class="m-button" data-revoke="{text(token.id)}" '
        f'aria-label="{label}">Revoke</button></td>'
    )
