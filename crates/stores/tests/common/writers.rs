//! What every store does that secrets are written to, whichever it is.

use std::time::{Duration, SystemTime};

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::{
    FailureClass, NewSecret, PageRequest, SecretFetcher, SecretKind, SecretWriter, WriteError, WriteFailure,
};
use futures::future::join_all;

use super::id;

/// A docker configuration that pulls images.
pub const DOCKER: &str = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;

/// Names that mean something else elsewhere.
pub const ODD_NAMES: [&str; 16] = [
    "..",
    "../../x",
    "a/b",
    "/a",
    "%2f",
    "a%2e%2e",
    "a__b",
    "__",
    "_a_",
    "a__key__b",
    "project__q",
    "ü€",
    "a b",
    "a\nb",
    "a?b=c#d",
    "my-AbCdEf",
];

pub fn text(name: &str, value: &str) -> NewSecret {
    NewSecret { id: id(name), value: SecretValue::text(value.to_owned()), kind: SecretKind::Generic }
}

pub fn pull(name: &str, value: &str) -> NewSecret {
    NewSecret { kind: SecretKind::ImagePull, ..text(name, value) }
}

pub fn failure<T>(answer: Result<T, WriteError>) -> Option<WriteFailure> {
    answer.err().map(|error| error.failure())
}

/// The value that a task would get.
pub async fn read(fetcher: &dyn SecretFetcher, name: &str) -> Result<String, FailureClass> {
    let value = fetcher.get(&id(name)).await.map_err(|error| error.class())?;
    Ok(value.expose_text().unwrap().to_owned())
}

/// Everything in a scope, by pages of this many.
pub async fn list(writer: &dyn SecretWriter, scope: &SecretId, limit: usize) -> Vec<SecretId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = writer.list(scope, PageRequest { after, limit }).await.unwrap();
        assert!(page.secrets.len() <= limit);
        all.extend(page.secrets.into_iter().map(|secret| secret.id));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// A secret from its first value to its end, and once more.
pub async fn a_secret_is_made_read_changed_and_gone(writer: &dyn SecretWriter, fetcher: &dyn SecretFetcher) {
    let k = id("k");
    for round in 0..2 {
        for answer in [
            failure(writer.describe(&k).await),
            failure(writer.update(&text("k", "v")).await),
            failure(writer.delete(&k).await),
        ] {
            assert_eq!(answer, Some(WriteFailure::NotFound), "{round}");
        }
        assert_eq!(read(fetcher, "k").await, Err(FailureClass::NotFound));
        writer.create(&text("k", "wört\n")).await.unwrap();
        assert_eq!(read(fetcher, "k").await.unwrap(), "wört\n");
        assert_eq!(failure(writer.create(&text("k", "other")).await), Some(WriteFailure::AlreadyExists));
        assert_eq!(read(fetcher, "k").await.unwrap(), "wört\n");
        let known = writer.describe(&k).await.unwrap();
        assert_eq!((&known.id, known.kind), (&k, SecretKind::Generic));
        let age = SystemTime::now().duration_since(known.created.unwrap()).unwrap_or_default();
        assert!(age < Duration::from_secs(60), "{age:?}");
        writer.update(&text("k", "new")).await.unwrap();
        assert_eq!(read(fetcher, "k").await.unwrap(), "new");
        assert_eq!(writer.describe(&k).await.unwrap(), known);
        assert_eq!(list(writer, &id(""), 10).await, std::slice::from_ref(&k));
        writer.delete(&k).await.unwrap();
        assert_eq!(list(writer, &id(""), 10).await, []);
    }
    let bytes = NewSecret { value: SecretValue::binary(b"\xff\x00\xff".to_vec()), ..text("bytes", "") };
    writer.create(&bytes).await.unwrap();
    assert_eq!(fetcher.get(&bytes.id).await.unwrap().expose_bytes(), b"\xff\x00\xff");
}

/// Secrets for pulling images are told from others, and hold nothing else.
pub async fn image_pull_secrets_are_docker_configurations(writer: &dyn SecretWriter, fetcher: &dyn SecretFetcher) {
    let invalid = Some(WriteFailure::Invalid);
    assert_eq!(failure(writer.create(&pull("p", "no JSON")).await), invalid);
    assert_eq!(failure(writer.describe(&id("p")).await), Some(WriteFailure::NotFound));
    writer.create(&pull("p", DOCKER)).await.unwrap();
    writer.create(&text("g", "v")).await.unwrap();
    assert_eq!(writer.describe(&id("p")).await.unwrap().kind, SecretKind::ImagePull);
    assert_eq!(failure(writer.update(&text("p", "no JSON")).await), invalid);
    assert_eq!(failure(writer.update(&pull("g", DOCKER)).await), invalid);
    assert_eq!(read(fetcher, "p").await.unwrap(), DOCKER);
    let newer = DOCKER.replace("dTpw", "dTpx");
    for secret in [pull("p", &newer), text("p", &newer)] {
        writer.update(&secret).await.unwrap();
        assert_eq!(writer.describe(&id("p")).await.unwrap().kind, SecretKind::ImagePull);
    }
    assert_eq!(read(fetcher, "p").await.unwrap(), newer);
    let page = writer.list(&id(""), PageRequest { after: None, limit: 10 }).await.unwrap();
    let kinds: Vec<_> = page.secrets.iter().map(|secret| (secret.id.name.as_str(), secret.kind)).collect();
    assert_eq!(kinds, [("g", SecretKind::Generic), ("p", SecretKind::ImagePull)]);
}

