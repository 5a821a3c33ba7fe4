{{/* Rights, feature by feature: exactly what the webhook calls, nothing that it does not. Each template is a list of rules,
     or empty. docs/install.md has them as a table. */}}

{{/* The verbs on Secrets that the webhook has in every namespace, so that no other rule repeats them. */}}
{{- define "flyte-secrets.secretVerbs" -}}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
{{- $verbs := list }}
{{- if and .Values.rbac.create (eq .Values.rbac.scope "Cluster") }}
{{- if or $features.mirrors $features.pullSecrets }}
{{- $verbs = concat $verbs (list "get" "create" "update") }}
{{- else if $features.checkExists }}
{{- $verbs = append $verbs "get" }}
{{- end }}
{{- if $features.mirrors }}
{{- $verbs = concat $verbs (list "list" "delete") }}
{{- end }}
{{- end }}
{{- toYaml $verbs }}
{{- end }}

{{/* A rule on Secrets for what is missing in that: (list $ (list verb …) name), the name may be empty. */}}
{{- define "flyte-secrets.secretRule" -}}
{{- $has := include "flyte-secrets.secretVerbs" (index . 0) | fromYamlArray }}
{{- $missing := list }}
{{- range index . 1 }}
{{- if not (has . $has) }}
{{- $missing = append $missing . }}
{{- end }}
{{- end }}
{{- if $missing }}
- apiGroups: [""]
  resources: [secrets]
  {{- with index . 2 }}
  resourceNames: [{{ . }}]
  {{- end }}
  verbs: {{ toJson $missing }}
{{- end }}
{{- end }}

{{/* In the namespace of the release. */}}
{{- define "flyte-secrets.rules.own" -}}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
{{- if $features.lease }}
# One replica at a time rotates the CA and collects mirrors.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "flyte-secrets.leaseName" . }}]
  verbs: [get, update]
{{- if .Values.rbac.recreate }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}
{{- end }}
{{- if and $features.events (eq .Values.rbac.scope "Namespaces") }}
# Events on the webhook's own pod.
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- if $features.pullSecrets }}
{{- /* Image-pull Secrets are taken from here; their names are made of hashes. */}}
{{- include "flyte-secrets.secretRule" (list . (list "get") "") }}
{{- end }}
{{- end }}

{{/* In the namespace of the CA's Secret. */}}
{{- define "flyte-secrets.rules.ca" -}}
{{- if (include "flyte-secrets.features" . | fromYaml).auto }}
{{- include "flyte-secrets.secretRule" (list . (list "get" "update") (include "flyte-secrets.caSecretName" .)) }}
{{- if .Values.rbac.recreate }}
{{- include "flyte-secrets.secretRule" (list . (list "create") "") }}
{{- end }}
{{- end }}
{{- end }}

{{/* In the namespace of the K8s store. */}}
{{- define "flyte-secrets.rules.store" -}}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
{{- if $features.store }}
{{- include "flyte-secrets.secretRule" (list . ($features.watch | ternary (list "get" "list" "watch") (list "get")) "") }}
{{- end }}
{{- end }}

{{/* In the namespaces of pods. */}}
{{- define "flyte-secrets.rules.pods" -}}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
{{- if or $features.mirrors $features.pullSecrets }}
# Values come by reference to Secrets that are written before the pod is admitted.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update]
{{- else if $features.checkExists }}
# webhook.k8s.checkExists
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- if $features.events }}
# Events on the controller of a pod that is refused, when that is what it says it is.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- range .Values.rbac.eventOwners }}
- apiGroups: {{ .apiGroups | toJson }}
  resources: {{ .resources | toJson }}
  verbs: [get]
{{- end }}
{{- end }}
{{- end }}

{{/* Of the whole cluster, whatever the namespaces. */}}
{{- define "flyte-secrets.rules.cluster" -}}
{{- $features := include "flyte-secrets.features" . | fromYaml }}
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [{{ include "flyte-secrets.serviceName" . }}]
  verbs: {{ $features.registers | ternary "[get, watch, patch]" "[get]" }}
{{- if and $features.registers .Values.rbac.recreate }}
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  verbs: [create]
{{- end }}
{{- if $features.mirrors }}
# Mirrors that no pod needs any more are found and removed.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if $features.tokenReview }}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}
{{- end }}
