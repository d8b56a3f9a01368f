"""The command `import`: experiments from a CSV, which the API reads, or from TensorBoard, which is read here."""

from pathlib import Path
from typing import Annotated

import typer

from marina import archives, event_files, event_import, printing
from marina.commands import UPLOAD_SECONDS, AsJson, api_of, app


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv|FOLDER", help="Or one event file of TensorBoard.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import experiments from a CSV or from TensorBoard's event files. Exit code 1 if some were rejected."""
    with api_of(context) as api:
        if file.is_dir() or event_files.is_event_file(file):
            report = event_import.import_runs(api, file, dry_run=dry_run)
        else:
            query, headers = {"filename": file.name, "dry_run": dry_run}, {"Content-Type": "text/csv"}
            with archives.opened(file) as content:
                report = api.send(
                    "POST",
                    "/v1/imports",
                    seconds=UPLOAD_SECONDS,
                    params=query,
                    content=content,
                    headers=headers,
                )
    if as_json:
        printing.tell_json(report)
    else:
        printing.tell_report(report)
    if report["rejected"]:
        raise typer.Exit(1)
