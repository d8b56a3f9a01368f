{{/* How people and clients get in. One list of paths, for an Ingress as for an HTTPRoute; nothing of one controller. */}}

{{/* scheme://host, or nothing when the host is not known. */}}
{{- define "marina.publicUrl" -}}
{{- if and (ne .Values.expose.mode "none") .Values.expose.host -}}
{{ .Values.expose.tls.enabled | ternary "https" "http" }}://{{ .Values.expose.host }}
{{- end -}}
{{- end -}}

{{/* Path of UI and API: empty, or with a slash before and none behind. */}}
{{- define "marina.path" -}}
{{- with trimAll "/" .Values.expose.path }}/{{ . }}{{ end -}}
{{- end -}}

{{/*
What a part answers to as Host, separated by commas: (list $ SERVICE...). Each Service's name in all its forms, the exposed
host, what the values add, a port-forward, and addresses: probes, Prometheus and the API ask pods by IP, and no page of
another site can have an address of ours as its Host.
*/}}
{{- define "marina.allowedHosts" -}}
{{- $root := index . 0 -}}
{{- $space := $root.Release.Namespace -}}
{{- $hosts := list "localhost" "127.0.0.1" "[::1]" "0.0.0.0/0" "::/0" -}}
{{- range rest . -}}
{{- $hosts = concat $hosts (list . (printf "%s.%s" . $space) (printf "%s.%s.svc" . $space) (printf "%s.%s.svc.%s" . $space $root.Values.clusterDomain)) -}}
{{- end -}}
{{- if ne $root.Values.expose.mode "none" -}}
{{- $hosts = append $hosts $root.Values.expose.host -}}
{{- end -}}
{{- concat $hosts $root.Values.allowedHosts | compact | uniq | join "," -}}
{{- end -}}

{{/* YAML list of {path, service} for UI and API. */}}
{{- define "marina.paths" -}}
{{- $api := printf "%s-metadata-api" (include "marina.fullname" .) -}}
{{- $path := include "marina.path" . -}}
{{- range list "/v1" "/docs" "/openapi.json" "/static-offline-docs" }}
- path: {{ $path }}{{ . }}
  service: {{ $api }}
{{- end }}
{{- /* Aliases, and versions of experiments; a deployment has a route of its own, which is longer and wins. */}}
- path: /v2
  service: {{ $api }}
{{- if .Values.ui.enabled }}
- path: {{ $path | default "/" }}
  service: {{ include "marina.fullname" . }}-ui
{{- end }}
{{- end -}}

{{/* spec of an Ingress: (list $ LIST-OF-PATHS). */}}
{{- define "marina.ingress.spec" -}}
{{- $root := index . 0 -}}
{{- $expose := $root.Values.expose -}}
{{- with $expose.ingress.className }}
ingressClassName: {{ . }}
{{- end }}
{{- with $expose.tls.secretName }}
tls:
  - hosts: [{{ $expose.host | quote }}]
    secretName: {{ . }}
{{- end }}
rules:
  - host: {{ $expose.host | quote }}
    http:
      paths:
        {{- range index . 1 }}
        - path: {{ .path }}
          pathType: Prefix
          backend:
            service:
              name: {{ .service }}
              port:
                number: 80
        {{- end }}
{{- end -}}

{{/* spec of an HTTPRoute: (list $ LIST-OF-PATHS). */}}
{{- define "marina.route.spec" -}}
{{- $root := index . 0 -}}
{{- $gateway := $root.Values.expose.gateway -}}
parentRefs:
  - name: {{ $gateway.name }}
    {{- with $gateway.namespace }}
    namespace: {{ . }}
    {{- end }}
    {{- with $gateway.section }}
    sectionName: {{ . }}
    {{- end }}
{{- with $root.Values.expose.host }}
hostnames: [{{ . | quote }}]
{{- end }}
rules:
  {{- range index . 1 }}
  - matches:
      - path:
          type: PathPrefix
          value: {{ .path }}
    backendRefs:
      - name: {{ .service }}
        port: 80
  {{- end }}
{{- end -}}
