{{/* The pod that registers the starter experiments; as often as one likes, the same archive is one version. */}}
{{- define "marina.starter.pod" -}}
{{- $values := .Values.starter -}}
metadata:
  labels:
    {{- include "marina.podLabels" (list . "starter") | nindent 4 }}
spec:
  {{- include "marina.pod" (dict "root" . "uid" 10001 "account" (printf "%s-starter" (include "marina.fullname" .))) | nindent 2 }}
  restartPolicy: OnFailure
  containers:
    - name: starter
      {{- include "marina.imageLines" (list . $values.image) | nindent 6 }}
      command: [python, models/register.py]
      args:
        - --api=http://{{ include "marina.fullname" . }}-metadata-api{{ include "marina.path" . }}
        - --models=/models
        {{- if .Values.auth.enabled }}
        - --token-file=/run/secrets/auth/admin-token
        {{- end }}
        {{- if or (not .Values.kserve.enabled) (empty $values.deploy) }}
        - --deploy=
        {{- else if ne (toString $values.deploy) "all" }}
        - --deploy={{ join "," $values.deploy }}
        {{- end }}
      securityContext:
        {{- include "marina.containerSecurity" . | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .Values.auth.enabled }}
        {{- include "marina.auth.mount" . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "marina.scratch" (list "tmp" $values.tmpSize) | nindent 4 }}
    {{- if .Values.auth.enabled }}
    {{- include "marina.auth.volume" (list . "admin-token") | nindent 4 }}
    {{- end }}
{{- end -}}
