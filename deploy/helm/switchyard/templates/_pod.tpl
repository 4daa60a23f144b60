{{/* What all pods have in common. */}}
{{- define "switchyard.podSecurity" -}}
serviceAccountName: {{ include "switchyard.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.podUser.id }}
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "switchyard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where pods of a component may run. Takes (list root values component). */}}
{{- define "switchyard.placement" -}}
{{- $component := index . 1 -}}
{{- with $component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if ne $component.spread "none" }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $component.spread }}
    labelSelector:
      matchLabels:
        {{- include "switchyard.selector" (list (index $ 0) (index $ 2)) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a component's pods. Takes (list root values component). */}}
{{- define "switchyard.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
labels:
  # Without the chart's version, so that a new chart alone restarts nobody.
  {{- include "switchyard.selector" (list $root (index . 2)) | nindent 2 }}
  {{- with $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $component.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # The programs read their settings once.
  checksum/settings: {{ include "switchyard.settings" $component | sha256sum }}
  {{- with $component.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* A component's `settings` as the programs' TOML: a JSON scalar, or a list of them, is a TOML value too. */}}
{{- define "switchyard.settings" -}}
{{- range $name, $value := .settings }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end -}}

{{/* Variables of all programs. */}}
{{- define "switchyard.commonVariables" -}}
- name: SWITCHYARD_LOG
  value: {{ .Values.log.level | quote }}
- name: SWITCHYARD_LOG_FORMAT
  value: {{ .Values.log.format }}
{{- end -}}

{{/* Off the Service's list, before SIGTERM: the programs stop listening at once. */}}
{{- define "switchyard.preStop" -}}
{{- with .preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
{{- end -}}

{{/* Takes (list port scheme): the port's name, and HTTP or HTTPS. Kubernetes asks by address, and looks at no name. */}}
{{- define "switchyard.probes" -}}
{{- $port := index . 0 -}}
{{- $scheme := index . 1 -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ $port }}, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ $port }}, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}
