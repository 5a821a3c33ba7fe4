//! Jobs whose pods are refused: whoever asks why they do not start finds it at the Job.

use serde_json::{Value, json};

use crate::harness::{Namespace, eventually, request, task_pod};
use crate::support::kubectl::kubectl;
use crate::support::tasks::job;

/// A Job that is refused, and a word of the reason.
pub(super) struct Refused {
    pod: Value,
    word: &'static str,
}

/// What it asks for cannot be read.
pub(super) fn unreadable() -> Refused {
    Refused { pod: pod("unreadable", &["not a request".to_owned()]), word: "flyte.secrets/s0" }
}

/// It asks for a Kubernetes Secret that is not there.
pub(super) fn without_its_secret() -> Refused {
    let asked = request(&[("group", "absent"), ("key", "key"), ("mount_requirement", "ENV_VAR")]);
    Refused { pod: pod("without-its-secret", &[asked]), word: "absent" }
}

fn pod(name: &str, requests: &[String]) -> Value {
    let mut pod = task_pod(name, requests);
    pod["spec"]["restartPolicy"] = json!("Never");
    pod
}

/// Starts the Job, waits for the Event at it, and removes it.
pub(super) async fn has_an_event(tasks: &Namespace, refused: &Refused) {
    let job = job(&refused.pod);
    let made = tasks.api.create(&format!("/apis/batch/v1/namespaces/{}/jobs", tasks.name), &job).await.unwrap();
    let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", tasks.name);
    eventually("an Event at the Job", 20, || async {
        let list = tasks.api.get(&events).await.map_err(|failure| failure.message)?;
        let all = list["items"].as_array().into_iter().flatten();
        let ours = all.filter(|event| event["reportingController"] == "flyte.org/flyte-secrets");
        let mut at_the_job = ours.filter(|event| event["regarding"]["uid"] == made["metadata"]["uid"]);
        let event = at_the_job.next().ok_or_else(|| list.to_string())?;
        assert_eq!((&event["reason"], &event["type"]), (&json!("SecretsRefused"), &json!("Warning")), "{event}");
        assert!(event["note"].as_str().unwrap().contains(refused.word), "{event}");
        Ok(())
    })
    .await;
    let name = format!("job/{}", job["metadata"]["name"].as_str().unwrap());
    kubectl(&["delete", &name, "--namespace", &tasks.name, "--cascade=foreground"]).await.unwrap();
}
