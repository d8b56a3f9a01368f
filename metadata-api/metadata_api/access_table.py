"""The table of docs/security.md that says who may do what: `python -m metadata_api.access_table FILE` writes it there.

Made from what every route declares; a test compares the document with it.
"""

import argparse
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
            mark = "key" if one.by_key else "x"
            lines.append(f"| `{one.method} {one.path}` | {' | '.join(mark if yes else '' for yes in may)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table between its marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    before, _, rest = file.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")


if __name__ == "__main__":
    main()
