{{/* Names and labels: defined here, once. */}}

{{/* Prefix of every name; at most 40 characters, so that every name and every label made from one fits into 63. */}}
{{- define "marina.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $long := .Values.fullnameOverride -}}
{{- if not $long -}}
{{- $long = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- if gt (len $long) 40 -}}
{{- /* Two long releases that begin alike must not get the same names. */ -}}
{{- printf "%s-%s" ($long | trunc 31 | trimSuffix "-") (sha256sum $long | trunc 8) -}}
{{- else -}}
{{- $long -}}
{{- end -}}
{{- end -}}

{{- define "marina.databaseName" -}}{{ include "marina.fullname" . }}-postgres{{- end -}}
{{- define "marina.databaseClaim" -}}data-{{ include "marina.databaseName" . }}-0{{- end -}}

{{/* What selects the pods of a part: (list $ "ui"). Never a version: selectors cannot change. */}}
{{- define "marina.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Values.nameOverride | default $root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ include "marina.fullname" $root | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* What selects every pod of the release, models included. */}}
{{- define "marina.everyPod" -}}
app.kubernetes.io/part-of: marina
app.kubernetes.io/instance: {{ include "marina.fullname" . | quote }}
{{- end -}}

{{/* Labels of a pod: (list $ "ui"). */}}
{{- define "marina.podLabels" -}}
{{ include "marina.selector" . }}
app.kubernetes.io/part-of: marina
{{- end -}}

{{/* Labels of an object: (list $ "ui"). */}}
{{- define "marina.labels" -}}
{{- $root := index . 0 -}}
{{ include "marina.podLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name, namespace and labels of an object: (list $ "ui" "SUFFIX"). */}}
{{- define "marina.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "marina.fullname" $root }}-{{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "marina.labels" (list $root (index . 1)) | nindent 2 }}
{{- end -}}
