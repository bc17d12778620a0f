{{/* The parts that all pods of the program share. */}}

{{/* Where and with which rights a pod runs. Arguments: root, role (values of a role). */}}
{{- define "butt-dial.podBasics" -}}
serviceAccountName: {{ include "butt-dial.serviceAccountName" .root }}
# The program does not use the API of Kubernetes.
automountServiceAccountToken: false
# Variables of Services could have the names of settings.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .role.podSecurityContext | nindent 2 }}
{{- with .role.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .role.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .role.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A container of the program. Arguments: root, component, role, args. */}}
{{- define "butt-dial.container" -}}
name: butt-dial
image: {{ include "butt-dial.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
securityContext:
  {{- toYaml .role.securityContext | nindent 2 }}
envFrom:
  {{- include "butt-dial.envFrom" . | nindent 2 }}
env:
  {{- include "butt-dial.env" . | trim | nindent 2 }}
volumeMounts:
  {{- include "butt-dial.volumeMounts" . | nindent 2 }}
{{- end -}}

{{/* A pod that runs one command and ends. Arguments: root, component, args, resources. */}}
{{- define "butt-dial.commandPod" -}}
{{- $role := deepCopy .root.Values.defaults -}}
{{- $context := dict "root" .root "component" .component "role" $role "args" .args -}}
{{ include "butt-dial.podBasics" $context }}
restartPolicy: {{ .restartPolicy }}
containers:
  - {{- include "butt-dial.container" $context | nindent 4 }}
    resources:
      {{- toYaml .resources | nindent 6 }}
volumes:
  {{- include "butt-dial.volumes" $context | nindent 2 }}
{{- end -}}

{{/* A probe. Arguments: path, probe. */}}
{{- define "butt-dial.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
{{ toYaml .probe }}
{{- end -}}
