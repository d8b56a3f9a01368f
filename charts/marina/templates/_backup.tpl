{{/* Where the copy outside is, for the API and for what sends the dumps; nothing without a bucket. */}}
{{- define "marina.backup.environment" -}}
{{- with .Values.backup.s3 -}}
{{- if .bucket -}}
- name: METADATA_API_BACKUP_BUCKET
  value: {{ .bucket | quote }}
- name: METADATA_API_BACKUP_PREFIX
  value: {{ .prefix | quote }}
{{- with .endpoint }}
- name: METADATA_API_BACKUP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: METADATA_API_BACKUP_REGION
  value: {{ .region | quote }}
{{- if .existingSecret }}
- name: METADATA_API_BACKUP_CREDENTIALS_DIR
  value: /run/secrets/backup-s3
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "marina.backup.s3Mount" -}}
{{- if and (.Values.backup.s3).bucket (.Values.backup.s3).existingSecret -}}
- name: backup-s3
  mountPath: /run/secrets/backup-s3
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "marina.backup.s3Volume" -}}
{{- if and (.Values.backup.s3).bucket (.Values.backup.s3).existingSecret -}}
{{- include "marina.s3.volume" (list "backup-s3" .Values.backup.s3.existingSecret) -}}
{{- end -}}
{{- end -}}

{{/* What sends the newest dump to the bucket, or fetches one: (list $ "push"). */}}
{{- define "marina.backup.copy" -}}
{{- $root := index . 0 -}}
{{- $what := index . 1 -}}
- name: {{ $what }}
  {{- include "marina.imageLines" (list $root $root.Values.api.image) | nindent 2 }}
  command: [python, -m, metadata_api.copy_backup, {{ $what }}, /backup{{ if eq $what "fetch" }}, $(RESTORE_FILE){{ end }}]
  env:
    {{- if eq $what "fetch" }}
    - name: RESTORE_FILE
      value: ""
    {{- end }}
    {{- include "marina.backup.environment" $root | nindent 4 }}
    - name: HOME
      value: /tmp
  securityContext:
    {{- include "marina.containerSecurity" $root | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  resources:
    {{- toYaml $root.Values.backup.resources | nindent 4 }}
  volumeMounts:
    - name: backup
      mountPath: /backup
    - name: tmp
      mountPath: /tmp
    {{- with include "marina.backup.s3Mount" $root }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The pod that dumps or restores: (list $ "backup"). The server's own image, so that pg_dump fits the server. */}}
{{- define "marina.backup.pod" -}}
{{- $root := index . 0 -}}
{{- $what := index . 1 -}}
{{- $values := $root.Values.backup -}}
metadata:
  labels:
    {{- include "marina.podLabels" (list $root "backup") | nindent 4 }}
spec:
  {{- include "marina.pod" (dict "root" $root "uid" 999 "account" (printf "%s-backup" (include "marina.fullname" $root))) | nindent 2 }}
  restartPolicy: Never
  {{- $copies := ($values.s3).bucket }}
  {{- if and $copies (eq $what "restore") }}
  initContainers:
    {{- include "marina.backup.copy" (list $root "fetch") | nindent 4 }}
  {{- end }}
  {{- if and $copies (eq $what "backup") }}
  containers:
    {{- include "marina.backup.copy" (list $root "push") | nindent 4 }}
  initContainers:
  {{- else }}
  containers:
  {{- end }}
    - name: {{ $what }}
      {{- include "marina.imageLines" (list $root $root.Values.postgres.image) | nindent 6 }}
      command: [bash, /scripts/{{ $what }}.sh]
      env:
        {{- include "marina.database.libpq" $root | nindent 8 }}
        - name: BACKUP_DIR
          value: /backup
        {{- if eq $what "backup" }}
        - name: BACKUP_KEEP
          value: {{ $values.keep | quote }}
        {{- else }}
        - name: RESTORE_FILE
          value: ""
        {{- end }}
      securityContext:
        {{- include "marina.containerSecurity" $root | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - name: backup
          mountPath: /backup
        - name: scripts
          mountPath: /scripts
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- include "marina.database.mount" $root | nindent 8 }}
  volumes:
    - name: backup
      persistentVolumeClaim:
        claimName: {{ $values.persistence.existingClaim | default (printf "%s-backup" (include "marina.fullname" $root)) }}
    - name: scripts
      configMap:
        name: {{ include "marina.fullname" $root }}-backup
    {{- include "marina.scratch" (list "tmp" $values.tmpSize) | nindent 4 }}
    {{- include "marina.database.volume" $root | nindent 4 }}
    {{- with include "marina.backup.s3Volume" $root }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}
