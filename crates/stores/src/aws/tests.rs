#![allow(clippy::unwrap_used)]

use super::*;

fn id(name: &str) -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: name.to_owned(),
    }
}

fn store(region: Option<&str>, endpoint: Option<&str>) -> Result<AwsStore, AwsSettingsError> {
    let (region, endpoint) = (region.map(str::to_owned), endpoint.map(str::to_owned));
    let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    AwsStore::with_config(&sdk, AwsSettings { region, endpoint, batch: false, ..AwsSettings::default() })
}

#[test]
fn the_name_of_a_secret_is_the_encoded_id() {
    let name = secret_name(&id("a/b_c+d=e.f@g-h")).unwrap();
    assert_eq!(name, "u__org__flyte__domain__development__project__flytesnacks__key__a/b_c+d=e.f@g-h");
    // Behind `-` and six characters AWS expects an ARN only where the name begins with `arn:`.
    secret_name(&id("my-AbCdEf")).unwrap();
}

#[test]
fn an_id_that_no_secret_can_have_is_not_found() {
    for name in ["a b", "a?b", "a#b", "a%2fb", "ä", "a:b", "a\\b", "a\nb", &"x".repeat(512)] {
        let error = secret_name(&id(name)).unwrap_err();
        assert_eq!(error.class(), FailureClass::NotFound, "{name}");
        assert!(error.detail().contains("was not asked"), "{error}");
    }
}

#[test]
fn without_a_region_there_is_no_store() {
    for region in [None, Some("")] {
        assert_eq!(store(region, None).unwrap_err(), AwsSettingsError::NoRegion);
    }
}

#[test]
fn a_region_that_could_change_the_host_is_refused() {
    for region in ["evil.example/", "eu-central-1.evil", "EU", "a b", "-a", "a-", &"a".repeat(64)] {
        assert_eq!(store(Some(region), None).unwrap_err(), AwsSettingsError::InvalidRegion(region.to_owned()));
    }
    store(Some("us-gov-east-1"), None).unwrap();
}

#[test]
fn an_endpoint_that_is_no_server_is_refused() {
    let error = store(Some("eu-central-1"), Some("localhost:5000")).unwrap_err();
    assert_eq!(error, AwsSettingsError::Endpoint(InvalidEndpoint::NotAUrl));
}
