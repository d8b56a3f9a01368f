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
  containers:
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
{{- end -}}
