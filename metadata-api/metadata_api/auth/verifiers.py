"""Who verifies tokens that are not ours, as the settings say."""

from metadata_api.auth.callers import Verifier
from metadata_api.auth.service_accounts import ServiceAccounts
from metadata_api.kubernetes import Cluster
from metadata_api.settings.auth import Auth


def of(settings: Auth, cluster: Cluster | None) -> list[Verifier]:
    """Those that are set up, the ones that need no network for every token first."""
    found: list[Verifier] = []
    if settings.oidc_issuer:
        # Only where they are used: cryptography takes time and memory.
        from metadata_api.auth.issuer_keys import IssuerKeys
        from metadata_api.auth.oidc import Oidc

        keys = IssuerKeys(settings.oidc_issuer, ca_file=settings.oidc_ca_file, http=settings.oidc_allow_http)
        found.append(Oidc(settings, keys))
    if settings.service_accounts:
        assert cluster, "the settings see to it"
        found.append(ServiceAccounts(cluster, settings.service_accounts, settings.service_account_audience))
    return found
