{{/* Names, labels and small functions. */}}

{{- define "butt-dial.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: the longest suffix is "-webhook-ingest-metrics", and names have at most 63. */}}
{{- define "butt-dial.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Keys of the values and names of the roles. */}}
{{- define "butt-dial.roleNames" -}}
gateway: gateway
console: console
webhookIngest: webhook-ingest
voiceRelay: voice-relay
dispatcher: dispatcher
{{- end -}}

{{/* The values of a role. Arguments: root, key. */}}
{{- define "butt-dial.role" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values .key)) | toYaml -}}
{{- end -}}

{{/* Selectors of a Deployment can't change, so they contain nothing that may change. Arguments: root, component. */}}
{{- define "butt-dial.selector" -}}
app.kubernetes.io/name: {{ include "butt-dial.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object. Arguments: root, component. */}}
{{- define "butt-dial.labels" -}}
{{ include "butt-dial.selector" . }}
app.kubernetes.io/part-of: butt-dial
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object. Arguments: root, component, name (appended to the name of the installation), annotations, labels. */}}
{{- define "butt-dial.metadata" -}}
name: {{ include "butt-dial.fullname" .root }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "butt-dial.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "butt-dial.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "butt-dial.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "butt-dial.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* A value as text. Helm reads numbers as floating-point numbers, and would write 10000000 as 1e+07. */}}
{{- define "butt-dial.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* The host of the public URL, without its port. */}}
{{- define "butt-dial.host" -}}
{{- (urlParse .Values.publicUrl).hostname -}}
{{- end -}}

{{/* A value of `settings` for a role. Arguments: root, role (its values), name, default. */}}
{{- define "butt-dial.setting" -}}
{{- $settings := merge (deepCopy .role.settings) .root.Values.settings -}}
{{- if hasKey $settings .name -}}
{{ include "butt-dial.text" (index $settings .name) }}
{{- else -}}
{{ .default }}
{{- end -}}
{{- end -}}

{{/* Seconds without data that proxies must allow on sockets of calls and push streams. */}}
{{- define "butt-dial.streamTimeout" -}}
{{- if .Values.streamTimeoutSeconds -}}
{{ int64 .Values.streamTimeoutSeconds }}
{{- else -}}
{{- $relay := include "butt-dial.role" (dict "root" . "key" "voiceRelay") | fromYaml -}}
{{- $longest := include "butt-dial.setting" (dict "root" . "role" $relay "name" "call_longest_seconds" "default" "3600") | int64 -}}
{{ add (max 3600 $longest) 60 }}
{{- end -}}
{{- end -}}

{{/* The replicas of a role that may run at the same time, without an update's. Arguments: the values of a role. */}}
{{- define "butt-dial.maxReplicas" -}}
{{- if .autoscaling.enabled }}{{ int64 .autoscaling.maxReplicas }}{{ else }}{{ int64 .replicas }}{{ end -}}
{{- end -}}
