{{/* Where archives are: the API's volume, S3, or the chart's own S3 server. */}}

{{/* YAML of bucket, prefix, endpoint, region and secret; nothing without S3. */}}
{{- define "marina.s3" -}}
{{- $s3 := .Values.artifacts.s3 -}}
{{- if .Values.objectStore.enabled -}}
bucket: {{ .Values.objectStore.bucket }}
prefix: {{ $s3.prefix }}
endpoint: http://{{ include "marina.fullname" . }}-object-store.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:8333
region: us-east-1
secret: {{ .Values.objectStore.auth.existingSecret | default (printf "%s-object-store" (include "marina.fullname" .)) }}
{{- else if $s3.bucket -}}
bucket: {{ $s3.bucket }}
prefix: {{ $s3.prefix }}
endpoint: {{ $s3.endpoint | quote }}
region: {{ $s3.region }}
secret: {{ $s3.existingSecret | default (ternary (printf "%s-s3" (include "marina.fullname" .)) "" (ne $s3.accessKeyId "")) | quote }}
{{- end -}}
{{- end -}}

{{/* Volume with the keys of a bucket, for who reads them as files: (list NAME SECRET). */}}
{{- define "marina.s3.volume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    items:
      - {key: AWS_ACCESS_KEY_ID, path: AWS_ACCESS_KEY_ID}
      - {key: AWS_SECRET_ACCESS_KEY, path: AWS_SECRET_ACCESS_KEY}
{{- end -}}

{{/* What KServe reads from the Secret itself: the YAML above as a dict. */}}
{{- define "marina.s3.annotations" -}}
{{- $endpoint := .endpoint | default (printf "https://s3.%s.amazonaws.com" .region) -}}
serving.kserve.io/s3-endpoint: {{ $endpoint | trimPrefix "https://" | trimPrefix "http://" | trimSuffix "/" | quote }}
serving.kserve.io/s3-usehttps: {{ hasPrefix "http://" $endpoint | ternary "0" "1" | quote }}
serving.kserve.io/s3-region: {{ .region | quote }}
{{- end -}}

{{/* Beginning of every storageUri. */}}
{{- define "marina.artifactUrl" -}}
{{- $s3 := include "marina.s3" . | fromYaml -}}
{{- if $s3 -}}
s3://{{ $s3.bucket }}/{{ $s3.prefix }}
{{- else -}}
{{ include "marina.apiUrl" . }}/artifacts
{{- end -}}
{{- end -}}

{{/* The API as pods of this namespace reach it. */}}
{{- define "marina.apiUrl" -}}
http://{{ include "marina.fullname" . }}-metadata-api.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}
