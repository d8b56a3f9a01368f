"""The database of the release: the chart's own Postgres, or one outside, and where its dumps go."""

from typing import ClassVar

import pytest

from tests.chart.rendering import CHART, Object, Rejected, environment, render, shape

FILES = CHART / "files"


def api(name: str) -> Object:
    """The API's pod."""
    return render(shape(name)).one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]


def pod_of(made: Object) -> Object:
    """spec of the pods of a workload."""
    spec = made["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]["spec"]


def statefulset() -> Object:
    """spec of the chart's own Postgres."""
    return render().one("StatefulSet", "marina-postgres")["spec"]


class TestOwn:
    def test_data_is_where_the_image_of_18_puts_it(self) -> None:
        (container,) = statefulset()["template"]["spec"]["containers"]
        assert container["image"] == "postgres:18"
        assert environment(container)["PGDATA"] == "/var/lib/postgresql/18/docker"
        assert {"name": "data", "mountPath": "/var/lib/postgresql"} in container["volumeMounts"]
        assert statefulset()["template"]["spec"]["securityContext"]["fsGroup"] == 999

    def test_its_volume_is_deleted_by_people_only(self) -> None:
        policy = statefulset()["persistentVolumeClaimRetentionPolicy"]
        assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}

    def test_shared_memory_is_more_than_the_usual_64_mebibytes(self) -> None:
        volumes = {one["name"]: one for one in statefulset()["template"]["spec"]["volumes"]}
        assert volumes["shm"]["emptyDir"]["medium"] == "Memory"

    def test_a_server_that_recovers_is_not_killed(self) -> None:
        (container,) = statefulset()["template"]["spec"]["containers"]
        start = container["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= 1800
        assert "tcpSocket" in container["livenessProbe"]
        assert statefulset()["template"]["spec"]["terminationGracePeriodSeconds"] >= 60

    def test_nothing_that_cannot_be_changed_has_a_version(self) -> None:
        fixed = {key: statefulset()[key] for key in ("serviceName", "selector", "volumeClaimTemplates")}
        assert "0.1.0" not in str(fixed)


class TestTls:
    """The chart's own Postgres with a certificate; without one nothing of it is there."""

    VALUES: ClassVar = {"postgres": {"tls": {"existingSecret": "database-tls"}}, "backup": {"enabled": True}}

    def test_the_server_has_the_key_as_it_demands_it(self) -> None:
        pod = pod_of(render(self.VALUES).one("StatefulSet", "marina-postgres"))
        assert "ssl=on" in pod["containers"][0]["args"]
        (volume,) = [one["secret"] for one in pod["volumes"] if one["name"] == "tls"]
        assert volume == {"secretName": "database-tls", "defaultMode": 0o440}

    def test_every_client_checks_it(self) -> None:
        for kind, name in (
            ("Deployment", "marina-metadata-api"),
            ("CronJob", "marina-backup"),
            ("CronJob", "marina-restore"),
        ):
            pod = pod_of(render(self.VALUES).one(kind, name))
            assert {
                one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == "database-ca"
            } == {"database-tls"}
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                found = environment(container)
                assert "verify-full" in (found.get("DATABASE_SSLMODE"), found.get("PGSSLMODE"))

    def test_without_one_nothing_changes(self) -> None:
        rendered = render({"backup": {"enabled": True}})
        assert "database-ca" not in str(rendered.texts)
        assert "ssl=on" not in str(rendered.texts)

    def test_values_of_an_older_release_still_render(self) -> None:
        """As `helm upgrade --reuse-values` brings them."""
        old = {"postgres": {"tls": None}, "externalDatabase": {"ca": None}, "api": {"databasePool": None}}
        assert "database-ca" not in str(render(old).texts)


class TestOutside:
    def test_what_an_operator_made_needs_no_other_value(self) -> None:
        (container,) = api("cloudnative-pg")["containers"]
        found = environment(container)
        for variable, key in {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user"}.items():
            assert found[f"DATABASE_{variable}"] == {"secretKeyRef": {"name": "marina-db-app", "key": key}}
        (volume,) = [
            one["secret"] for one in api("cloudnative-pg")["volumes"] if one["name"] == "database-password"
        ]
        assert volume["secretName"] == "marina-db-app"
        assert volume["items"] == [{"key": "password", "path": "password"}]

    def test_values_win_over_the_secret(self) -> None:
        found = environment(api("external-database")["containers"][0])
        assert (found["DATABASE_HOST"], found["DATABASE_PORT"]) == ("db.example", "6432")
        assert found["DATABASE_SSLMODE"] == "verify-full"

    def test_its_certificate_is_checked_by_a_mounted_authority(self) -> None:
        for kind, name in (("Deployment", "marina-metadata-api"), ("CronJob", "marina-backup")):
            pod = pod_of(render(shape("external-database")).one(kind, name))
            (volume,) = [one["secret"] for one in pod["volumes"] if one["name"] == "database-ca"]
            assert (volume["secretName"], volume["items"]) == (
                "database-ca",
                [{"key": "root.pem", "path": "ca.crt"}],
            )
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                said = str(environment(container))
                assert "sslrootcert=/run/secrets/database-ca/ca.crt" in said or "'PGSSLROOTCERT'" in said
                assert "/run/secrets/database-ca" in [
                    mount["mountPath"] for mount in container["volumeMounts"]
                ]

    @pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
    def test_one_that_nobody_could_check_is_rejected(self, mode: str) -> None:
        values = {**shape("cloudnative-pg"), "externalDatabase": {"existingSecret": "db", "sslmode": mode}}
        with pytest.raises(Rejected, match=f"sslmode={mode} needs externalDatabase.ca.existingSecret"):
            render(values)

    def test_a_small_server_gets_few_connections(self) -> None:
        few = render({"api": {"databasePool": 3}}).one("Deployment", "marina-metadata-api")
        (container,) = pod_of(few)["containers"]
        assert environment(container)["METADATA_API_DATABASE_POOL"] == "3"

    def test_nothing_of_our_own_is_left(self) -> None:
        assert render(shape("cloudnative-pg")).kind("StatefulSet") == []

    @pytest.mark.parametrize("name", ["default", "cloudnative-pg"])
    def test_migrations_come_first_with_the_same_settings(self, name: str) -> None:
        (migrate,), (container,) = api(name)["initContainers"], api(name)["containers"]
        assert migrate["command"] == ["python", "-m", "metadata_api.migrate"]
        assert migrate["image"] == container["image"]
        assert environment(migrate).items() <= environment(container).items()


class TestCopyOutside:
    VALUES: ClassVar[dict] = {
        "backup": {
            "enabled": True,
            "s3": {"bucket": "far", "endpoint": "https://s3.example:9000", "existingSecret": "far-keys"},
        }
    }

    def test_the_api_copies_objects_and_the_backup_sends_its_dump_when_all_are_there(self) -> None:
        made = render(self.VALUES)
        pod = pod_of(made.one("CronJob", "marina-backup"))
        (dump,), (push,) = pod["initContainers"], pod["containers"]
        assert dump["name"] == "backup"
        assert push["command"] == ["python", "-m", "metadata_api.copy_backup", "push", "/backup"]
        (container,) = pod_of(made.one("Deployment", "marina-metadata-api"))["containers"]
        for one in (push, container):
            found = environment(one)
            assert (found["METADATA_API_BACKUP_BUCKET"], found["METADATA_API_BACKUP_ENDPOINT"]) == (
                "far",
                "https://s3.example:9000",
            )
            assert found["METADATA_API_BACKUP_CREDENTIALS_DIR"] in [
                mount["mountPath"] for mount in one["volumeMounts"]
            ]

    def test_a_restore_fetches_the_dump_first(self) -> None:
        pod = pod_of(render(self.VALUES).one("CronJob", "marina-restore"))
        assert [one["name"] for one in (*pod["initContainers"], *pod["containers"])] == ["fetch", "restore"]
        (fetch,) = pod["initContainers"]
        assert fetch["command"][-3:] == ["fetch", "/backup", "$(RESTORE_FILE)"]
        assert environment(fetch)["RESTORE_FILE"] == "", "k8s/job puts the name of a dump in here"

    def test_the_network_lets_them_through(self) -> None:
        made = render({**self.VALUES, "networkPolicy": {"enabled": True}})
        for name in ("backup", "metadata-api"):
            policy = made.one("NetworkPolicy", f"marina-{name}")
            assert {"ports": [{"port": 9000}]} in policy["spec"]["egress"]

    def test_values_of_an_older_release_still_render(self) -> None:
        old = {"backup": {"enabled": True, "s3": None}, "api": {"retention": None}}
        assert "METADATA_API_BACKUP" not in str(render(old).texts)

    def test_without_a_bucket_nothing_is_sent(self) -> None:
        pod = pod_of(render({"backup": {"enabled": True}}).one("CronJob", "marina-backup"))
        assert [one["name"] for one in pod["containers"]] == ["backup"]
        assert "initContainers" not in pod
