"""The pages that somebody sees who is not let in: plain HTML without scripts; sent by `login.Login`."""

from urllib.parse import urlencode

from model_ui.render.markup import text

WRONG = "This token is not accepted. It is mistyped, expired or revoked."
TOO_MANY = (
    "This token is not accepted either. Answers to wrong tokens from your address are slowed for a minute; "
    "the right one is let in at any time."
)
EXPIRED = "You are no longer logged in: your token has expired or was revoked."
HINT = """
<p>On one machine, <code>make up</code> prints a link that logs you in. The token is in
<code>.marina/run/token</code>.</p>
<p>On a cluster, <code>helm get notes RELEASE</code> prints the command that shows the token of the administrator, who
can give you one of your own.</p>
"""
_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --ink: #17212d; --soft: #5a6875; --line: #8a97a3; --card: #fff; --page: #f5f7f9; --sea: #0b6a88;
  --bad: #b3261e; --bad-soft: #fdeceb; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e4eaf0; --soft: #9aa8b6; --line: #6b7a89; --card: #18212b; --page: #10161d; --sea: #4db6d6;
    --bad: #f28b82; --bad-soft: #3a1b19; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px 16px; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }}
main {{ width: 100%; max-width: 420px; padding: 28px; background: var(--card); border-radius: 10px; }}
h1 {{ margin: 0 0 4px; font-size: 24px; line-height: 1.2; color: var(--sea); }}
p {{ margin: 0 0 12px; }}
form {{ margin: 20px 0 24px; }}
label {{ display: block; margin-bottom: 6px; font-size: 14px; font-weight: 600; }}
input {{ width: 100%; min-height: 44px; padding: 0 12px; font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); border-radius: 8px; }}
button, .button {{ display: block; width: 100%; min-height: 44px; margin-top: 12px; font: inherit; font-weight: 700;
  line-height: 44px; text-align: center; text-decoration: none; color: #fff; background: #0b6a88; border: 0;
  border-radius: 8px; cursor: pointer; }}
button:hover, .button:hover {{ background: #095a74; }}
:focus-visible {{ outline: 2px solid var(--sea); outline-offset: 2px; }}
a {{ color: var(--sea); }}
.hint {{ font-size: 14px; color: var(--soft); overflow-wrap: anywhere; }}
.hint :last-child {{ margin-bottom: 0; }}
.problem {{ margin: 16px 0; padding: 11px 14px; font-size: 14px; color: var(--bad); background: var(--bad-soft);
  border-radius: 8px; }}
</style>
</head>
<body><main><h1>Marina</h1>
{content}
</main></body>
</html>
"""


def login(
    root: str, *, next_address: str, hint: str, problem: str = "", arrived: bool = False, provider: str = ""
) -> str:
    """The login: a form that takes a token and leads on to `next_address`, and where a token is found.

    `hint` is text that stands instead of ours; `arrived` says that a link of another site led here; `provider` is the
    path below `root` that leads to an OpenID provider, empty for none.
    """
    alert = f'<p class="problem" role="alert">{text(problem)}</p>' if problem else ""
    here = text(f"{root}{next_address}")
    known = f'<p>Logged in already? <a href="{here}">Go on to the page</a>.</p>' if arrived else ""
    with_account = ""
    if provider:
        way = text(f"{root}{provider}?{urlencode({'next': next_address})}")
        with_account = f'<p><a class="button" href="{way}">Log in with your account</a></p>'
    how = "Or log in with a token." if provider else "Log in with a token."
    content = f"""{alert}{known}{with_account}<p>{how}</p>
<form method="post" action="{text(root)}/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" autocapitalize="off" spellcheck="false"
  required autofocus>
<input name="next" type="hidden" value="{text(next_address)}">
<button>Log in</button>
</form>
<div class="hint">{f"<p>{text(hint)}</p>" if hint else HINT}</div>"""
    return _FRAME.format(title="Log in · Marina", content=content)


def confirm(root: str, subject: str, role: str, *, token: str, next_address: str) -> str:
    """What somebody sees whom a link of another page would log in, as whom is said."""
    content = f"""<p>A link of another page logs you in as <b>{text(subject)}</b> ({text(role)}).
What you do here is done in this name.</p>
<form method="post" action="{text(root)}/login">
<input name="token" type="hidden" value="{text(token)}">
<input name="next" type="hidden" value="{text(next_address)}">
<button>Log in</button>
</form>
<p class="hint">If you did not expect this, close the page: nothing has happened.</p>"""
    return _FRAME.format(title="Log in? · Marina", content=content)


def onward(address: str) -> str:
    """What leads a browser that has just been given the cookie on to an address of ours."""
    there = text(address)
    content = f'<p>You are logged in. <a href="{there}">Go on to the page</a>.</p>'
    page = _FRAME.format(title="Marina", content=content)
    return page.replace(
        "<meta charset", f'<meta http-equiv="refresh" content="0; url={there}">\n<meta charset', 1
    )


def away(detail: str, *, again: bool) -> str:
    """What somebody sees whose credential cannot be checked; `again` says that the page asks again by itself."""
    what = "This page tries again by itself." if again else "Go back and try again in a moment."
    content = (
        f'<p class="problem" role="alert">The API does not answer, so nobody can be let in. {text(detail)}</p>'
        f'<p style="margin-top: 16px">{what}</p>'
    )
    return _FRAME.format(title="API away · Marina", content=content)
