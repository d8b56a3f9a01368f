"""The table of docs/security.md that says who may do what: `python -m metadata_api.access_table FILE` writes it there.

Made from what every route declares. With --check nothing is written, and a table that is not true is exit code 1.
"""

import argparse
import sys
from pathlib import Path

from metadata_api.app import ACCESS
from serving_runtime.contracts import Role

BEGIN = "<!-- access: made by `make access` -->"
END = "<!-- end of access -->"


def table() -> str:
    """Routes by address, with a cross for each role that may use them."""
    columns = ["none", *Role]
    lines = [f"| route | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for one in sorted(ACCESS, key=lambda one: (one.path, one.method)):
        if one.method != "HEAD":
            may = [one.role is None, *(one.role is None or role.includes(one.role) for role in Role)]
            lines.append(f"| `{one.method} {one.path}` | {' | '.join('x' if yes else '' for yes in may)} |")
    return "\n".join(lines)


def main() -> int:
    """Write the table between its marks, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = arguments.file.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if arguments.check and new != text:
        sys.stderr.write(f"{arguments.file} is not what the routes declare: run `make access`\n")
        return 1
    if not arguments.check:
        arguments.file.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
