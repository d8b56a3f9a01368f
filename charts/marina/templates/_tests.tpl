{{/* A pod of `helm test`: (dict "root" $ "name" "api" "env" "..." ); the script is files/tests/NAME.py. */}}
{{- define "marina.test" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "marina.metadata" (list $root "test" (printf "test-%s" .name)) | nindent 2 }}
  annotations:
    helm.sh/hook: test
    # The last run's pods stay for their logs.
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  {{- include "marina.pod" (dict "root" $root "uid" 10001 "account" "default") | nindent 2 }}
  restartPolicy: Never
  activeDeadlineSeconds: {{ add $root.Values.tests.seconds 60 }}
  containers:
    - name: test
      {{- include "marina.imageLines" (list $root $root.Values.api.image) | nindent 6 }}
      command: [python, -c]
      args:
        - |
          {{- $root.Files.Get (printf "files/tests/%s.py" .name) | nindent 10 }}
      env:
        {{- .env | nindent 8 }}
        - name: HOME
          value: /tmp
      securityContext:
        {{- include "marina.containerSecurity" $root | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      resources:
        requests: {cpu: 20m, memory: 64Mi, ephemeral-storage: 32Mi}
        limits: {memory: 256Mi, ephemeral-storage: 256Mi}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .database }}
        {{- include "marina.database.mount" $root | nindent 8 }}
        {{- end }}
        {{- if and .token $root.Values.auth.enabled }}
        {{- include "marina.auth.mount" $root | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "marina.scratch" (list "tmp" "64Mi") | nindent 4 }}
    {{- if .database }}
    {{- include "marina.database.volume" $root | nindent 4 }}
    {{- end }}
    {{- if and .token $root.Values.auth.enabled }}
    {{- include "marina.auth.volume" (list $root "admin-token") | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Name of the deployment that `helm test` and NOTES ask; nothing when there is none. */}}
{{- define "marina.test.model" -}}
{{- if .Values.tests.model -}}
{{ .Values.tests.model }}
{{- else if .Values.experiments -}}
{{ keys .Values.experiments | sortAlpha | first }}
{{- else if and .Values.starter.enabled .Values.kserve.enabled .Values.starter.deploy -}}
{{- if kindIs "slice" .Values.starter.deploy -}}
{{ first .Values.starter.deploy }}
{{- else -}}
cnn-baseline
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where a test reaches what is exposed; nothing when nothing is. */}}
{{- define "marina.test.exposedUrl" -}}
{{- if ne .Values.expose.mode "none" }}{{ .Values.tests.exposedUrl }}{{ end -}}
{{- end -}}
