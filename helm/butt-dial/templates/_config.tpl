{{/* The settings of the program: the ConfigMap, and the secrets as files. */}}

{{/* URLs of the backends that are not in a Secret. */}}
{{- define "butt-dial.natsUrl" -}}
{{- if and .Values.devBackends.enabled (not .Values.nats.existingSecret) -}}
{{ default (printf "nats://%s-dev-nats:4222" (.Release.Name | trunc 38 | trimSuffix "-")) .Values.nats.url }}
{{- else -}}
{{ .Values.nats.url }}
{{- end -}}
{{- end -}}
{{- define "butt-dial.redisUrl" -}}
{{- if and .Values.devBackends.enabled (not .Values.redis.existingSecret) -}}
{{ default (printf "redis://%s-dev-redis:6379" (.Release.Name | trunc 38 | trimSuffix "-")) .Values.redis.url }}
{{- else -}}
{{ .Values.redis.url }}
{{- end -}}
{{- end -}}

{{/* Values of the Host header by which agents in the cluster reach the gateways. */}}
{{- define "butt-dial.allowedHosts" -}}
{{- $service := printf "%s-gateway" (include "butt-dial.fullname" .) -}}
{{- $namespaced := printf "%s.%s" $service .Release.Namespace -}}
{{- $own := list $service $namespaced (printf "%s.svc" $namespaced) (printf "%s.svc.cluster.local" $namespaced) -}}
{{ concat $own .Values.allowedHosts | uniq | join "," }}
{{- end -}}

