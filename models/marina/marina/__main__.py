"""The program `marina`: runs one command; what goes wrong is one line on standard error and an exit code."""

import os
import sys

import typer

from marina import import_command as import_command
from marina import label_command as label_command
from marina import packing_command
from marina import promote_command as promote_command
from marina import record_command as record_command
from marina.api import one_line
from marina.errors import Failure


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, by default what was typed: 0 done, 1 not possible, 2 wrong use, 130 interrupted."""
    try:
        status = int(packing_command.app(arguments, standalone_mode=False, prog_name="marina") or 0)
        sys.stdout.flush()  # here, where it is known what a reader that is gone means
        return status
    except Failure as failure:
        return _fail(str(failure), failure.exit_code)
    except typer.TyperException as error:
        said = one_line(error.format_message()).rstrip(".")
        return _fail(f"{said}: see `marina --help`", error.exit_code) if said else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _fail(line: str, code: int) -> int:
    sys.stderr.write(f"marina: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
