{{/* What the metadata API reads. */}}

{{- define "marina.api.environment" -}}
{{- $s3 := include "marina.s3" . | fromYaml -}}
{{ include "marina.database.settings" . }}
{{- with .Values.api.trustedProxies }}
- name: METADATA_API_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
- name: METADATA_API_AUTH_MODE
  value: {{ .Values.auth.enabled | ternary "on" "off" | quote }}
{{- if .Values.auth.enabled }}
- name: METADATA_API_AUTH_ADMIN_TOKEN_FILE
  value: /run/secrets/auth/admin-token
- name: METADATA_API_AUTH_FETCH_TOKEN_FILE
  value: /run/secrets/auth/fetch-token
- name: METADATA_API_AUTH_SERVING_TOKEN_FILE
  value: /run/secrets/auth/serving-token
{{- with include "marina.auth.metrics" . }}
- name: METADATA_API_AUTH_METRICS_TOKEN_FILE
  value: /run/secrets/auth/{{ . }}
{{- end }}
{{- with .Values.auth.oidc }}
{{- if .issuer }}
- name: METADATA_API_AUTH_OIDC_ISSUER
  value: {{ .issuer | quote }}
- name: METADATA_API_AUTH_OIDC_AUDIENCE
  value: {{ toJson (prepend .audiences .clientId | compact) | quote }}
- name: METADATA_API_AUTH_OIDC_ROLE_CLAIM
  value: {{ .roleClaim | quote }}
- name: METADATA_API_AUTH_OIDC_ROLES
  value: {{ toJson .roles | quote }}
- name: METADATA_API_AUTH_OIDC_DEFAULT_ROLE
  value: {{ .defaultRole | quote }}
{{- if hasPrefix "http://" .issuer }}
- name: METADATA_API_AUTH_OIDC_ALLOW_HTTP
  value: "true"
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.kserve.enabled .Values.auth.serviceAccounts }}
- name: METADATA_API_AUTH_SERVICE_ACCOUNTS
  value: {{ toJson .Values.auth.serviceAccounts | quote }}
{{- end }}
{{- end }}
{{- if include "marina.signatures.source" . }}
- name: METADATA_API_SIGNATURE_KEYS
  value: /etc/marina-keys
- name: METADATA_API_SIGNATURE_REQUIRED
  value: {{ .Values.signatures.required | quote }}
{{- end }}
{{- with include "marina.backup.environment" . }}
{{ . }}
{{- end }}
{{- range $name, $value := .Values.api.retention }}
- name: METADATA_API_RETENTION_{{ snakecase $name | upper }}
  value: {{ int64 $value | quote }}
{{- end }}
- name: METADATA_API_STORE_DIR
  value: /var/lib/marina
- name: METADATA_API_MAX_RESPONSE_SECONDS
  value: {{ include "marina.responseSeconds" . | quote }}
- name: METADATA_API_MAX_DRAIN_SECONDS
  value: {{ include "marina.api.drainSeconds" . | quote }}
- name: METADATA_API_HOST
  value: 0.0.0.0
- name: METADATA_API_PORT
  value: "8000"
- name: METADATA_API_ALLOWED_HOSTS
  value: {{ include "marina.allowedHosts" (list . (printf "%s-metadata-api" (include "marina.fullname" .))) | quote }}
{{- with include "marina.path" . }}
- name: METADATA_API_ROOT_PATH
  value: {{ . }}
{{- end }}
{{- if .Values.kserve.enabled }}
- name: METADATA_API_DEPLOYER
  value: kserve
- name: METADATA_API_KSERVE_FILE
  value: /etc/marina/kserve.yaml
# The API puts each deployment's name in.
- name: METADATA_API_SERVING_URL
  value: http://{name}-predictor.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- with include "marina.publicUrl" . }}
- name: METADATA_API_PUBLIC_SERVING_URL
  value: {{ . }}
{{- end }}
{{- else }}
# Without KServe experiments are recorded and nothing is served: no process reads this file.
- name: METADATA_API_DEPLOYER
  value: local
- name: METADATA_API_SERVING_MODELS_FILE
  value: /tmp/models.json
{{- end }}
{{- if $s3 }}
- name: METADATA_API_S3_BUCKET
  value: {{ $s3.bucket }}
- name: METADATA_API_S3_PREFIX
  value: {{ $s3.prefix }}
{{- with $s3.endpoint }}
- name: METADATA_API_S3_ENDPOINT
  value: {{ . }}
{{- end }}
- name: METADATA_API_S3_REGION
  value: {{ $s3.region }}
{{- if $s3.secret }}
- name: METADATA_API_S3_CREDENTIALS_DIR
  value: /run/secrets/s3
{{- end }}
{{- end }}
- name: HOME
  value: /tmp
{{- end -}}

{{/* Longest wait of an API that stops. Values of an older release have none. */}}
{{- define "marina.api.drainSeconds" -}}{{ .Values.api.drainSeconds | default 605 | int }}{{- end -}}

{{- define "marina.api.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: store
  mountPath: /var/lib/marina
{{ include "marina.database.mount" . }}
{{- if .Values.auth.enabled }}
{{ include "marina.auth.mount" . }}
{{- end }}
{{- if include "marina.signatures.source" . }}
- name: keys
  mountPath: /etc/marina-keys
  readOnly: true
{{- end }}
{{- if .Values.kserve.enabled }}
- name: config
  mountPath: /etc/marina
  readOnly: true
{{- end }}
{{- with include "marina.backup.s3Mount" . }}
{{ . }}
{{- end }}
{{- if (include "marina.s3" . | fromYaml).secret }}
- name: s3
  mountPath: /run/secrets/s3
  readOnly: true
{{- end }}
{{- end -}}

{{/* The volume of the keys whose signatures count, without its name; empty when none count. */}}
{{- define "marina.signatures.source" -}}
{{- with .Values.signatures.existingConfigMap }}
configMap: {name: {{ . | quote }}}
{{- end }}
{{- with .Values.signatures.existingSecret }}
secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* kserve.yaml: what the API needs to make the same InferenceServices as this chart. */}}
{{- define "marina.kserveFile" -}}
{{- $expose := .Values.expose -}}
release: {{ include "marina.fullname" . }}
helm_release: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
response_seconds: {{ include "marina.responseSeconds" . }}
artifact_url: {{ include "marina.artifactUrl" . }}
tokens_secret: {{ include "marina.auth.servingTokens" . | quote }}
api_url: {{ include "marina.apiUrl" . }}
recordings_secret: {{ include "marina.recordings" . | quote }}
expose:
  mode: {{ $expose.mode }}
  host: {{ $expose.host | quote }}
  ingress_class: {{ $expose.ingress.className | quote }}
  tls_secret: {{ $expose.tls.secretName | quote }}
  annotations: {{ toJson $expose.annotations }}
  gateway:
    name: {{ $expose.gateway.name | quote }}
    namespace: {{ $expose.gateway.namespace | default .Release.Namespace | quote }}
    section: {{ $expose.gateway.section | quote }}
predictor:
  service_account: {{ include "marina.predictor.account" . }}
  node_selector: {{ toJson .Values.predictor.nodeSelector }}
  tolerations: {{ toJson .Values.predictor.tolerations }}
  image_pull_secrets: {{ toJson .Values.global.imagePullSecrets }}
  resources: {{ toJson .Values.predictor.resources }}
environments:
  {{- range $name, $environment := .Values.environments }}
  {{ $name }}: {{ pick ($environment | default dict) "imports" "packages" | toJson }}
  {{- else }} {}
  {{- end }}
{{- end -}}
