{{/* Names of the Secret service, and what it is told on its command line. */}}

{{- define "flyte-secrets.secretService.name" -}}
{{- printf "%s-service" (include "flyte-secrets.fullname" .) }}
{{- end }}

{{- define "flyte-secrets.secretService.account" -}}
{{- with .Values.secretService.serviceAccount }}
{{- .name | default (.create | ternary (include "flyte-secrets.secretService.name" $) "default") }}
{{- end }}
{{- end }}

{{- define "flyte-secrets.secretService.roleName" -}}
{{- printf "%s-service" (include "flyte-secrets.clusterName" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{- define "flyte-secrets.secretService.selector" -}}
{{ include "flyte-secrets.selectorLabels" . }}
app.kubernetes.io/component: secret-service
{{- end }}

{{/* Where it stores: where the webhook reads, unless it is told otherwise. */}}
{{- define "flyte-secrets.secretService.namespace" -}}
{{- $effective := include "flyte-secrets.effective" . | fromYaml }}
{{- $effective.secret.kubernetes.namespace | default $effective.webhook.embeddedSecretManagerConfig.k8sConfig.namespace }}
{{- end }}

{{/* The webhook's replicas, and how they are asked, are known here; `config.secret` wins. */}}
{{- define "flyte-secrets.secretService.args" -}}
{{- $effective := include "flyte-secrets.effective" . | fromYaml }}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
{{- $given := .Values.config.secret | default dict }}
- service
- --config
- /etc/flyte/config/*.yaml
{{- if not (hasKey $given "webhookURL") }}
{{- $url := printf "http://%s-headless.%s.svc:%d" (include "flyte-secrets.serviceName" .) .Release.Namespace (int $features.invalidationPort) }}
- --secret.webhookURL={{ ne (int $features.invalidationPort) 0 | ternary $url "" }}
{{- end }}
{{- if and $features.tokenReview (not (hasKey $given "webhookTokenFile")) }}
- --secret.webhookTokenFile=/var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
{{- if .Values.secretService.tlsSecret }}
- --secret.server.certDir=/etc/secret-service/tls
{{- end }}
{{- with .Values.secretService.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}
