{{/* Choices that do not fit together end an install with one line that says what to do. */}}

{{- define "marina.validate" -}}
{{- $values := .Values -}}
{{- $external := or $values.externalDatabase.existingSecret $values.externalDatabase.host -}}
{{- if and $values.postgres.enabled $external -}}
{{- fail "two databases: set postgres.enabled=false to use externalDatabase, or take externalDatabase out" -}}
{{- end -}}
{{- if not (or $values.postgres.enabled $values.externalDatabase.existingSecret) -}}
{{- fail "no database: set postgres.enabled=true, or externalDatabase.existingSecret to a Secret with its password" -}}
{{- end -}}
{{- if and $values.postgres.enabled (not $values.postgres.auth.generate) (not $values.postgres.auth.existingSecret) -}}
{{- fail "postgres.auth.generate=false needs postgres.auth.existingSecret: a Secret with the keys password and superuser-password" -}}
{{- end -}}
{{- if and (not $values.postgres.enabled) (hasPrefix "verify-" $values.externalDatabase.sslmode) (not ($values.externalDatabase.ca).existingSecret) -}}
{{- fail (printf "externalDatabase.sslmode=%s needs externalDatabase.ca.existingSecret: a Secret with the certificates of the authorities" $values.externalDatabase.sslmode) -}}
{{- end -}}
{{- if and $values.objectStore.enabled (or $values.artifacts.s3.bucket $values.artifacts.s3.endpoint) -}}
{{- fail "two object stores: set objectStore.enabled=false to use artifacts.s3, or take artifacts.s3.bucket and .endpoint out" -}}
{{- end -}}
{{- if and $values.objectStore.enabled (not $values.objectStore.auth.generate) (not $values.objectStore.auth.existingSecret) -}}
{{- fail "objectStore.auth.generate=false needs objectStore.auth.existingSecret" -}}
{{- end -}}
{{- with $values.artifacts.s3 -}}
{{- if and (or .endpoint .existingSecret .accessKeyId .secretAccessKey) (not .bucket) (not $values.objectStore.enabled) -}}
{{- fail "artifacts.s3 needs artifacts.s3.bucket" -}}
{{- end -}}
{{- if ne (empty .accessKeyId) (empty .secretAccessKey) -}}
{{- fail "artifacts.s3.accessKeyId and artifacts.s3.secretAccessKey go together: set both, or use artifacts.s3.existingSecret" -}}
{{- end -}}
{{- if and .existingSecret .accessKeyId -}}
{{- fail "artifacts.s3 has two sources of keys: use existingSecret, or accessKeyId and secretAccessKey" -}}
{{- end -}}
{{- end -}}
{{- include "marina.validate.expose" . -}}
{{- include "marina.validate.api" . -}}
{{- include "marina.validate.auth" . -}}
{{- include "marina.validate.signatures" . -}}
{{- include "marina.validate.experiments" . -}}
{{- include "marina.validate.cluster" . -}}
{{- end -}}

{{- define "marina.validate.expose" -}}
{{- $expose := .Values.expose -}}
{{- if and (eq $expose.mode "ingress") (not $expose.host) -}}
{{- fail "expose.mode=ingress needs expose.host, the name that people type" -}}
{{- end -}}
{{- if and (eq $expose.mode "gateway") (not $expose.gateway.name) -}}
{{- fail "expose.mode=gateway needs expose.gateway.name, the Gateway that the routes attach to" -}}
{{- end -}}
{{- if and (eq $expose.mode "gateway") $expose.tls.secretName -}}
{{- fail "expose.tls.secretName is for expose.mode=ingress: a Gateway has its certificate in its own listener" -}}
{{- end -}}
{{- if and (eq $expose.mode "gateway") (not $expose.host) (not .Values.allowedHosts) -}}
{{- fail "expose.mode=gateway without expose.host needs allowedHosts: the names of the Gateway's listeners, such as *.example.org" -}}
{{- end -}}
{{- if and $expose.tls.secretName (not $expose.tls.enabled) -}}
{{- fail "expose.tls.secretName is set: set expose.tls.enabled=true as well" -}}
{{- end -}}
{{- if and (eq $expose.mode "none") $expose.host -}}
{{- fail "expose.host is set, but expose.mode is none: choose ingress or gateway" -}}
{{- end -}}
{{- end -}}

