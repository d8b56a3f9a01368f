{{/* Pieces of NetworkPolicies. */}}

{{/* podSelector of a part: (list $ "ui"). */}}
{{- define "marina.peer" -}}
podSelector:
  matchLabels:
    {{- include "marina.selector" . | nindent 4 }}
{{- end -}}

{{/* podSelector of every model's pod. */}}
{{- define "marina.predictorPeer" -}}
podSelector:
  matchLabels:
    {{- include "marina.everyPod" . | nindent 4 }}
  matchExpressions:
    - {key: serving.kserve.io/inferenceservice, operator: Exists}
{{- end -}}

{{/* Ingress rule for what comes from outside the release: (list LIST-OF-PEERS PORT); no peers means anywhere. */}}
{{- define "marina.fromOutside" -}}
{{- with index . 0 }}
- from:
    {{- toYaml . | nindent 4 }}
  ports: [{port: {{ index $ 1 }}}]
{{- else }}
- ports: [{port: {{ index . 1 }}}]
{{- end }}
{{- end -}}

{{/* Egress rules. */}}
{{- define "marina.toDns" -}}
- {{- with .Values.networkPolicy.dns }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{- define "marina.toDatabase" -}}
{{- if .Values.postgres.enabled }}
- to:
    - {{- include "marina.peer" (list . "postgres") | nindent 6 }}
  ports: [{port: 5432}]
{{- else if .Values.externalDatabase.port }}
- ports: [{port: {{ .Values.externalDatabase.port }}}]
{{- else }}
{{- /* The port is in the Secret, which has not been read yet. */}}
- ports: [{port: 5432}]
{{- end }}
{{- end -}}

{{- define "marina.toApi" -}}
- to:
    - {{- include "marina.peer" (list . "metadata-api") | nindent 6 }}
  ports: [{port: 8000}]
{{- end -}}

{{- define "marina.toPredictors" -}}
- to:
    - {{- include "marina.predictorPeer" . | nindent 6 }}
  ports: [{port: 8080}]
{{- end -}}

{{/* Port of an S3 endpoint; an empty one is AWS. */}}
{{- define "marina.s3Port" -}}
{{- $authority := (urlParse (. | default "https://s3.amazonaws.com")).host -}}
{{- regexFind ":[0-9]+$" $authority | trimPrefix ":" | default (hasPrefix "http://" . | ternary "80" "443") -}}
{{- end -}}

{{/* Nothing without S3. */}}
{{- define "marina.toS3" -}}
{{- $s3 := include "marina.s3" . | fromYaml -}}
{{- if .Values.objectStore.enabled }}
- to:
    - {{- include "marina.peer" (list . "object-store") | nindent 6 }}
  ports: [{port: 8333}]
{{- else if $s3 }}
- ports: [{port: {{ include "marina.s3Port" $s3.endpoint }}}]
{{- end }}
{{- end -}}

{{/* To the bucket for backups, which is outside. */}}
{{- define "marina.toBackupBucket" -}}
{{- with .Values.backup.s3 }}
{{- if .bucket }}
- ports: [{port: {{ include "marina.s3Port" .endpoint }}}]
{{- end }}
{{- end }}
{{- end -}}
