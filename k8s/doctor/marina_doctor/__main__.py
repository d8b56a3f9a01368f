"""Look at a cluster and say what keeps Marina from working on it: python -m marina_doctor --namespace marina.

Exit 0: nothing stops the product; 1: something does; 2: the cluster cannot be asked.
"""

import argparse
import logging
import sys
from pathlib import Path

from marina_doctor import report
from marina_doctor.cluster import Cluster, Unreachable
from marina_doctor.collector import collect
from marina_doctor.findings import fail, ok
from marina_doctor.values import of_files

UNREACHABLE = 2


def main() -> int:
    """Print the report; return the exit code."""
    given = _arguments()
    # KServe's SDK logs while it is imported; urllib3 warns of every call that fails, which the report says already.
    logging.disable(logging.WARNING)
    about = {"release": given.release, "namespace": given.namespace}
    try:
        planned = of_files(given.values)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"marina: {error}\n")
        return UNREACHABLE
    try:
        cluster = Cluster(given.kubeconfig, given.context)
        observed = collect(cluster, given.release, given.namespace, planned, given.kserve_namespace)
    except Unreachable as error:
        found = [fail("cluster", str(error), "Check KUBECONFIG and its context: `kubectl get --raw /readyz`")]
        code = UNREACHABLE
    else:
        found = [ok("cluster", f"{cluster.address} answers"), *report.findings(observed)]
        code = report.exit_code(found)
    sys.stdout.write((report.as_json(found, code, about) if given.json else report.as_lines(found)) + "\n")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="marina_doctor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kubeconfig", help="file to use instead of KUBECONFIG's")
    parser.add_argument("--context", help="context of the kubeconfig instead of its current one")
    parser.add_argument("--namespace", default="marina", help="namespace of the release")
    parser.add_argument("--release", default="marina", help="name of the release")
    parser.add_argument("--kserve-namespace", default="kserve", help="namespace of KServe's controller")
    parser.add_argument(
        "--values",
        type=Path,
        action="append",
        default=[],
        help="values file for a release that is not installed yet; may be given more than once",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
