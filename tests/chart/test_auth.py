"""Tokens in the chart: one Secret that is kept, who gets what of it, and what is open without it."""

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import Rejected, Rendered, render, shape
from tests.chart.test_choices import asked


class TestAuthentication:
    def test_every_key_of_the_secret_is_a_token_or_for_kserve(self) -> None:
        data = {
            key: b64decode(value).decode()
            for key, value in render().one("Secret", "marina-auth")["data"].items()
        }
        for key in ("admin-token", "serving-token", "fetch-token", "metrics-token"):
            assert re.fullmatch(r"mrn_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", data.pop(key)), key
        assert data["https-host"] == "marina-metadata-api.models.svc.cluster.local"
        assert json.loads(data["headers"])["Authorization"].startswith("Bearer mrn_")

    def test_tokens_that_are_there_stay(self, tmp_path: Path) -> None:
        have = '(dict "data" (dict "admin-token" "b2xk" "fetch-token" "b2xk"))'
        kept = yaml.safe_load(asked(tmp_path, f'{{{{ include "marina.auth.data" (list . {have}) }}}}'))
        assert (kept["admin-token"], kept["fetch-token"]) == ("b2xk", "b2xk")
        assert json.loads(b64decode(kept["headers"])) == {"Authorization": "Bearer old"}
        assert kept["serving-token"]

    def test_the_secret_outlives_the_release(self) -> None:
        annotations = render().one("Secret", "marina-auth")["metadata"]["annotations"]
        assert annotations["helm.sh/resource-policy"] == "keep"

    def test_without_a_generated_one_a_secret_must_be_named(self) -> None:
        with pytest.raises(Rejected, match="auth.existingSecret"):
            render({"auth": {"generate": False}})

    def test_with_s3_no_token_is_given_to_what_fetches_archives(self) -> None:
        rendered = render(shape("external-s3"))
        assert "headers" not in rendered.one("Secret", "marina-auth")["data"]
        (account,) = [
            one for one in rendered.kind("ServiceAccount") if one["metadata"]["name"] == "marina-predictor"
        ]
        assert [one["name"] for one in account["secrets"]] != ["marina-auth"]

    def test_models_may_be_open_while_the_api_is_not(self) -> None:
        rendered = render({"auth": {"inference": "open"}})
        assert [one["metadata"]["name"] for one in rendered.kind("Secret")] == [
            "marina-auth",
            "marina-postgres",
            "marina-recordings",
        ]
        assert "SERVING_TOKENS_FILE" not in json.dumps(rendered.kind("ServingRuntime"))

    def test_without_authentication_there_is_no_token_anywhere(self) -> None:
        rendered = render({"auth": {"enabled": False}})
        secrets = [one["metadata"]["name"] for one in rendered.kind("Secret")]
        assert secrets == ["marina-postgres", "marina-recordings"]
        assert "data" not in rendered.one("Secret", "marina-recordings")
        assert '"mountPath": "/run/secrets/auth"' not in json.dumps(rendered.objects)


class TestOidc:
    VALUES: Any = {
        "auth": {
            "oidc": {
                "issuer": "https://id.example",
                "clientId": "marina",
                "existingSecret": "marina-oidc",
                "roles": {"ml-admins": "admin"},
            },
            "serviceAccounts": {"training/trainer": "publisher"},
        },
        "expose": {"mode": "ingress", "host": "marina.example"},
    }

    def test_api_and_ui_learn_of_the_provider(self) -> None:
        rendered = render(self.VALUES)
        api, ui = (variables(rendered, name) for name in ("marina-metadata-api", "marina-ui"))
        assert api["METADATA_API_AUTH_OIDC_ISSUER"] == ui["UI_OIDC_ISSUER"] == "https://id.example"
        assert json.loads(api["METADATA_API_AUTH_OIDC_AUDIENCE"]) == ["marina"] == [ui["UI_OIDC_CLIENT_ID"]]
        assert json.loads(api["METADATA_API_AUTH_OIDC_ROLES"]) == {"ml-admins": "admin"}
        assert json.loads(api["METADATA_API_AUTH_SERVICE_ACCOUNTS"]) == {"training/trainer": "publisher"}
        assert ui["UI_OIDC_CLIENT_SECRET_FILE"] == "/run/secrets/oidc/client-secret"

    def test_the_way_to_the_provider_is_open_and_to_nowhere_else(self) -> None:
        for name in ("marina-ui", "marina-metadata-api"):
            egress = render(self.VALUES).one("NetworkPolicy", name)["spec"]["egress"]
            assert {"ports": [{"port": 443}]} in egress
            assert {"ports": [{"port": 443}]} not in render().one("NetworkPolicy", name)["spec"]["egress"]

    def test_the_api_may_review_tokens_only_where_service_accounts_have_roles(self) -> None:
        (binding,) = render(self.VALUES).kind("ClusterRoleBinding")
        assert binding["roleRef"]["name"] == "system:auth-delegator"
        assert render().kind("ClusterRoleBinding") == []

    @pytest.mark.parametrize(
        ("oidc", "words"),
        [
            ({"clientId": ""}, "auth.oidc.clientId"),
            ({"roles": None}, "auth.oidc.roles"),
            ({"defaultRole": "fetcher"}, "defaultRole"),
            ({"issuer": "id.example"}, "issuer"),
        ],
        ids=["no client", "no roles", "another role", "no address"],
    )
    def test_a_provider_that_nobody_could_use_is_rejected(self, oidc: Any, words: str) -> None:
        values = {**self.VALUES, "auth": {"oidc": {**self.VALUES["auth"]["oidc"], **oidc}}}
        with pytest.raises(Rejected, match=words):
            render(values)


def variables(rendered: Rendered, deployment: str) -> dict[str, str]:
    (container,) = rendered.one("Deployment", deployment)["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


class TestSignatures:
    @pytest.mark.parametrize(
        ("source", "volume"),
        [
            ({"existingConfigMap": "keys"}, {"configMap": {"name": "keys"}}),
            ({"existingSecret": "keys"}, {"secret": {"secretName": "keys", "defaultMode": 0o440}}),
        ],
        ids=["ConfigMap", "Secret"],
    )
    def test_the_api_finds_the_trusted_keys(self, source: Any, volume: Any) -> None:
        rendered = render({"signatures": {"required": True, **source}})
        found = variables(rendered, "marina-metadata-api")
        assert found["METADATA_API_SIGNATURE_REQUIRED"] == "true"
        pod = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]
        assert {"name": "keys", **volume} in pod["volumes"]
        for container in (*pod["initContainers"], *pod["containers"]):
            (mount,) = [one for one in container["volumeMounts"] if one["name"] == "keys"]
            assert (mount["mountPath"], mount["readOnly"]) == (found["METADATA_API_SIGNATURE_KEYS"], True)

    def test_without_keys_nothing_is_said_of_them(self) -> None:
        assert not [name for name in variables(render(), "marina-metadata-api") if "SIGNATURE" in name]

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"required": True}, "signatures.required needs"),
            ({"existingSecret": "a", "existingConfigMap": "b"}, "two sources of keys"),
            ({"required": "yes"}, "required"),
        ],
        ids=["no keys", "two sources", "no boolean"],
    )
    def test_what_does_not_fit_together_is_rejected(self, values: Any, words: str) -> None:
        with pytest.raises(Rejected, match=words):
            render({"signatures": values})
