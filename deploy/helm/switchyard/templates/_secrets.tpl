{{/* The Secret and the key of a credential, as YAML; empty where there is none. Takes (list root which). */}}
{{- define "switchyard.secretKey" -}}
{{- $root := index . 0 -}}
{{- $which := index . 1 -}}
{{- $given := index $root.Values.secrets $which -}}
{{- if $given.name -}}
name: {{ $given.name }}
key: {{ $given.key }}
{{- else if $root.Values.trial.enabled -}}
name: {{ include "switchyard.fullname" $root }}-trial
key: {{ $which }}
{{- end -}}
{{- end -}}

{{/* A variable from a credential. Takes (list root which variable). */}}
{{- define "switchyard.secretVariable" -}}
{{- with include "switchyard.secretKey" (list (index . 0) (index . 1)) }}
- name: {{ index $ 2 }}
  valueFrom:
    secretKeyRef:
      {{- . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Variables of the way to the control plane, for nodes and drain jobs. */}}
{{- define "switchyard.wayToControlPlane" -}}
{{- $plaintext := eq .Values.tls.mode "plaintext" -}}
- name: SWITCHYARD_CONTROL_PLANE
  value: {{ ternary "http" "https" $plaintext }}://{{ include "switchyard.planesHost" . }}:8082
{{- if $plaintext }}
- name: SWITCHYARD_ALLOW_PLAINTEXT_PLANES
  value: "true"
{{- else }}
- name: SWITCHYARD_TLS_CERT
  value: /etc/switchyard/tls/tls.crt
- name: SWITCHYARD_TLS_KEY
  value: /etc/switchyard/tls/tls.key
- name: SWITCHYARD_TLS_CA
  value: /etc/switchyard/tls/ca.crt
{{- if and (eq .Values.tls.mode "secrets") .Values.tls.secrets.serverName }}
- name: SWITCHYARD_TLS_SERVER_NAME
  value: {{ .Values.tls.secrets.serverName }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The volume with a side's certificate; empty with plaintext. Takes (list root side node), where `node` is the id that
     a certificate of its own names. */}}
{{- define "switchyard.tlsVolume" -}}
{{- $root := index . 0 -}}
{{- $side := index . 1 -}}
{{- $tls := $root.Values.tls -}}
{{- if eq $tls.mode "secrets" }}
- name: tls
  secret:
    secretName: {{ index $root.Values.tls.secrets $side }}
    defaultMode: 0440
{{- else if and (eq $tls.mode "certManager") (eq $side "nodes") $root.Values.tls.certManager.perNode }}
- name: tls
  csi:
    driver: csi.cert-manager.io
    readOnly: true
    volumeAttributes:
      {{- $issuer := fromYaml (include "switchyard.issuer" $root) }}
      csi.cert-manager.io/issuer-name: {{ $issuer.name }}
      csi.cert-manager.io/issuer-kind: {{ $issuer.kind }}
      csi.cert-manager.io/issuer-group: {{ $issuer.group }}
      csi.cert-manager.io/uri-sans: switchyard://node/{{ index . 2 }}
      csi.cert-manager.io/key-usages: digital signature,client auth
      csi.cert-manager.io/duration: {{ $root.Values.tls.certManager.durationHours }}h
      csi.cert-manager.io/renew-before: {{ $root.Values.tls.certManager.renewBeforeHours }}h
      {{- with $root.Values.podUser.id }}
      csi.cert-manager.io/fs-group: {{ . | quote }}
      {{- end }}
{{- else if eq $tls.mode "certManager" }}
- name: tls
  secret:
    secretName: {{ include "switchyard.fullname" $root }}-{{ ternary "control" "node" (eq $side "controlPlane") }}-tls
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "switchyard.tlsMount" -}}
{{- if ne .Values.tls.mode "plaintext" }}
- name: tls
  mountPath: /etc/switchyard/tls
  readOnly: true
{{- end }}
{{- end -}}

{{/* Who signs the planes' certificates. */}}
{{- define "switchyard.issuer" -}}
{{- if .Values.tls.certManager.issuer.name -}}
{{- toYaml .Values.tls.certManager.issuer -}}
{{- else -}}
name: {{ include "switchyard.fullname" . }}-planes
kind: Issuer
group: cert-manager.io
{{- end -}}
{{- end -}}
