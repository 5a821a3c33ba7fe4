use crate::harness::*;
use serde_json::Value;
#[tokio::test]
async fn scratch_golden() {
    let ns = bed().namespace("scratch").await;
    let v: Value = serde_json::from_str(&std::fs::read_to_string("/work/shared/vectors/public.json").unwrap()).unwrap();
    let t = std::time::Instant::now();
    let mut n = 0;
    for case in v["cases"].as_array().unwrap() {
        if !crate::golden_pods::concerns_the_cluster(case) {
            continue;
        }
        n += 1;
        let e = if case["expect"]["admission"] == "patched" { &case["expect"]["pod"] } else { &case["pod"] };
        if let Err(f) = ns.create_pod(&crate::golden_pods::prepared(case, e)).await {
            println!("{} {}", case["name"], &f.message);
        }
    }
    println!("{n} {:?}", t.elapsed());
}
#[tokio::test]
async fn scratch_adder() {
    let ns = bed().namespace("adder").await;
    crate::reinvocation::adder(&ns).await;
    let t = std::time::Instant::now();
    eventually("x", 10, || async {
        let p = ns.try_pod(&task_pod("t", &[])).await.map_err(|e| e.message)?;
        if p["spec"]["containers"].as_array().unwrap().len() == 2 && p["spec"]["initContainers"].is_array() {
            Ok(())
        } else {
            Err(p.to_string())
        }
    })
    .await;
    println!("adder {:?}", t.elapsed());
}
#[tokio::test(flavor = "multi_thread")]
async fn scratch_halved() {
    let a = certs::Authority::new("x");
    let leaf = a.leaf(&["127.0.0.1"], 2040);
    let tls = axum_server::tls_rustls::RustlsConfig::from_pem(leaf.certificate.into(), leaf.key.into()).await.unwrap();
    let port = webhook::free_port();
    let router = axum::Router::new().route(review::PATH, axum::routing::post(|b: String| async move { b }));
    tokio::spawn(
        axum_server::bind_rustls(std::net::SocketAddr::from(([127, 0, 0, 1], port)), tls)
            .serve(router.into_make_service()),
    );
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let body = review::review("ns", &task_pod("t", &[]));
    let api = Api::of_server(&format!("https://127.0.0.1:{port}"), &a.pem);
    println!("{:?}", api.create(review::PATH, &body).await.unwrap() == body);
    let pem = a.pem.clone();
    let out =
        tokio::task::spawn_blocking(move || review::Halved::begin(port, &pem, &body).finish().unwrap()).await.unwrap();
    println!("{}", &out[..200]);
}
#[tokio::test]
async fn scratch_objects() {
    let ns = bed().namespace("plain").await;
    let t = ns.create_pod(&crate::pods::pod_with_everything()).await;
    println!("{:?}", t.map(|p| p["spec"].clone()));
    let c = crate::registration::by_flyte(&ns).await;
    println!(
        "{:?}",
        ns.api
            .create(
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?fieldManager=Go-http-client",
                &c
            )
            .await
            .map(|_| ())
    );
}
