{{/* The configuration that the webhook gets, and what this chart reads out of it. */}}

{{/* What the chart decides. */}}
{{- define "flyte-secrets.decided" -}}
webhook:
  profile: {{ .Values.profile }}
  serviceName: {{ include "flyte-secrets.serviceName" . }}
  secretName: {{ include "flyte-secrets.certificateSecret" . }}
  certDir: /etc/webhook/certs
  disableCreateMutatingWebhookConfig: {{ eq .Values.registration.by "chart" }}
  certificates:
    mode: {{ .Values.certificates.mode }}
    {{- with .Values.certificates.caSecretNamespace }}
    caSecretNamespace: {{ . }}
    {{- end }}
    {{- if and (eq .Values.certificates.mode "cert-manager") (eq .Values.registration.by "webhook") }}
    certManagerCertificate: {{ .Release.Namespace }}/{{ include "flyte-secrets.fullname" . }}
    {{- end }}
{{- end }}

{{/* Whose tokens the webhook takes when it is told of a change: those it is given, and that of the Secret service. */}}
{{- define "flyte-secrets.allowed" -}}
{{- $invalidation := dig "webhook" "invalidation" dict .Values.config }}
{{- if and .Values.secretService.enabled (eq ($invalidation.authentication | default "None") "TokenReview") }}
{{- $account := printf "%s/%s" .Release.Namespace (include "flyte-secrets.secretService.account" .) }}
webhook:
  invalidation:
    allowedServiceAccounts: {{ append ($invalidation.allowedServiceAccounts | default list) $account | uniq | toJson }}
{{- end }}
{{- end }}

{{- define "flyte-secrets.config" -}}
{{- toYaml (mustMergeOverwrite (deepCopy .Values.config) (include "flyte-secrets.decided" . | fromYaml) (include "flyte-secrets.allowed" . | fromYaml)) }}
{{- end }}

{{/* The same with the webhook's own defaults for the keys that matter here. */}}
{{- define "flyte-secrets.effective" -}}
{{- $defaults := .Files.Get "files/defaults.yaml" | fromYaml }}
{{- $profile := index $defaults .Values.profile }}
{{- toYaml (mustMergeOverwrite (deepCopy $profile) (deepCopy .Values.config) (include "flyte-secrets.decided" . | fromYaml)) }}
{{- end }}

{{/* What the configuration makes of the webhook, as far as rights and ports depend on it. */}}
{{- define "flyte-secrets.features" -}}
{{- $effective := include "flyte-secrets.effective" . | fromYaml }}
{{- $webhook := $effective.webhook }}
{{- $embeddedConfig := $webhook.embeddedSecretManagerConfig }}
{{- $managers := $webhook.secretManagerTypes | default (list $webhook.secretManagerType) }}
{{- $embedded := has "Embedded" $managers }}
{{- $stores := $embeddedConfig.types | default (list $embeddedConfig.type) }}
{{- $mirrors := eq $webhook.delivery "SecretRef" }}
{{- $auto := eq .Values.certificates.mode "auto" }}
{{- $store := and $embedded (has "K8s" $stores) }}
{{- $pull := and $embedded $embeddedConfig.imagePullSecrets.enabled }}
{{- $review := and (ne (int $webhook.cacheInvalidationPort) 0) (eq $webhook.invalidation.authentication "TokenReview") }}
{{- $check := and (has "K8s" $managers) (ne $webhook.k8s.checkExists "Off") }}
{{- $registers := eq .Values.registration.by "webhook" }}
auto: {{ $auto }}
registers: {{ $registers }}
mirrors: {{ $mirrors }}
lease: {{ or $auto $mirrors }}
store: {{ $store | ternary $embeddedConfig.k8sConfig.namespace "" }}
watch: {{ and $store $embeddedConfig.k8sConfig.watch }}
pullSecrets: {{ $pull }}
tokenReview: {{ $review }}
callersAsked: {{ not (empty $effective.secret.authentication.modes) }}
callersReviewed: {{ and .Values.secretService.enabled (has "TokenReview" $effective.secret.authentication.modes) }}
events: {{ $webhook.events.enabled }}
checkExists: {{ $check }}
{{/* Whether the webhook talks to the API server at all. */ -}}
api: {{ or $auto $registers $mirrors $store $pull $review $webhook.events.enabled $check }}
listenPort: {{ int $webhook.listenPort }}
metricsPort: {{ int $webhook.metricsPort }}
invalidationPort: {{ int $webhook.cacheInvalidationPort }}
servicePort: {{ int $webhook.servicePort }}
{{- end }}

{{/* Values that contradict each other: said at once, with what to change. */}}
{{- define "flyte-secrets.check" -}}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
{{- if and (eq .Values.registration.by "chart") $features.auto }}
{{- fail "certificates.mode: auto needs a registration that the webhook keeps, because its CA rotates: set registration.by: webhook, or certificates.mode: cert-manager or files" }}
{{- end }}
{{- if eq .Values.rbac.scope "Namespaces" }}
{{- if $features.registers }}
{{- fail "rbac.scope: Namespaces gives no right on the registration, which is an object of the cluster: set registration.by: chart" }}
{{- end }}
{{- if $features.tokenReview }}
{{- fail "config.webhook.invalidation.authentication: TokenReview needs a ClusterRole: set rbac.scope: Cluster, or authentication: None with networkPolicy.invalidationFrom" }}
{{- end }}
{{- if $features.callersReviewed }}
{{- fail "config.secret.authentication.modes: TokenReview needs a ClusterRole: set rbac.scope: Cluster, or modes: [OIDC]" }}
{{- end }}
{{- if .Values.uninstall.mirrors }}
{{- fail "uninstall.mirrors needs the right to list Secrets everywhere: set rbac.scope: Cluster" }}
{{- end }}
{{- else if .Values.rbac.namespaces }}
{{- fail "rbac.namespaces is for rbac.scope: Namespaces" }}
{{- end }}
{{- if and .Values.registration.caBundle (ne .Values.registration.by "chart") }}
{{- fail "registration.caBundle is for registration.by: chart; the webhook knows its CA itself" }}
{{- end }}
{{- if and .Values.certificates.files.job (ne .Values.certificates.mode "files") }}
{{- fail "certificates.files.job is for certificates.mode: files" }}
{{- end }}
{{- if and .Values.secretService.enabled (eq (include "flyte-secrets.effective" . | fromYaml).secret.store "Local") }}
{{- fail "config.secret.store: Local is for one computer: the pods of a Deployment share no file; leave it at K8s, or secretService.enabled: false" }}
{{- end }}
{{- end }}
