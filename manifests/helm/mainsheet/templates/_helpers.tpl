{{/* Labels of every object of the chart. */}}
{{- define "mainsheet.labels" -}}
{{ include "mainsheet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: control-plane
app.kubernetes.io/part-of: mainsheet
app.kubernetes.io/managed-by: {{ .Values.managedBy | default .Release.Service }}
{{- end }}

{{/* What tells the pods of this release from all others; never changes, since selectors cannot. */}}
{{- define "mainsheet.selector" -}}
app.kubernetes.io/name: mainsheet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Names of objects that no namespace holds: two releases must not meet. */}}
{{- define "mainsheet.clusterName" -}}
mainsheet-{{ .Release.Namespace }}
{{- end }}

{{- define "mainsheet.image" -}}
{{ .Values.image.repository }}
{{- with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
