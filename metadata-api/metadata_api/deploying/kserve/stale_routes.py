"""Removes the routes of another `expose.mode`; the deployer calls it once its own routes are there."""

import logging

from metadata_api.deploying.kserve.inference_services import MANAGER
from metadata_api.deploying.kserve.routes import KINDS, Route, parse
from metadata_api.kubernetes import Cluster, ClusterAway, ClusterError

log = logging.getLogger(__name__)


async def remove_stale_routes(cluster: Cluster, mode: str, selector: str) -> bool:
    """Delete this installation's routes of every kind but that of `mode`; False when it has to be tried again."""
    done = True
    for kind in (kind for name, kind in KINDS.items() if name != mode):
        found: list[Route] = []
        try:
            await cluster.list(kind, selector, lambda item, found=found: found.append(parse(item)))  # type: ignore[misc]
            for route in found:
                if route.manager == MANAGER and not route.deleting:
                    await cluster.delete(kind, route.name, route.uid)
                    log.info(
                        "%s %s is from another way to expose models and was deleted", kind.kind, route.name
                    )
        except ClusterAway:
            done = False
        except ClusterError as error:
            # Most clusters have only one of the kinds.
            log.debug("no %s to look for: %s", kind.plural, error)
    return done
