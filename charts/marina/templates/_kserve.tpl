{{/* InferenceServices and what serves them. The API makes the same objects from kserve.yaml. */}}

{{/* Labels of one experiment's objects: (list $ NAME EXPERIMENT). KServe copies them to pods: nothing that changes
with a release may be among them, or every release would restart every model. */}}
{{- define "marina.experiment.labels" -}}
{{- $root := index . 0 -}}
{{- $experiment := index . 2 -}}
app.kubernetes.io/part-of: marina
app.kubernetes.io/instance: {{ include "marina.fullname" $root | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
networking.kserve.io/visibility: cluster-local
marina/experiment: {{ $experiment.experiment }}
marina/version: {{ $experiment.version | int | quote }}
marina/runtime: {{ $experiment.runtime | default "torchserve" }}
{{- end -}}

{{/* Where a version's archive is: (list $ EXPERIMENT). */}}
{{- define "marina.experiment.uri" -}}
{{- $root := index . 0 -}}
{{- $experiment := index . 1 -}}
{{- if include "marina.s3" $root -}}
{{ include "marina.artifactUrl" $root }}/{{ $experiment.sha256 }}.mar
{{- else -}}
{{ include "marina.artifactUrl" $root }}/{{ $experiment.experiment }}/{{ $experiment.version | int }}/{{ $experiment.experiment }}.mar
{{- end -}}
{{- end -}}

{{/* What is recorded of the traffic, as the API reads it. */}}
{{- define "marina.experiment.recording" -}}
{{- $days := kindIs "invalid" .retentionDays | ternary nil .retentionDays -}}
{{- $answers := kindIs "invalid" .answers | ternary true .answers -}}
{{- dict "rate" (.rate | default 0) "answers" $answers "retention_days" $days | toJson -}}
{{- end -}}

{{/* resources of a model's pod: the default, with what the experiment has of its own both requested and as its limit:
(list $ EXPERIMENT). */}}
{{- define "marina.experiment.resources" -}}
{{- $resources := deepCopy (index . 0).Values.predictor.resources -}}
{{- range $name, $quantity := (index . 1).resources -}}
{{- if not (kindIs "invalid" $quantity) -}}
{{- range $kind := list "requests" "limits" -}}
{{- $_ := set $resources $kind (set (index $resources $kind | default dict) $name (toString $quantity)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Failures of a startup probe every two seconds, for a model that may take so many seconds: a minute more, because the
archive is unpacked first, and the process says itself when the time is over. */}}
{{- define "marina.startup.failures" -}}{{ div (add (int .) 60) 2 }}{{- end -}}

{{/* Seconds that a model may take to answer unless its deployment says so; values of an older release have none. */}}
{{- define "marina.responseSeconds" -}}{{ .Values.serving.responseSeconds | default 10 | int }}{{- end -}}

{{/* Seconds that a pod has to answer what is under way: (list $ EXPERIMENT). */}}
{{- define "marina.experiment.drainSeconds" -}}
{{- $response := (index . 1).responseSeconds | default (include "marina.responseSeconds" (index . 0)) -}}
{{- max 60 (add (int $response) 20) -}}
{{- end -}}

{{- define "marina.predictor.account" -}}{{ include "marina.fullname" . }}-predictor{{- end -}}

{{/* What a ServingRuntime is called after the release: (list "torchserve" "vision"); "" and base are one. */}}
{{- define "marina.runtimeName" -}}
{{- $environment := index . 1 -}}
{{ index . 0 }}{{ if and $environment (ne $environment "base") }}-{{ $environment }}{{ end }}
{{- end -}}

{{/* A ServingRuntime: (list $ "torchserve" "vision"), with "" for the base environment. */}}
{{- define "marina.runtime" -}}
{{- $root := index . 0 -}}
{{- $runtime := index . 1 -}}
{{- $environment := index . 2 -}}
{{- $values := index $root.Values.serving $runtime -}}
{{- $own := dict -}}
{{- $image := $root.Values.serving.image -}}
{{- if $environment -}}
{{- $own = index $root.Values.environments $environment | default dict -}}
{{- /* The digest of serving.image is of another image. */ -}}
{{- $usual := dict "repository" (printf "%s-%s" $image.repository $environment) -}}
{{- $image = merge (deepCopy ($own.image | default dict)) $usual (omit $image "digest") -}}
{{- end -}}
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  {{- include "marina.metadata" (list $root "serving" (include "marina.runtimeName" (list $runtime $environment))) | nindent 2 }}
spec:
  # Formats for which this one is never chosen by itself: other runtimes may come and go.
  supportedModelFormats:
    - name: marina-mar
      version: "1"
      autoSelect: false
    # What InferenceServices for KServe's own TorchServe runtime ask for.
    - name: pytorch
      version: "1"
      autoSelect: false
  protocolVersions: [v2]
  multiModel: false
  containers:
    - name: kserve-container
      {{- include "marina.imageLines" (list $root $image) | nindent 6 }}
      command: [python, -m, serving_runtime]
      env:
        - name: SERVING_HOST
          value: 0.0.0.0
        - name: SERVING_PORT
          value: "8080"
        # KServe replaces this with the InferenceService's name.
        - name: SERVING_MODEL_NAME
          value: {{ "{{.Name}}" | quote }}
        # Its Services have names of their own for each InferenceService.
        - name: SERVING_ALLOWED_HOSTS
          value: {{ include "marina.allowedHosts" (list $root "{{.Name}}" "{{.Name}}-predictor") | quote }}
        - name: SERVING_MODEL_DIR
          value: /mnt/models
        - name: SERVING_RUNTIME
          value: {{ $runtime }}
        {{- with $environment }}
        - name: SERVING_ENVIRONMENT
          value: {{ . }}
        {{- end }}
        - name: SERVING_STARTUP_SECONDS
          value: {{ $root.Values.serving.startupSeconds | int | quote }}
        - name: SERVING_DEADLINE_SECONDS
          value: {{ include "marina.responseSeconds" $root | quote }}
        - name: SERVING_WORK_DIR
          value: /tmp/serving
        - name: HOME
          value: /tmp
        {{- if include "marina.auth.servingTokens" $root }}
        - name: SERVING_TOKENS_FILE
          value: /run/secrets/tokens/tokens.json
        {{- end }}
        - name: SERVING_RECORDINGS_FILE
          value: /run/secrets/recordings/recordings.json
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
          protocol: TCP
      # Ready means that a real inference has just worked; a model may take its time to get there.
      startupProbe:
        httpGet: {path: /v2/health/ready, port: 8080}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: {{ include "marina.startup.failures" $root.Values.serving.startupSeconds }}
      readinessProbe:
        httpGet: {path: /v2/health/ready, port: 8080}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /v2/health/live, port: 8080}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      lifecycle:
        preStop:
          # Until every proxy knows that this pod is leaving.
          sleep: {seconds: 5}
      # Why a model cannot be loaded is the last thing in the log: the API reads it from the pod's status.
      terminationMessagePolicy: FallbackToLogsOnError
      securityContext:
        {{- include "marina.containerSecurity" $root | nindent 8 }}
      resources:
        {{- toYaml ($own.resources | default $values.resources) | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if include "marina.auth.servingTokens" $root }}
        - name: tokens
          mountPath: /run/secrets/tokens
          readOnly: true
        {{- end }}
        - name: recordings
          mountPath: /run/secrets/recordings
          readOnly: true
  volumes:
    {{- include "marina.scratch" (list "tmp" $root.Values.serving.tmpSize) | nindent 4 }}
    {{- with include "marina.auth.servingTokens" $root }}
    - name: tokens
      secret:
        secretName: {{ . }}
        defaultMode: 0444
        items:
          - {key: tokens.json, path: tokens.json}
    {{- end }}
    # A model does not wait for it.
    - name: recordings
      secret:
        secretName: {{ include "marina.recordings" $root }}
        defaultMode: 0444
        optional: true
        items:
          - {key: recordings.json, path: recordings.json}
{{- end -}}
