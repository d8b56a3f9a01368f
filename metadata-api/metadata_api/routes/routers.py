"""The routers of the application: a new module of routes is named here."""

from metadata_api.routes import (
    alias_evidence,
    aliases,
    all_versions,
    artifacts,
    audit,
    deployments,
    experiment_lists,
    experiments,
    fsck,
    health,
    imports,
    inputs,
    label_queue,
    labels,
    metrics,
    predictions,
    recordings,
    replays,
    restores,
    scores,
    tokens,
    versions,
)

ROUTERS = tuple(
    module.router
    for module in (
        health,
        metrics,
        experiments,
        experiment_lists,
        imports,
        fsck,
        restores,
        versions,
        all_versions,
        artifacts,
        deployments,
        aliases,
        alias_evidence,
        predictions,
        recordings,
        inputs,
        labels,
        replays,
        label_queue,
        scores,
        tokens,
        audit,
    )
)
"""In the order in which the documentation shows them."""
