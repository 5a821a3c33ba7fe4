{{/* Names and labels. */}}

{{- define "flyte-secrets.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "flyte-secrets.fullname" -}}
{{- $name := include "flyte-secrets.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $full | trunc 46 | trimSuffix "-" }}
{{- end }}

{{- define "flyte-secrets.serviceName" -}}
{{- .Values.serviceName | default (include "flyte-secrets.fullname" .) }}
{{- end }}

{{- define "flyte-secrets.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "flyte-secrets.fullname" .) "default") }}
{{- end }}

{{/* The Secret with the certificate, where it is not the webhook's own affair. */}}
{{- define "flyte-secrets.certificateSecret" -}}
{{- .Values.certificates.files.secretName | default (include "flyte-secrets.serviceName" .) }}
{{- end }}

{{/* The names that the webhook gives to what its replicas share. */}}
{{- define "flyte-secrets.caSecretName" -}}
{{- dig "webhook" "certificates" "caSecretName" "" .Values.config | default (printf "%s-ca" (include "flyte-secrets.serviceName" .)) }}
{{- end }}

{{- define "flyte-secrets.caSecretNamespace" -}}
{{- .Values.certificates.caSecretNamespace | default .Release.Namespace }}
{{- end }}

{{- define "flyte-secrets.leaseName" -}}
{{- printf "%s-leader" (include "flyte-secrets.serviceName" .) }}
{{- end }}

{{/* Of objects of the cluster: two releases of one name in two namespaces do not meet. */}}
{{- define "flyte-secrets.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "flyte-secrets.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "flyte-secrets.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flyte-secrets.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the webhook's pods; a Job's pods have another component, so that no Service or budget counts them. */}}
{{- define "flyte-secrets.podSelector" -}}
{{ include "flyte-secrets.selectorLabels" . }}
app.kubernetes.io/component: webhook
{{- end }}

{{- define "flyte-secrets.labels" -}}
{{ include "flyte-secrets.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: flyte
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata: (list $ name namespace annotations labels), the last three may be missing or empty. */}}
{{- define "flyte-secrets.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
{{- with index . 2 }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "flyte-secrets.labels" $root | nindent 2 }}
  {{- if gt (len .) 4 }}
  {{- with index . 4 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- $annotations := dict }}
{{- if gt (len .) 3 }}
{{- $annotations = index . 3 | default dict }}
{{- end }}
{{- with merge (deepCopy $annotations) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flyte-secrets.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}
