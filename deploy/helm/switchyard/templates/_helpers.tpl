{{- define "switchyard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: a StatefulSet's pods carry a hash and a number behind it. */}}
{{- define "switchyard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "switchyard.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "switchyard.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Takes (list root component). */}}
{{- define "switchyard.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "switchyard.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Takes (list root component). */}}
{{- define "switchyard.labels" -}}
{{- $root := index . 0 -}}
{{ include "switchyard.selector" . }}
app.kubernetes.io/version: {{ default $root.Chart.AppVersion $root.Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes (list root program). */}}
{{- define "switchyard.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- $digest := index $root.Values.image.digests (index . 1) -}}
{{- $registry := required "image.registry: say where your images are, such as registry.example.com/team; deploy/README.md tells how to build them" $root.Values.image.registry -}}
{{- $tag := default $root.Chart.AppVersion $root.Values.image.tag -}}
{{- printf "%s/switchyard-%s:%s" $registry (index . 1) $tag -}}
{{- if $digest }}@{{ $digest }}{{ end -}}
{{- end -}}

{{- define "switchyard.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "switchyard.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Where the control plane listens for nodes, as its certificate names it. */}}
{{- define "switchyard.planesHost" -}}
{{- printf "%s-planes.%s.svc" (include "switchyard.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "switchyard.publicApiUrl" -}}
{{- if .Values.publicApiUrl -}}
{{- .Values.publicApiUrl -}}
{{- else if .Values.hosts.clients -}}
https://{{ .Values.hosts.clients }}
{{- end -}}
{{- end -}}

{{/* What nodes speak to clients: HTTP or HTTPS. */}}
{{- define "switchyard.clientsScheme" -}}
{{- ternary "HTTPS" "HTTP" (not (empty .Values.nodes.tlsSecret)) -}}
{{- end -}}

{{/* What the control plane speaks to people: HTTP or HTTPS. */}}
{{- define "switchyard.adminScheme" -}}
{{- ternary "HTTPS" "HTTP" (not (empty .Values.controlPlane.tlsSecret)) -}}
{{- end -}}

{{- define "switchyard.manyNodes" -}}
{{- if or (gt (int .Values.nodes.replicas) 1) .Values.nodes.autoscaling.enabled }}true{{ end -}}
{{- end -}}
