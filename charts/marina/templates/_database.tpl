{{/* Where the database is: the chart's own, or one that a Secret describes. */}}

{{/* Secret that has the password. */}}
{{- define "marina.database.secret" -}}
{{- if .Values.postgres.enabled -}}
{{- .Values.postgres.auth.existingSecret | default (include "marina.databaseName" .) -}}
{{- else -}}
{{- .Values.externalDatabase.existingSecret -}}
{{- end -}}
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
{{- $found = dict "host" (include "marina.databaseName" .) "port" 5432 "name" "marina" "user" "marina" "sslmode" "disable" -}}
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
  value: postgresql://$(DATABASE_USER)@$(DATABASE_HOST):$(DATABASE_PORT)/$(DATABASE_NAME)?sslmode=$(DATABASE_SSLMODE)
- name: METADATA_API_DATABASE_PASSWORD_FILE
  value: /run/secrets/database/password
{{- end -}}

{{/* The same as libpq's variables, for pg_dump and psql. */}}
{{- define "marina.database.libpq" -}}
{{ include "marina.database.environment" . | replace "DATABASE_HOST" "PGHOST" | replace "DATABASE_PORT" "PGPORT" | replace "DATABASE_NAME" "PGDATABASE" | replace "DATABASE_USER" "PGUSER" | replace "DATABASE_SSLMODE" "PGSSLMODE" }}
- name: PASSWORD_FILE
  value: /run/secrets/database/password
{{- end -}}

{{- define "marina.database.mount" -}}
- name: database-password
  mountPath: /run/secrets/database
  readOnly: true
{{- end -}}

{{- define "marina.database.volume" -}}
- name: database-password
  secret:
    secretName: {{ include "marina.database.secret" . }}
    defaultMode: 0440
    items:
      - key: {{ .Values.postgres.enabled | ternary "password" .Values.externalDatabase.secretKeys.password }}
        path: password
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
