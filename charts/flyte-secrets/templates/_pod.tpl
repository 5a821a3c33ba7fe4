{{/* What the Deployment's pods and those of the Jobs have in common. */}}

{{/* Fits Pod Security `restricted`; on OpenShift the constraints of the project give user and groups. */}}
{{- define "flyte-secrets.podSecurityContext" -}}
{{- $context := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- if not .Values.openshift }}
{{- $context = merge $context (dict "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532) }}
{{- end }}
{{- toYaml (mustMergeOverwrite $context (deepCopy .Values.podSecurityContext)) }}
{{- end }}

{{- define "flyte-secrets.securityContext" -}}
{{- $context := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
{{- toYaml (mustMergeOverwrite $context (deepCopy .Values.securityContext)) }}
{{- end }}

{{- define "flyte-secrets.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}

{{- define "flyte-secrets.configVolume" -}}
- name: config
  projected:
    sources:
      {{- range .Values.extraConfigMaps }}
      - configMap:
          name: {{ . }}
      {{- end }}
      - configMap:
          name: {{ include "flyte-secrets.fullname" . }}
{{- end }}

{{/* The pod of a Job that runs one command: (dict "root" $ "command" (list …) "serviceAccount" … "config" …). */}}
{{- define "flyte-secrets.jobPod" -}}
{{- with .root }}
metadata:
  labels:
    {{- include "flyte-secrets.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $.component }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ $.serviceAccount }}
  automountServiceAccountToken: true
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "flyte-secrets.podSecurityContext" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $.component }}
      image: {{ include "flyte-secrets.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- toYaml (concat $.command (list "--config" "/etc/flyte/config/*.yaml")) | nindent 8 }}
      env:
        {{- include "flyte-secrets.env" . | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- include "flyte-secrets.securityContext" . | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/flyte/config
          readOnly: true
  volumes:
    - name: config
      configMap:
        name: {{ $.config }}
{{- end }}
{{- end }}