/// Every name is refused or kept exactly; gives those that were kept.
pub async fn names_are_refused_or_kept_exactly(
    writer: &dyn SecretWriter,
    fetcher: &dyn SecretFetcher,
) -> Vec<&'static str> {
    let mut kept = Vec::new();
    for name in ODD_NAMES {
        if writer.check(&id(name)).is_err() {
            assert_eq!(failure(writer.create(&text(name, name)).await), Some(WriteFailure::Invalid), "{name}");
        } else {
            writer.create(&text(name, name)).await.unwrap();
            kept.push(name);
        }
    }
    for name in &kept {
        assert_eq!(read(fetcher, name).await.unwrap(), *name);
        assert_eq!(writer.describe(&id(name)).await.unwrap().id, id(name));
    }
    let mut listed: Vec<_> = list(writer, &id(""), 3).await.into_iter().map(|id| id.name).collect();
    let mut expected = kept.clone();
    listed.sort();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for name in &kept {
        writer.delete(&id(name)).await.unwrap();
    }
    assert_eq!(list(writer, &id(""), 3).await, []);
    kept
}

/// What no store takes, whatever its alphabet, nor values that are empty or too long; nothing is asked.
pub async fn what_is_ambiguous_or_does_not_fit_is_refused(writer: &dyn SecretWriter, longest_value: usize) {
    what_is_ambiguous_or_too_long_is_refused(writer).await;
    for value in [String::new(), "x".repeat(longest_value + 1)] {
        assert_eq!(failure(writer.create(&text("k", &value)).await), Some(WriteFailure::Invalid));
        assert_eq!(failure(writer.update(&text("k", &value)).await), Some(WriteFailure::Invalid));
    }
}

/// Ids that no store takes.
pub async fn what_is_ambiguous_or_too_long_is_refused(writer: &dyn SecretWriter) {
    let with = |domain: &str, project: &str, name: &str| SecretId {
        domain: domain.to_owned(),
        project: project.to_owned(),
        ..id(name)
    };
    for id in [
        with("d__e", "p", "k"),
        with("d", "p__key__a", "k"),
        with("d_", "p", "k"),
        with("", "p", "k"),
        with("d", "p", ""),
        with("d/../e", "p k", "k"),
        with("d", "p", &"x".repeat(600)),
    ] {
        assert_eq!(failure(writer.check(&id)), Some(WriteFailure::Invalid), "{id}");
        assert_eq!(failure(writer.describe(&id).await), Some(WriteFailure::Invalid), "{id}");
        assert_eq!(failure(writer.delete(&id).await), Some(WriteFailure::Invalid), "{id}");
        let secret = NewSecret { id, ..text("k", "v") };
        assert_eq!(failure(writer.create(&secret).await), Some(WriteFailure::Invalid));
        assert_eq!(failure(writer.update(&secret).await), Some(WriteFailure::Invalid));
    }
}

/// A list holds a scope and those within it, in order, whatever the size of its pages.
pub async fn lists_hold_a_scope_and_those_within(writer: &dyn SecretWriter) {
    let place = |domain: &str, project: &str, name: &str| SecretId {
        domain: domain.to_owned(),
        project: project.to_owned(),
        ..id(name)
    };
    let all = [
        place("", "", "org"),
        place("development", "", "domain"),
        place("development", "flytesnacks", "a"),
        place("development", "flytesnacks", "b"),
        place("development", "flytesnacks2", "other-project"),
        place("development2", "flytesnacks", "other-domain"),
    ];
    for id in &all {
        writer.create(&NewSecret { id: id.clone(), ..text("", "v") }).await.unwrap();
    }
    for (scope, expected) in [
        (place("", "", ""), &["org", "domain", "a", "b", "other-project", "other-domain"][..]),
        (place("development", "", ""), &["domain", "a", "b", "other-project"]),
        (place("development", "flytesnacks", ""), &["a", "b"]),
        (place("production", "", ""), &[]),
    ] {
        for limit in [1, 2, 100] {
            let listed = list(writer, &scope, limit).await;
            let mut names: Vec<_> = listed.iter().map(|id| id.name.as_str()).collect();
            assert!(listed.iter().map(ToString::to_string).is_sorted(), "{listed:?}");
            let mut expected = expected.to_vec();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected, "{scope} {limit}");
        }
    }
}

/// Of many who make one secret one succeeds, and it is its value that is there.
pub async fn one_of_many_creators_wins(writer: &dyn SecretWriter, fetcher: &dyn SecretFetcher, creators: usize) {
    let secrets: Vec<_> = (0..creators).map(|number| text("raced", &number.to_string())).collect();
    let answers = join_all(secrets.iter().map(|secret| writer.create(secret))).await;
    let winners: Vec<_> = (0..creators).filter(|number| answers[*number].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.failure(), WriteFailure::AlreadyExists, "{error}");
    }
    assert_eq!(read(fetcher, "raced").await.unwrap(), winners[0].to_string());
}

/// Gives a secret many values at once; all are confirmed.
pub async fn many_updates_at_once_are_confirmed(writer: &dyn SecretWriter, fetcher: &dyn SecretFetcher, count: usize) {
    writer.create(&text("changed", "first")).await.unwrap();
    let secrets: Vec<_> = (0..count).map(|number| text("changed", &number.to_string())).collect();
    for answer in join_all(secrets.iter().map(|secret| writer.update(secret))).await {
        answer.unwrap();
    }
    let last: usize = read(fetcher, "changed").await.unwrap().parse().unwrap();
    assert!(last < count);
}
