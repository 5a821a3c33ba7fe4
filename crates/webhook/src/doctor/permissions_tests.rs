use super::super::test_installation::{ids, installation, options};
use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

async fn judged(server: &FakeApiServer, installation: &Installation, options: &Options) -> Vec<Finding> {
    let whose = whose(installation, options);
    judge(&ask(&Reader::new(server.client()), installation, options).await, &whose, options)
}

#[tokio::test]
async fn all_that_is_switched_on_is_allowed() {
    let findings = judged(&FakeApiServer::default(), &installation(), &options(true)).await;
    assert_eq!(ids(&findings), [(Id::PermissionsComplete, Level::Ok)]);
    for feature in ["register the webhook", "elect a leader", "collect mirrors"] {
        assert!(findings[0].what.contains(feature), "{}", findings[0].what);
    }
}

#[tokio::test]
async fn a_missing_verb_is_said_with_what_follows_and_with_the_rule() {
    let server = FakeApiServer::default();
    server.cluster().forbidden.insert("patch mutatingwebhookconfigurations");
    let findings = judged(&server, &installation(), &options(true)).await;
    assert_eq!(ids(&findings), [(Id::PermissionsMissing, Level::Error)]);
    let rule = "ClusterRole of the webhook's ServiceAccount: {apiGroups: [\"admissionregistration.k8s.io\"], resources: \
                [\"mutatingwebhookconfigurations\"], resourceNames: [\"hook\"], verbs: [\"patch\"]}";
    assert!(findings[0].remedy.contains(rule), "{}", findings[0].remedy);
    assert!(findings[0].what.contains("register the webhook"), "{}", findings[0].what);
}

#[tokio::test]
async fn objects_that_others_make_need_not_be_made_anew() {
    let server = FakeApiServer::default();
    server.cluster().forbidden.extend(["create mutatingwebhookconfigurations", "create leases"]);
    let findings = judged(&server, &installation(), &options(true)).await;
    assert_eq!(ids(&findings), [(Id::PermissionsMissing, Level::Info); 2]);
}

#[tokio::test]
async fn without_list_and_delete_only_collecting_is_missing_and_that_is_a_warning() {
    let server = FakeApiServer::default();
    server.cluster().forbidden.extend(["list", "delete"]);
    let findings = judged(&server, &installation(), &options(true)).await;
    assert_eq!(ids(&findings), [(Id::PermissionsMissing, Level::Warning)]);
    assert!(findings[0].what.contains("collect mirrors"), "{}", findings[0].what);
}

#[tokio::test]
async fn on_a_laptop_it_is_said_whose_permissions_these_are() {
    let findings = judged(&FakeApiServer::default(), &installation(), &options(false)).await;
    assert_eq!(ids(&findings), [(Id::PermissionsComplete, Level::Ok), (Id::PermissionsOwn, Level::Info)]);
    assert!(findings[1].remedy.contains("--service-account"));
}

#[test]
fn what_is_allowed_in_the_tried_namespace_alone_is_no_error() {
    let feature = features(&installation()).into_iter().find(|feature| feature.name == "keep mirrors").unwrap();
    let missing = feature.needs.clone();
    let asked = |there| [Asked { feature: feature.clone(), missing: Ok(missing.clone()), there }];
    assert_eq!(ids(&judge(&asked(false), &Whose::Own, &options(true))), [(Id::PermissionsMissing, Level::Error)]);
    assert_eq!(ids(&judge(&asked(true), &Whose::Own, &options(true))), [(Id::PermissionsMissing, Level::Info)]);
}

#[test]
fn a_feature_is_asked_for_only_where_it_is_switched_on() {
    let names = |installation: &Installation| -> Vec<&str> {
        features(installation).into_iter().map(|feature| feature.name).collect()
    };
    let mut one = installation();
    (one.registers, one.makes_certificate, one.leases) = (false, false, Vec::new());
    one.settings.delivery = Delivery::PodSpec;
    assert_eq!(names(&one), Vec::<&str>::new());

    one.settings.embedded.image_pull_secrets = true;
    (one.store_namespace, one.watches_store, one.reviews_tokens) = (Some("store".to_owned()), true, true);
    assert_eq!(names(&one), ["copy image-pull Secrets", "read the K8s store", "watch the K8s store", "review tokens"]);

    one.makes_certificate = true;
    assert!(names(&one).contains(&"make a certificate where there is none"));
    one.authority_secret = Some(("keys".to_owned(), "hook-ca".to_owned()));
    let features = features(&one);
    let shared = features.iter().find(|feature| feature.name == "share a CA between replicas").unwrap();
    assert_eq!(shared.needs[0].0, core("secrets", Some("keys"), "hook-ca"));
    assert!(!features.iter().any(|feature| feature.name.starts_with("make a certificate")));
}