{{/* The data of the ConfigMap. */}}
{{- define "butt-dial.config" -}}
{{- $config := dict
  "HOST" .Values.listenAddress
  "PORT" .Values.port
  "METRICS_PORT" .Values.metrics.port
  "WEBHOOK_BASE_URL" (trimSuffix "/" .Values.publicUrl)
  "ALLOWED_HOSTS" (include "butt-dial.allowedHosts" .)
  "TRUSTED_PROXIES" (join "," .Values.trustedProxies)
  "DEMO_MODE" "false"
  "MIGRATE" (ternary "auto" "verify" (eq .Values.migrations.mode "auto"))
-}}
{{- with .Values.database.url }}{{ $_ := set $config "DATABASE_URL" . }}{{ end -}}
{{- with include "butt-dial.natsUrl" . }}{{ $_ := set $config "NATS_URL" . }}{{ end -}}
{{- with include "butt-dial.redisUrl" . }}{{ $_ := set $config "REDIS_URL" . }}{{ end -}}
{{- if .Values.attachments.existingClaim -}}
{{- $_ := set $config "BLOB_URL" "/var/lib/butt-dial/blobs" -}}
{{- else if .Values.attachments.url -}}
{{- $_ := set $config "BLOB_URL" .Values.attachments.url -}}
{{- $_ := set $config "S3_REGION" .Values.attachments.s3Region -}}
{{- with .Values.attachments.s3Endpoint }}{{ $_ := set $config "S3_ENDPOINT" . }}{{ end -}}
{{- end -}}
{{- if .Values.simulator.enabled -}}
{{- range $vendor, $values := .Values.vendors -}}
{{- if $values.existingSecret -}}
{{- $url := printf "http://%s-simulator:%d/%s" (include "butt-dial.fullname" $) (int64 $.Values.simulator.port) $vendor -}}
{{- $_ := set $config (printf "%s_API_URL" (upper $vendor)) $url -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.nats.tls -}}
{{- if .existingSecret -}}
{{- if .caKey }}{{ $_ := set $config "NATS_CA_PATH" (printf "/etc/butt-dial/nats/%s" .caKey) }}{{ end -}}
{{- if .certificateKey -}}
{{- $_ := set $config "NATS_CLIENT_CERTIFICATE_PATH" (printf "/etc/butt-dial/nats/%s" .certificateKey) -}}
{{- $_ := set $config "NATS_CLIENT_KEY_PATH" (printf "/etc/butt-dial/nats/%s" .privateKeyKey) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or .Values.caCertificates.existingSecret .Values.caCertificates.existingConfigMap -}}
{{- $_ := set $config "SSL_CERT_FILE" (printf "/etc/butt-dial/ca/%s" .Values.caCertificates.key) -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- $_ := set $config (upper $name) $value -}}
{{- end -}}
{{- range $name, $value := $config }}
{{ $name }}: {{ include "butt-dial.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* The settings with a value in a Secret: {NAME: {secret, key}}. Arguments: root, component. */}}
{{- define "butt-dial.secrets" -}}
{{- $values := .root.Values -}}
{{- $all := dict -}}
{{- with $values.database }}{{ if .existingSecret }}{{ $_ := set $all "DATABASE_URL" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- with $values.nats }}{{ if .existingSecret }}{{ $_ := set $all "NATS_URL" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- with $values.nats.credentials }}{{ if .existingSecret }}{{ $_ := set $all "NATS_CREDENTIALS" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- with $values.nats.nkeySeed }}{{ if .existingSecret }}{{ $_ := set $all "NATS_NKEY_SEED" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- with $values.redis }}{{ if .existingSecret }}{{ $_ := set $all "REDIS_URL" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- with $values.encryptionKey }}{{ $_ := set $all "CREDENTIALS_ENCRYPTION_KEY" (dict "secret" .existingSecret "key" .key) }}{{ end -}}
{{- with $values.metrics.token }}{{ if .existingSecret }}{{ $_ := set $all "METRICS_TOKEN" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- with $values.orchestratorToken -}}
{{- if and .existingSecret (eq $.component "gateway") -}}
{{- $_ := set $all "ORCHESTRATOR_SECURITY_TOKEN" (dict "secret" .existingSecret "key" .key) -}}
{{- end -}}
{{- end -}}
{{- with $values.attachments -}}
{{- if .existingSecret -}}
{{- $_ := set $all "S3_ACCESS_KEY_ID" (dict "secret" .existingSecret "key" .accessKeyIdKey) -}}
{{- $_ := set $all "S3_SECRET_ACCESS_KEY" (dict "secret" .existingSecret "key" .secretAccessKeyKey) -}}
{{- end -}}
{{- end -}}
{{- range $vendor, $values := $values.vendors -}}
{{- if $values.existingSecret -}}
{{- range $setting, $key := $values.keys -}}
{{- $_ := set $all $setting (dict "secret" $values.existingSecret "key" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $setting, $source := $values.secretSettings -}}
{{- $_ := set $all $setting $source -}}
{{- end -}}
{{- if eq .component "migrate" -}}
{{- with $values.migrations.database }}{{ if .existingSecret }}{{ $_ := set $all "DATABASE_URL" (dict "secret" .existingSecret "key" .key) }}{{ end }}{{ end -}}
{{- end -}}
{{ toYaml $all }}
{{- end -}}

{{/* Environment of a container of the program. Arguments: root, component, role (values of a role). */}}
{{- define "butt-dial.env" -}}
{{- range $setting, $_ := include "butt-dial.secrets" . | fromYaml }}
- name: {{ $setting }}_FILE
  value: /etc/butt-dial/secrets/{{ $setting }}
{{- end }}
{{- range $name, $value := .role.settings }}
- name: {{ upper $name }}
  value: {{ include "butt-dial.text" $value | quote }}
{{- end }}
{{- $extra := list }}
{{- range .role.extraEnv }}{{ $extra = append $extra .name }}{{ end }}
{{- $endpoint := include "butt-dial.setting" (dict "root" .root "role" .role "name" "otel_exporter_otlp_endpoint" "default" "") }}
{{- if and $endpoint (not (has "OTEL_RESOURCE_ATTRIBUTES" $extra)) }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .root.Release.Namespace }},k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)
{{- end }}
{{- with .role.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "butt-dial.envFrom" -}}
- configMapRef:
    name: {{ include "butt-dial.fullname" .root }}
{{- with .role.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "butt-dial.volumeMounts" -}}
- name: secrets
  mountPath: /etc/butt-dial/secrets
  readOnly: true
{{- if .root.Values.nats.tls.existingSecret }}
- name: nats-tls
  mountPath: /etc/butt-dial/nats
  readOnly: true
{{- end }}
{{- if or .root.Values.caCertificates.existingSecret .root.Values.caCertificates.existingConfigMap }}
- name: ca
  mountPath: /etc/butt-dial/ca
  readOnly: true
{{- end }}
{{- if .root.Values.attachments.existingClaim }}
- name: blobs
  mountPath: /var/lib/butt-dial/blobs
{{- end }}
{{- with .role.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "butt-dial.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $setting, $source := include "butt-dial.secrets" . | fromYaml }}
      - secret:
          name: {{ $source.secret }}
          items:
            - key: {{ $source.key | quote }}
              path: {{ $setting }}
      {{- end }}
{{- with .root.Values.nats.tls }}
{{- if .existingSecret }}
- name: nats-tls
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      {{- range list .caKey .certificateKey .privateKeyKey | compact }}
      - key: {{ . | quote }}
        path: {{ . | quote }}
      {{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.caCertificates }}
{{- if .existingSecret }}
- name: ca
  secret:
    secretName: {{ .existingSecret }}
    items:
      - key: {{ .key | quote }}
        path: {{ .key | quote }}
{{- else if .existingConfigMap }}
- name: ca
  configMap:
    name: {{ .existingConfigMap }}
    items:
      - key: {{ .key | quote }}
        path: {{ .key | quote }}
{{- end }}
{{- end }}
{{- with .root.Values.attachments.existingClaim }}
- name: blobs
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- with .role.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
