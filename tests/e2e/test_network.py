"""The table of docs/network.md on the cluster: what it allows connects, and nothing else while the policies are on."""

from tests.e2e.cluster import NAMESPACE, ROOT, helm
from tests.e2e.network import MATRIX, probes, wait_until


def test_pods_reach_what_the_documents_table_says_and_without_policies_all(release: str) -> None:
    chart = str(ROOT / "charts" / "marina")
    expected = MATRIX.allowed(s3=False)
    with probes(release, NAMESPACE) as look:
        wait_until(look, expected, "the table is true")
        helm("upgrade", release, chart, "--reuse-values", "--set", "networkPolicy.enabled=false")
        try:
            every = {pair for pair in MATRIX.asked() if "object-store" not in pair}
            wait_until(look, every, "without policies every way is open")
        finally:
            helm("rollback", release)
        wait_until(look, expected, "the table is true again")
    print(f"\n  {len(expected)} ways are open, {len(every - expected)} are closed, and open without policies")
