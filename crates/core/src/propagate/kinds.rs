//! The kinds whose pods are made by a controller, and where those pods get their labels and annotations.
//!
//! What counts is what the controller does, so each row names the function of the controller that copies them.

use std::fmt;

use serde_json::Value;

use super::path::{NotAnObject, Path, PathError};

/// How pods are described at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As a whole, with `metadata` and `spec` as in a `PodTemplateSpec` (Kubernetes' `core/v1`): `inject` serves it.
    Template,
    /// With `metadata`, but only a part of the pod's `spec` stands there; the webhook serves the pod when it is made.
    PartOfTemplate,
    /// As `labels` and `annotations` only; the webhook serves the pod when it is made.
    Metadata,
}

impl Shape {
    /// The JSON pointer from the place to what holds labels and annotations.
    pub(super) fn metadata(self) -> &'static str {
        if self == Self::Metadata { "" } else { "/metadata" }
    }
}

/// A place in objects of a kind where pods get labels and annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub(super) path: &'a str,
    pub(super) shape: Shape,
    /// Whether the last member is made where it is missing.
    made: bool,
}

impl<'a> Place<'a> {
    /// A pod template. It must be there.
    ///
    /// # Errors
    /// If the text is no path.
    pub fn template(path: &'a str) -> Result<Self, PathError> {
        path.parse::<Path>()?;
        Ok(Self { path, shape: Shape::Template, made: false })
    }

    /// An object that holds `labels` and `annotations`. It is made where it alone is missing.
    ///
    /// # Errors
    /// If the text is no path.
    pub fn metadata(path: &'a str) -> Result<Self, PathError> {
        path.parse::<Path>()?;
        Ok(Self { path, shape: Shape::Metadata, made: true })
    }

    /// How pods are described there.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The way there.
    pub(super) fn path(&self) -> Path {
        self.path.parse().expect("it was read when the place was made; a test reads those of the table")
    }

    /// The places of an object, as JSON pointers; missing ones are made where that is meant and there is `need`.
    pub(super) fn make(&self, object: &mut Value, need: bool) -> Result<Vec<String>, NotAnObject> {
        let mut pointers = Vec::new();
        for found in self.path().find(object)? {
            if need && found.can_be_made(self.made) {
                pointers.extend(found.make(object));
            } else {
                pointers.extend(found.complete());
            }
        }
        Ok(pointers)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "the object itself" } else { self.path })
    }
}

/// A row of [`KINDS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The group of `apiVersion`. Paths are the same in all its versions.
    pub group: &'static str,
    /// The `kind`.
    pub kind: &'static str,
    /// A member of `spec` without which the row is not meant: the API has changed within a version.
    pub only_with: Option<&'static str>,
    /// Where its pods get labels and annotations.
    pub places: &'static [Place<'static>],
    /// What in the controller copies them from there to the pods.
    pub source: &'static str,
}

impl Kind {
    /// The row of an object.
    #[must_use]
    pub fn of(object: &Value) -> Option<&'static Self> {
        let text = |member: &str| object.get(member).and_then(Value::as_str).unwrap_or_default();
        let (kind, group) = (text("kind"), text("apiVersion").rsplit_once('/').map_or("", |(group, _)| group));
        let has =
            |member: &str| object.get("spec").is_some_and(|spec| !spec.get(member).unwrap_or(&Value::Null).is_null());
        KINDS.iter().find(|row| row.kind == kind && row.is_of(group) && row.only_with.is_none_or(has))
    }

    /// Kubernetes' own groups have no dot, those of custom resources must have one (the API server sees to it), and
    /// workloads have moved between the former: Deployments were in `extensions`. Without a group it is one of them.
    fn is_of(&self, group: &str) -> bool {
        self.group == group || !(self.group.contains('.') || group.contains('.'))
    }

    /// Whether `inject` serves its pods: if not, they do not stand in the object as a whole.
    #[must_use]
    pub fn holds_templates(&self) -> bool {
        self.places.iter().any(|place| place.shape == Shape::Template)
    }
}

