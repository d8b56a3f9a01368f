{{/* Alerts as a YAML list. Each has a runbook: docs/runbooks/ALERT.md. Doubled braces are Prometheus templates. */}}
{{- define "marina.alerts" -}}
{{- $space := printf "namespace=%q" .Release.Namespace -}}
{{- $name := include "marina.fullname" . -}}
- alert: MarinaModelNotReady
  for: 5m
  severity: critical
  expr: max by (model) (marina_model_ready{ {{- $space -}} }) == 0
  summary: No pod of model {{ "{{ $labels.model }}" }} passes its self-test.
- alert: MarinaInferErrors
  for: 10m
  severity: critical
  expr: >-
    sum by (model) (rate(marina_infer_requests_total{ {{- $space }},code=~"5.."}[5m]))
    / sum by (model) (rate(marina_infer_requests_total{ {{- $space -}} }[5m])) > 0.01
  summary: More than one in a hundred requests to model {{ "{{ $labels.model }}" }} fails.
- alert: MarinaInferSlow
  for: 10m
  severity: warning
  expr: histogram_quantile(0.99, sum by (model, le) (rate(marina_infer_seconds_bucket{ {{- $space -}} }[5m]))) > 1
  summary: The p99 latency of model {{ "{{ $labels.model }}" }} is above one second.
- alert: MarinaQueueLong
  for: 5m
  severity: warning
  expr: max by (model) (marina_queue_requests{ {{- $space -}} }) > 128
  summary: Model {{ "{{ $labels.model }}" }} has a half-full queue and will soon reject requests.
- alert: MarinaWorkerRestarts
  for: 0m
  severity: warning
  expr: sum by (model) (increase(marina_worker_restarts_total{ {{- $space -}} }[15m])) > 3
  summary: The workers of model {{ "{{ $labels.model }}" }} were restarted more than three times in 15 minutes.
{{- if .Values.kserve.enabled }}
- alert: MarinaRolloutStuck
  for: 1m
  severity: critical
  expr: kube_deployment_status_condition{ {{- $space }},deployment=~".+-predictor",condition="Progressing",status="false"} == 1
  summary: The new version of {{ "{{ $labels.deployment }}" }} does not start; the previous one still serves.
{{- end }}
- alert: MarinaApiDown
  for: 5m
  severity: critical
  expr: kube_deployment_status_replicas_available{ {{- $space }},deployment="{{ $name }}-metadata-api"} < 1
  summary: No pod of the metadata API is ready. Models keep serving.
- alert: MarinaApiErrors
  for: 10m
  severity: critical
  expr: >-
    sum by (route) (rate(marina_api_requests_total{ {{- $space }},code="500"}[5m]))
    / sum by (route) (rate(marina_api_requests_total{ {{- $space -}} }[5m])) > 0.01
  summary: More than one in a hundred requests to {{ "{{ $labels.route }}" }} of the API fails by a fault of its own.
- alert: MarinaReconcileStalled
  for: 2m
  severity: critical
  expr: time() - max(marina_reconcile_last_success_timestamp_seconds{ {{- $space -}} }) > 120
  summary: Changes of deployments have not been carried out for two minutes. Models keep serving.
- alert: MarinaDatabaseConnections
  for: 5m
  severity: warning
  expr: >-
    max(marina_database_connections{ {{- $space -}} })
    / max(marina_database_connections_limit{ {{- $space -}} }) > 0.9
  summary: A pod of the API uses nearly all of its database connections; requests will wait for them.
{{- if .Values.kserve.enabled }}
- alert: MarinaWatchAway
  for: 5m
  severity: warning
  expr: max by (kind) (marina_watch_away_seconds{ {{- $space -}} }) > 60
  summary: The API hears nothing of the {{ "{{ $labels.kind }}" }} of the cluster.
{{- end }}
{{- if .Values.ui.enabled }}
- alert: MarinaUiApiAway
  for: 5m
  severity: warning
  expr: >-
    sum(rate(marina_ui_api_calls_total{ {{- $space }},code=~"none|5.."}[5m]))
    / sum(rate(marina_ui_api_calls_total{ {{- $space -}} }[5m])) > 0.05
  summary: More than one in twenty calls of the UI to the API fails.
{{- end }}
{{- if .Values.postgres.enabled }}
- alert: MarinaDatabaseDown
  for: 3m
  severity: critical
  expr: kube_statefulset_status_replicas_ready{ {{- $space }},statefulset="{{ $name }}-postgres"} < 1
  summary: Postgres is not ready. Models keep serving; the API does not.
{{- end }}
- alert: MarinaVolumeFull
  for: 15m
  severity: warning
  expr: >-
    kubelet_volume_stats_available_bytes{ {{- $space }},persistentvolumeclaim=~"(data-)?{{ $name }}-.*"}
    / kubelet_volume_stats_capacity_bytes{ {{- $space }},persistentvolumeclaim=~"(data-)?{{ $name }}-.*"} < 0.1
  summary: Volume {{ "{{ $labels.persistentvolumeclaim }}" }} has less than 10 % of its space left.
- alert: MarinaStoreDamaged
  for: 5m
  severity: critical
  expr: max(marina_store_problems{ {{- $space -}} }) > 0
  summary: Archives or images are missing or damaged in the store.
{{- if .Values.backup.enabled }}
- alert: MarinaBackupOld
  for: 1h
  severity: critical
  expr: time() - kube_cronjob_status_last_successful_time{ {{- $space }},cronjob="{{ $name }}-backup"} > 2 * 86400
  summary: The last backup of the database is more than two days old.
{{- end }}
{{- end -}}
