{{/* Where the database is: the chart's own, or one that a Secret describes. */}}

{{/* Secret that has the password. */}}
{{- define "marina.database.secret" -}}
{{- if .Values.postgres.enabled -}}
{{- .Values.postgres.auth.existingSecret | default (include "marina.databaseName" .) -}}
{{- else -}}
{{- .Values.externalDatabase.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Secret with the certificates of the authorities that the server's is checked against, if any. */}}
{{- define "marina.database.ca" -}}
{{ .Values.postgres.enabled | ternary (.Values.postgres.tls).existingSecret (.Values.externalDatabase.ca).existingSecret | default "" }}
{{- end -}}

{{/* One variable from a value, or else from a key of the Secret: (list $ "DATABASE_HOST" value key). */}}
{{- define "marina.database.variable" -}}
- name: {{ index . 1 }}
{{- if index . 2 }}
  value: {{ index . 2 | toString | quote }}
{{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ include "marina.database.secret" (index . 0) }}
      key: {{ index . 3 }}
{{- end }}
{{- end -}}

{{/* DATABASE_HOST, _PORT, _NAME, _USER and _SSLMODE; the password is only in a file. */}}
{{- define "marina.database.environment" -}}
{{- $keys := .Values.externalDatabase.secretKeys -}}
{{- $found := .Values.externalDatabase -}}
{{- if .Values.postgres.enabled -}}
{{- $mode := empty (.Values.postgres.tls).existingSecret | not | ternary "verify-full" "disable" -}}
{{- $found = dict "host" (include "marina.databaseName" .) "port" 5432 "name" "marina" "user" "marina" "sslmode" $mode -}}
{{- end -}}
{{ include "marina.database.variable" (list . "DATABASE_HOST" $found.host $keys.host) }}
{{ include "marina.database.variable" (list . "DATABASE_PORT" $found.port $keys.port) }}
{{ include "marina.database.variable" (list . "DATABASE_NAME" $found.name $keys.name) }}
{{ include "marina.database.variable" (list . "DATABASE_USER" $found.user $keys.user) }}
- name: DATABASE_SSLMODE
  value: {{ $found.sslmode }}
{{- end -}}

{{/* The same as the API's settings; Kubernetes puts the parts together. */}}
{{- define "marina.database.settings" -}}
{{ include "marina.database.environment" . }}
- name: METADATA_API_DATABASE_URL
  value: postgresql://$(DATABASE_USER)@$(DATABASE_HOST):$(DATABASE_PORT)/$(DATABASE_NAME)?sslmode=$(DATABASE_SSLMODE){{ if include "marina.database.ca" . }}&sslrootcert=/run/secrets/database-ca/ca.crt{{ end }}
{{- if .Values.api.databasePool }}
- name: METADATA_API_DATABASE_POOL
  value: {{ .Values.api.databasePool | quote }}
{{- end }}
- name: METADATA_API_DATABASE_PASSWORD_FILE
  value: /run/secrets/database/password
{{- end -}}

{{/* The same as libpq's variables, for pg_dump and psql. */}}
{{- define "marina.database.libpq" -}}
{{ include "marina.database.environment" . | replace "DATABASE_HOST" "PGHOST" | replace "DATABASE_PORT" "PGPORT" | replace "DATABASE_NAME" "PGDATABASE" | replace "DATABASE_USER" "PGUSER" | replace "DATABASE_SSLMODE" "PGSSLMODE" }}
{{- if include "marina.database.ca" . }}
- name: PGSSLROOTCERT
  value: /run/secrets/database-ca/ca.crt
{{- end }}
- name: PASSWORD_FILE
  value: /run/secrets/database/password
{{- end -}}

{{- define "marina.database.mount" -}}
- name: database-password
  mountPath: /run/secrets/database
  readOnly: true
{{- if include "marina.database.ca" . }}
- name: database-ca
  mountPath: /run/secrets/database-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "marina.database.volume" -}}
- name: database-password
  secret:
    secretName: {{ include "marina.database.secret" . }}
    defaultMode: 0440
    items:
      - key: {{ .Values.postgres.enabled | ternary "password" .Values.externalDatabase.secretKeys.password }}
        path: password
{{- with include "marina.database.ca" . }}
- name: database-ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: {{ $.Values.postgres.enabled | ternary "ca.crt" ($.Values.externalDatabase.ca).key }}
        path: ca.crt
{{- end }}
{{- end -}}

{{/*
Data of a generated Secret: what is there already wins, what is missing is made.
(dict "secret" FOUND "claim" FOUND "secretName" "..." "claimName" "..." "keys" (list "password"))
A volume without its Secret has passwords that are lost: new ones would lock the API out.
*/}}
{{- define "marina.keptPasswords" -}}
{{- if and .claim (not .secret) -}}
{{- fail (printf "the volume claim %s exists, but the Secret %s with its passwords does not: restore the Secret, or delete the claim as well to start with an empty database" .claimName .secretName) -}}
{{- end -}}
{{- $have := (.secret | default dict).data | default dict -}}
{{- range .keys }}
{{ . }}: {{ index $have . | default (randAlphaNum 32 | b64enc) | quote }}
{{- end }}
{{- end -}}