const fn place(path: &'static str, shape: Shape, made: bool) -> Place<'static> {
    Place { path, shape, made }
}

/// A whole pod template, if it is there.
const fn template(path: &'static str) -> Place<'static> {
    place(path, Shape::Template, false)
}

/// A part of a pod template, if it is there.
const fn part(path: &'static str) -> Place<'static> {
    place(path, Shape::PartOfTemplate, false)
}

/// Labels and annotations beside other things, if these are there.
const fn metadata(path: &'static str) -> Place<'static> {
    place(path, Shape::Metadata, false)
}

const fn row(group: &'static str, kind: &'static str, places: &'static [Place<'static>], source: &'static str) -> Kind {
    Kind { group, kind, only_with: None, places, source }
}

const TEMPLATE: &[Place<'static>] = &[template("spec.template")];
const ARGO: &[Place<'static>] = &[
    place("spec.podMetadata", Shape::Metadata, true),
    // What a template says itself wins.
    metadata("spec.templates[].metadata"),
    metadata("spec.templateDefaults.metadata"),
];
const TRAINING_RUNTIME: &[Place<'static>] = &[template("spec.template.spec.replicatedJobs[].template.spec.template")];

const KUBERNETES: &str = "kubernetes pkg/controller/controller_utils.go: GetPodFromTemplate";
const SPARK: &str =
    "spark-operator internal/controller/sparkapplication/submission.go: driverConfOption, executorConfOption";
const TRAINING: &str = "training-operator pkg/controller.v1/common/pod.go: createNewPod";
const RAY: &str =
    "kuberay ray-operator/controllers/ray/common/pod.go: DefaultHeadPodTemplate, DefaultWorkerPodTemplate";
const DASK: &str = "dask-kubernetes dask_kubernetes/operator/controller/controller.py: daskcluster_create_components, daskjob_create_components";
const ARGO_SOURCE: &str = "argo-workflows workflow/controller/workflowpod.go: addMetadata";
const KNATIVE: &str = "serving pkg/reconciler/revision/resources/meta.go: makeLabels, podAnnotations";
const VOLCANO: &str = "volcano pkg/controllers/job/job_controller_util.go: createJobPod";
const TRAINER: &str = "trainer pkg/runtime/framework/plugins/jobset/builder.go; jobset pkg/controllers/jobset_controller.go: constructJob";

/// All known kinds. Those that Kueue manages are among them: it adds a queue's name to the object and leaves the pods'
/// metadata alone.
pub static KINDS: &[Kind] = &[
    row("", "Pod", &[template("")], "it is the pod"),
    row("", "PodTemplate", &[template("template")], "the one that Flyte's propeller completes for its task pods"),
    row("", "ReplicationController", TEMPLATE, KUBERNETES),
    row("apps", "Deployment", TEMPLATE, KUBERNETES),
    row("apps", "ReplicaSet", TEMPLATE, KUBERNETES),
    row("apps", "StatefulSet", TEMPLATE, KUBERNETES),
    row("apps", "DaemonSet", TEMPLATE, KUBERNETES),
    row("batch", "Job", TEMPLATE, KUBERNETES),
    row("batch", "CronJob", &[template("spec.jobTemplate.spec.template")], KUBERNETES),
    row(
        "sparkoperator.k8s.io",
        "SparkApplication",
        &[
            metadata("spec.driver"),
            metadata("spec.executor"),
            // What these say is added.
            part("spec.driver.template"),
            part("spec.executor.template"),
        ],
        SPARK,
    ),
    row(
        "sparkoperator.k8s.io",
        "ScheduledSparkApplication",
        &[
            metadata("spec.template.driver"),
            metadata("spec.template.executor"),
            part("spec.template.driver.template"),
            part("spec.template.executor.template"),
        ],
        SPARK,
    ),
    row("kubeflow.org", "PyTorchJob", &[template("spec.pytorchReplicaSpecs.*.template")], TRAINING),
    row("kubeflow.org", "TFJob", &[template("spec.tfReplicaSpecs.*.template")], TRAINING),
    row(
        "kubeflow.org",
        "MPIJob",
        &[template("spec.mpiReplicaSpecs.*.template")],
        "training-operator pkg/controller.v1/mpi/mpijob_controller.go: newWorker, newLauncher",
    ),
    row("kubeflow.org", "XGBoostJob", &[template("spec.xgbReplicaSpecs.*.template")], TRAINING),
    row("kubeflow.org", "PaddleJob", &[template("spec.paddleReplicaSpecs.*.template")], TRAINING),
    row("kubeflow.org", "JAXJob", &[template("spec.jaxReplicaSpecs.*.template")], TRAINING),
    Kind {
        group: "trainer.kubeflow.org",
        kind: "TrainJob",
        // Trainer 2.0 and 2.1; the pods of the jobs that an override names.
        only_with: Some("podTemplateOverrides"),
        places: &[part("spec.podTemplateOverrides[]")],
        source: "trainer pkg/runtime/core/trainingruntime.go: mergePodTemplateOverrides (2.1)",
    },
    row(
        "trainer.kubeflow.org",
        "TrainJob",
        // The pods of the job `node`, which all runtimes of the trainer have.
        &[part(
            "spec.runtimePatches[manager=flyte.org/secrets].trainingRuntimeSpec.template.spec.replicatedJobs[name=node].template.spec.template",
        )],
        "trainer pkg/runtime/core/trainingruntime.go: mergeRuntimePatches (2.2)",
    ),
    row("trainer.kubeflow.org", "TrainingRuntime", TRAINING_RUNTIME, TRAINER),
    row("trainer.kubeflow.org", "ClusterTrainingRuntime", TRAINING_RUNTIME, TRAINER),
    row(
        "ray.io",
        "RayCluster",
        &[template("spec.headGroupSpec.template"), template("spec.workerGroupSpecs[].template")],
        RAY,
    ),
    row(
        "ray.io",
        "RayJob",
        &[
            template("spec.rayClusterSpec.headGroupSpec.template"),
            template("spec.rayClusterSpec.workerGroupSpecs[].template"),
            template("spec.submitterPodTemplate"),
        ],
        "as RayCluster; kuberay ray-operator/controllers/ray/rayjob_controller.go: getSubmitterTemplate",
    ),
    row(
        "ray.io",
        "RayService",
        &[
            template("spec.rayClusterConfig.headGroupSpec.template"),
            template("spec.rayClusterConfig.workerGroupSpecs[].template"),
        ],
        RAY,
    ),
    row("kubernetes.dask.org", "DaskCluster", &[template("spec.scheduler"), template("spec.worker")], DASK),
    row("kubernetes.dask.org", "DaskWorkerGroup", &[template("spec.worker")], DASK),
    row(
        "kubernetes.dask.org",
        "DaskJob",
        &[template("spec.job"), template("spec.cluster.spec.scheduler"), template("spec.cluster.spec.worker")],
        DASK,
    ),
    row(
        "flink.apache.org",
        "FlinkDeployment",
        &[
            place("spec.podTemplate", Shape::PartOfTemplate, true),
            // What these say wins.
            part("spec.jobManager.podTemplate"),
            part("spec.taskManager.podTemplate"),
        ],
        "flink-kubernetes-operator FlinkConfigBuilder.java: applyPodTemplate",
    ),
    row(
        "jobset.x-k8s.io",
        "JobSet",
        &[template("spec.replicatedJobs[].template.spec.template")],
        "jobset pkg/controllers/jobset_controller.go: constructJob",
    ),
    row(
        "leaderworkerset.x-k8s.io",
        "LeaderWorkerSet",
        &[template("spec.leaderWorkerTemplate.leaderTemplate"), template("spec.leaderWorkerTemplate.workerTemplate")],
        "lws pkg/controllers/leaderworkerset_controller.go, pod_controller.go: construct…StatefulSetApplyConfiguration",
    ),
    row("batch.volcano.sh", "Job", &[template("spec.tasks[].template")], VOLCANO),
    row("flow.volcano.sh", "JobTemplate", &[template("spec.tasks[].template")], VOLCANO),
    row("argoproj.io", "Workflow", ARGO, ARGO_SOURCE),
    row("argoproj.io", "WorkflowTemplate", ARGO, ARGO_SOURCE),
    row("argoproj.io", "ClusterWorkflowTemplate", ARGO, ARGO_SOURCE),
    row(
        "argoproj.io",
        "CronWorkflow",
        &[
            place("spec.workflowSpec.podMetadata", Shape::Metadata, true),
            metadata("spec.workflowSpec.templates[].metadata"),
            metadata("spec.workflowSpec.templateDefaults.metadata"),
        ],
        ARGO_SOURCE,
    ),
    row("serving.knative.dev", "Service", TEMPLATE, KNATIVE),
    row("serving.knative.dev", "Configuration", TEMPLATE, KNATIVE),
];

/// Groups of Kubernetes' own API that have a dot; none of their kinds makes pods.
const OWN_GROUPS: [&str; 7] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether an object is of Kubernetes' own API and none of [`KINDS`]: no controller makes pods of it. What is no
/// object at all makes none either.
#[must_use]
pub fn makes_no_pods(object: &Value) -> bool {
    let group = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let group = group.rsplit_once('/').map_or("", |(group, _)| group);
    let own = !group.contains('.') || OWN_GROUPS.contains(&group);
    !object.is_object() || (own && Kind::of(object).is_none())
}
