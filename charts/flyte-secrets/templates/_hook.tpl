{{/* A Job at a certain moment of the release, with a ServiceAccount, rights and a configuration of its own, because those of
     the release are not there yet or no more. Nothing of it stays.
     (dict "root" $ "name" … "hook" … "command" (list …) "clusterRules" (list …) "roles" (list (dict "namespace" … "rules" …))) */}}
{{- define "flyte-secrets.hook" -}}
{{- $root := .root }}
{{- $name := printf "%s-%s" (include "flyte-secrets.fullname" $root) .name }}
{{- $clusterName := printf "%s-%s" (include "flyte-secrets.clusterName" $root) .name }}
{{- $before := dict "helm.sh/hook" .hook "helm.sh/hook-weight" "-5" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded,hook-failed" }}
{{- $job := dict "helm.sh/hook" .hook "helm.sh/hook-weight" "0" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
{{- $subject := dict "kind" "ServiceAccount" "name" $name "namespace" $root.Release.Namespace }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "flyte-secrets.metadata" (list $root $name $root.Release.Namespace $before) | nindent 2 }}
automountServiceAccountToken: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "flyte-secrets.metadata" (list $root $name $root.Release.Namespace $before) | nindent 2 }}
data:
  flyte-secrets.yaml: |
    {{- include "flyte-secrets.config" $root | nindent 4 }}
{{- if $root.Values.rbac.create }}
{{- with .clusterRules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  {{- include "flyte-secrets.metadata" (list $root $clusterName "" $before) | nindent 2 }}
rules:
  {{- toYaml . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  {{- include "flyte-secrets.metadata" (list $root $clusterName "" $before) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $clusterName }}}
subjects:
  - {{ toJson $subject }}
{{- end }}
{{- range .roles }}
{{- if .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "flyte-secrets.metadata" (list $root $clusterName .namespace $before) | nindent 2 }}
rules:
  {{- toYaml .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "flyte-secrets.metadata" (list $root $clusterName .namespace $before) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $clusterName }}}
subjects:
  - {{ toJson $subject }}
{{- end }}
{{- end }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "flyte-secrets.metadata" (list $root $name $root.Release.Namespace $job) | nindent 2 }}
spec:
  backoffLimit: 4
  activeDeadlineSeconds: 240
  template:
    {{- include "flyte-secrets.jobPod" (dict "root" $root "component" .name "command" .command "serviceAccount" $name "config" $name) | nindent 4 }}
{{- end }}
