"""The pages with addresses: one module for each noun, which declares its `PAGES`; see `shell.page.Page`.

`pages.ALL` is what the guard lets through and the workbench answers for: a new module is named there and nowhere else.
"""

from model_ui.pages import (
    activity,
    alias,
    aliases,
    compare,
    deployment,
    deployments,
    evidence,
    experiment,
    experiments,
    experiments_csv,
    go,
    help,
    import_report,
    imports,
    label,
    lineage,
    models,
    prediction,
    predictions,
    pulse,
    replays,
    right,
    scores,
    settings,
    version,
)
from model_ui.shell.page import Page

_MODULES = (
    experiments,
    experiments_csv,
    experiment,
    compare,
    deployments,
    deployment,
    aliases,
    alias,
    models,
    version,
    predictions,
    pulse,
    prediction,
    lineage,
    imports,
    import_report,
    activity,
    label,
    right,
    scores,
    evidence,
    replays,
    go,
    help,
    settings,
)
ALL: tuple[Page, ...] = tuple(page for module in _MODULES for page in module.PAGES)
PATHS = frozenset(page.path for page in ALL)
"""Their addresses."""
