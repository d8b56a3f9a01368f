"""Bodies of the routes that delete."""

from pydantic import BaseModel


class Deletion(BaseModel):
    """What a deletion took with it, or with `dry_run` would take."""

    deleted: bool
    """False for a dry run."""
    experiments: list[str] = []
    versions: list[str] = []
    """As NAME/NUMBER."""
    predictions: int = 0
    """Records that are deleted."""
    predictions_kept: int = 0
    """Records that stay and lose the link to their version; their lineage still names it."""
    inputs: int = 0
    labels: int = 0
    """Labels that are deleted with their input, superseded ones too."""
    imports: int = 0
    blocked_by: list[str] = []
    """What has to be removed or moved before; only a dry run has any."""
