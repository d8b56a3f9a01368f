{{/* Tokens: which Secret has them, and who reads them. */}}

{{- define "marina.auth.secret" -}}
{{- if .Values.auth.enabled -}}
{{- .Values.auth.existingSecret | default (printf "%s-auth" (include "marina.fullname" .)) -}}
{{- end -}}
{{- end -}}

{{/* Secret in which the API tells the servers of models which tokens they take; empty when they ask for none. */}}
{{- define "marina.auth.servingTokens" -}}
{{- if and .Values.auth.enabled .Values.kserve.enabled (eq .Values.auth.inference "token") -}}
{{- printf "%s-serving-tokens" (include "marina.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Secret in which the API tells the servers of models what they record; empty without KServe. */}}
{{- define "marina.recordings" -}}
{{- if .Values.kserve.enabled -}}
{{- printf "%s-recordings" (include "marina.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Key of the token that reads metrics and nothing else; a Secret that people made has it where it is used only. */}}
{{- define "marina.auth.metrics" -}}
{{- if and .Values.auth.enabled (or .Values.monitoring.podMonitor.enabled (not .Values.auth.existingSecret)) -}}
metrics-token
{{- end -}}
{{- end -}}

{{/* The host that archives are fetched from by HTTP; empty with S3. */}}
{{- define "marina.auth.archiveHost" -}}
{{- if and .Values.auth.enabled .Values.kserve.enabled (not (include "marina.s3" .)) -}}
{{- (urlParse (include "marina.artifactUrl" .)).hostname -}}
{{- end -}}
{{- end -}}

{{/* A token as the API makes them. */}}
{{- define "marina.auth.token" -}}
{{- printf "mrn_%s_%s" (randNumeric 12) (randAlphaNum 43) -}}
{{- end -}}

{{/* The Secret's data, with what is there already kept: (list $ SECRET). */}}
{{- define "marina.auth.data" -}}
{{- $root := index . 0 -}}
{{- $have := (index . 1 | default dict).data | default dict -}}
{{- $fetch := index $have "fetch-token" | default "" | b64dec | default (include "marina.auth.token" $root) -}}
admin-token: {{ index $have "admin-token" | default (include "marina.auth.token" $root | b64enc) }}
serving-token: {{ index $have "serving-token" | default (include "marina.auth.token" $root | b64enc) }}
metrics-token: {{ index $have "metrics-token" | default (include "marina.auth.token" $root | b64enc) }}
fetch-token: {{ $fetch | b64enc }}
{{- with include "marina.auth.archiveHost" $root }}
# What KServe's storage-initializer sends to this host.
https-host: {{ . | b64enc }}
headers: {{ dict "Authorization" (printf "Bearer %s" $fetch) | toJson | b64enc }}
{{- end }}
{{- end -}}

{{/* A file of the Secret as a volume: (list $ "admin-token" ...). */}}
{{- define "marina.auth.volume" -}}
{{- $root := first . -}}
- name: auth
  secret:
    secretName: {{ include "marina.auth.secret" $root }}
    defaultMode: 0440
    items:
      {{- range rest . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end -}}

{{- define "marina.auth.mount" -}}
- name: auth
  mountPath: /run/secrets/auth
  readOnly: true
{{- end -}}
