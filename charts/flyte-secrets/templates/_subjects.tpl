{{- define "flyte-secrets.subjects" -}}
- kind: ServiceAccount
  name: {{ include "flyte-secrets.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
