//! Deployments, Jobs and their pods.

use serde_json::Value;

use crate::harness::{Api, Namespace, eventually};

/// The pods of a namespace that have these labels (`a=b,c=d`), without those that are on their way out.
pub(crate) async fn pods(namespace: &Namespace, labels: &str) -> Vec<Value> {
    let path = format!("{}?labelSelector={}", namespace.path("pods"), labels.replace('=', "%3D").replace(',', "%2C"));
    let list = namespace.api.get(&path).await.unwrap();
    let all = list["items"].as_array().unwrap().iter();
    all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect()
}

/// Waits until a Deployment has exactly its replicas, all of them new and ready.
pub(crate) async fn rolled_out(namespace: &Namespace, name: &str) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/{name}", namespace.name);
    eventually(&format!("the rollout of {name}"), 90, || async {
        let deployment = namespace.api.get(&path).await.map_err(|failure| failure.message)?;
        let status = &deployment["status"];
        let wanted = deployment["spec"]["replicas"].as_u64();
        let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
        let seen = status["observedGeneration"] == deployment["metadata"]["generation"];
        if seen && counts.iter().all(|count| status[*count].as_u64() == wanted) {
            return Ok(());
        }
        Err(format!("{status}\n{}", why_not(&namespace.api, &namespace.name).await))
    })
    .await;
}

/// Waits until a Job has succeeded; gives the name of its pod.
pub(crate) async fn completed(namespace: &Namespace, name: &str) -> String {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/{name}", namespace.name);
    eventually(&format!("the end of the Job {name}"), 90, || async {
        let job = namespace.api.get(&path).await.map_err(|failure| failure.message)?;
        if job["status"]["succeeded"] == 1 {
            return Ok(());
        }
        Err(format!("{}\n{}", job["status"], why_not(&namespace.api, &namespace.name).await))
    })
    .await;
    let pods = pods(namespace, &format!("batch.kubernetes.io/job-name={name}")).await;
    pods[0]["metadata"]["name"].as_str().unwrap().to_owned()
}

/// What the pods of a namespace wait for, the ends of their logs, and what their controllers say.
async fn why_not(api: &Api, namespace: &str) -> String {
    let path = format!("/api/v1/namespaces/{namespace}");
    let mut told = Vec::new();
    if let Ok(list) = api.get(&format!("{path}/pods")).await {
        for pod in list["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let log = api.text(&format!("{path}/pods/{name}/log?tailLines=5")).await;
            let state = |kind: &str| pod["status"][kind].to_string();
            let states = [state("initContainerStatuses"), state("containerStatuses"), state("conditions")];
            told.push(format!("{name}: {}\n{}", states.join(" "), log.unwrap_or_else(|failure| failure.message)));
        }
    }
    if let Ok(events) = api.get(&format!("{path}/events")).await {
        let all = events["items"].as_array().into_iter().flatten().filter(|event| event["type"] == "Warning");
        told.extend(all.map(|event| event["message"].to_string()));
    }
    told.join("\n")
}

/// What a pod has written until now.
pub(crate) async fn log(namespace: &Namespace, pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str().unwrap();
    namespace.api.text(&format!("{}/{name}/log", namespace.path("pods"))).await.unwrap()
}

/// A page of the plain port of a pod, `/metrics` for example; this machine reaches pods by their addresses.
pub(crate) async fn page(pod: &Value, path: &str) -> String {
    try_page(pod, path).await.unwrap()
}

/// As [`page`]; why there is none.
pub(crate) async fn try_page(pod: &Value, path: &str) -> Result<String, String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = pod["status"]["podIP"].as_str().ok_or("no address yet")?;
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect((address, 10254)).await?;
        let head = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer = ask.await.map_err(|error: std::io::Error| format!("{address}: {error}"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(format!("{path}: {answer}")),
    }
}

/// The sum of all samples of a metric in such a page, whatever its prefix and labels.
pub(crate) fn metric(page: &str, name: &str) -> f64 {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let of_name = samples.filter(|line| line.split(['{', ' ']).next().is_some_and(|full| full.ends_with(name)));
    of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// The sample of a metric, whatever its prefix, that has this label, `certificate="ca"` for example.
pub(crate) fn labelled(page: &str, name: &str, label: &str) -> Option<f64> {
    let mut samples = page.lines().filter(|line| !line.starts_with('#'));
    let sample = samples.find(|line| {
        let full = line.split(['{', ' ']).next().unwrap_or_default();
        full.ends_with(name) && line.contains(label)
    });
    sample?.rsplit(' ').next()?.parse().ok()
}
