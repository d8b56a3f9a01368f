"""The API tokens in the Audit tab, which only admins see: issue, list and revoke them; built by `app.build_ui`."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_errors import ApiError
from model_ui.api_types import TOKEN_ROLES, Me
from model_ui.authentication import client_for
from model_ui.gradio_pages.problems import problem
from model_ui.metadata_client import MetadataClient
from model_ui.render import tokens
from model_ui.render.markup import note

DAYS = 90
MOST_DAYS = 3650


@dataclass(frozen=True)
class Tokens:
    """What the rest of the page needs: `load` lists the tokens into `outputs`; `once` is what is shown only once.

    `allow` gives the new contents of `parts` for a visitor.
    """

    load: Any
    outputs: list[Any]
    once: gr.HTML
    parts: list[Any]


def build(client: MetadataClient) -> Tokens:
    """Lay out the form and the list and wire them."""
    gr.HTML(tokens.heading(), js_on_load=None, apply_default_css=False)
    with gr.Row(elem_classes="m-filters", equal_height=True):
        name = gr.Textbox(
            label="Token name",
            placeholder="a person or a program",
            max_length=200,
            elem_id="token-name",
            scale=2,
            min_width=180,
        )
        role = gr.Dropdown(
            list(TOKEN_ROLES),
            value="viewer",
            label="Role",
            elem_id="token-role",
            min_width=130,
            filterable=False,
        )
        only = gr.Textbox(
            label="Deployments",
            placeholder="all, or names with commas",
            elem_id="token-deployments",
            scale=2,
            min_width=180,
        )
        days = gr.Number(
            DAYS,
            label="Days (empty: for ever)",
            precision=0,
            minimum=1,
            maximum=MOST_DAYS,
            elem_id="token-days",
            min_width=130,
        )
        issue = gr.Button("Issue", variant="primary", scale=0, min_width=120, elem_classes="m-go")
    said = gr.HTML("", js_on_load=assets.text("tokens.js"), apply_default_css=False, elem_id="token-text")
    table = gr.HTML("", js_on_load=assets.text("tokens.js"), apply_default_css=False, elem_id="tokens")

    async def load(request: gr.Request) -> str:
        try:
            return tokens.listing(await client_for(request, client).tokens())
        except ApiError as error:
            return problem(error)

    async def create(
        called: str | None, kind: str, names: str | None, lasts: float | None, request: gr.Request
    ) -> tuple[str, Any]:
        limited = [part for part in (names or "").replace(",", " ").split() if part]
        try:
            made = await client_for(request, client).issue_token(
                (called or "").strip(),
                kind,
                deployments=limited or None,
                expires_in_days=None if lasts is None else int(lasts),
            )
        except ApiError as error:
            return problem(error), gr.skip()
        return tokens.issued(made), await load(request)

    async def revoke(event: gr.EventData, request: gr.Request) -> tuple[str, Any]:
        try:
            await client_for(request, client).revoke_token(str(event.id))
        except ApiError as error:
            return problem(error), gr.skip()
        return note(f"Token {event.id} is revoked.", "ok"), await load(request)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    outputs = [said, table]
    issue.click(create, [name, role, only, days], outputs, **quiet)
    table.submit(revoke, None, outputs, **quiet)
    return Tokens(load, [table], said, outputs)


def allow(me: Me) -> list[Any]:
    """New contents of `parts`: nothing stays of what another visitor saw."""
    return [gr.skip() if me.may("admin") else "" for _ in range(2)]