{{- define "marina.validate.api" -}}
{{- $api := .Values.api -}}
{{- $many := or $api.autoscaling.enabled (gt (int $api.replicas) 1) -}}
{{- if and $many $api.persistence.enabled (ne $api.persistence.accessMode "ReadWriteMany") -}}
{{- fail "more than one pod of the API cannot share a ReadWriteOnce volume: set api.persistence.accessMode=ReadWriteMany, or use artifacts.s3 with api.persistence.enabled=false" -}}
{{- end -}}
{{- if and (not $api.persistence.enabled) (not (include "marina.s3" .)) -}}
{{- fail "archives have no place: set api.persistence.enabled=true, or use artifacts.s3" -}}
{{- end -}}
{{- end -}}

{{- define "marina.validate.auth" -}}
{{- with .Values.auth.oidc -}}
{{- if and .issuer (not .clientId) -}}
{{- fail "auth.oidc.issuer needs auth.oidc.clientId: the name of the UI at the provider" -}}
{{- end -}}
{{- if and .issuer (not .roles) (not .defaultRole) -}}
{{- fail "auth.oidc.issuer needs auth.oidc.roles or auth.oidc.defaultRole: nobody would have access" -}}
{{- end -}}
{{- if and .issuer (not (include "marina.publicUrl" $)) -}}
{{- fail "auth.oidc.issuer needs expose.host: the provider sends people back to the UI there" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.auth.enabled (not .Values.auth.generate) (not .Values.auth.existingSecret) -}}
{{- fail "auth.generate=false needs auth.existingSecret: a Secret with the tokens, as the chart's README describes it" -}}
{{- end -}}
{{- end -}}

{{- define "marina.validate.signatures" -}}
{{- with .Values.signatures -}}
{{- if and .existingConfigMap .existingSecret -}}
{{- fail "signatures has two sources of keys: use existingConfigMap or existingSecret" -}}
{{- end -}}
{{- if and .required (not .existingConfigMap) (not .existingSecret) -}}
{{- fail "signatures.required needs signatures.existingConfigMap or existingSecret: the public keys that are trusted" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "marina.validate.experiments" -}}
{{- if and .Values.experiments (not .Values.kserve.enabled) -}}
{{- fail "experiments are served by KServe: set kserve.enabled=true, or take experiments out" -}}
{{- end -}}
{{- range $name, $experiment := .Values.experiments -}}
{{- $environment := $experiment.environment | default "base" -}}
{{- if not (or (eq $environment "base") (hasKey ($.Values.environments | default dict) $environment)) -}}
{{- fail (printf "experiments.%s names the environment %s: add %s to environments, and its image to your registry" $name $environment $environment) -}}
{{- end -}}
{{- end -}}
{{- if include "marina.s3" . -}}
{{- range $name, $experiment := .Values.experiments -}}
{{- if not $experiment.sha256 -}}
{{- fail (printf "experiments.%s needs sha256, the name of its archive in S3: GET /v1/experiments/%s/versions/%v says it" $name $experiment.experiment $experiment.version) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What the cluster must have. Offline (`helm template`) nothing is known about one: then Capabilities list no kinds of the
core group, and nothing is checked.
*/}}
{{- define "marina.validate.cluster" -}}
{{- $apis := .Capabilities.APIVersions -}}
{{- if $apis.Has "v1/Pod" -}}
{{- $missing := dict
  "kserve" (and .Values.kserve.enabled (not ($apis.Has "serving.kserve.io/v1beta1/InferenceService")))
  "gateway" (and (eq .Values.expose.mode "gateway") (not ($apis.Has "gateway.networking.k8s.io/v1/HTTPRoute")))
  "monitoring" (and (or .Values.monitoring.podMonitor.enabled .Values.monitoring.rules.enabled) (not ($apis.Has "monitoring.coreos.com/v1/PodMonitor")))
  "kubernetes" (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- include "marina.reject" $missing -}}
{{- end -}}
{{- end -}}

{{- define "marina.reject" -}}
{{- if .kubernetes -}}{{- fail "Marina needs Kubernetes 1.30 or newer" -}}{{- end -}}
{{- if .kserve -}}{{- fail "this cluster has no KServe: run `make kserve`, or set kserve.enabled=false" -}}{{- end -}}
{{- if .gateway -}}{{- fail "this cluster has no Gateway API: install its CRDs, or set expose.mode=ingress" -}}{{- end -}}
{{- if .monitoring -}}{{- fail "this cluster has no Prometheus Operator: install it, or set monitoring.podMonitor.enabled=false and monitoring.rules.enabled=false" -}}{{- end -}}
{{- end -}}
