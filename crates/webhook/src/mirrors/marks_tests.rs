use super::*;
use flyte_secrets_core::value::SecretValue;

fn source() -> MirrorSource {
    MirrorSource::Embedded { id: "u__org__o__domain__d__project__p__key__k".to_owned() }
}

fn fresh(value: &str) -> FreshValue {
    FreshValue { value: SecretValue::text(value.to_owned()), fetched: SystemTime::UNIX_EPOCH }
}

fn made(now: SystemTime) -> Wiped {
    mirror("a", &mirror_name("a", &source(), Form::File), &source(), &fresh("v"), now)
}

#[test]
fn a_mirror_says_what_it_is() {
    let now = SystemTime::UNIX_EPOCH + Duration::new(86_400, 5);
    let marks = Marks::of(&made(now).metadata).unwrap();
    let needed = Some(now);
    assert_eq!(
        marks,
        Marks {
            source: source(),
            form: Form::File,
            needed,
            changing: false,
            condemned: false,
            installation: String::new()
        }
    );
}

#[test]
fn its_times_are_rfc_3339_in_utc_with_nanoseconds() {
    let mirror = made(SystemTime::UNIX_EPOCH + Duration::new(86_400, 5));
    let annotations = mirror.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[NEEDED], "1970-01-02T00:00:00.000000005Z");
    assert_eq!(annotations[FETCHED], "1970-01-01T00:00:00.000000000Z");
}

#[test]
fn what_is_not_labelled_or_has_another_name_or_no_source_is_no_mirror() {
    type Change = fn(&mut ObjectMeta);
    let changes: [(&str, Change); 5] = [
        ("label", |meta| drop(meta.labels.as_mut().unwrap().remove(LABEL))),
        ("label's value", |meta| drop(meta.labels.as_mut().unwrap().insert(LABEL.into(), "false".into()))),
        ("source", |meta| drop(meta.annotations.as_mut().unwrap().remove(SOURCE))),
        ("name", |meta| meta.name = Some("flyte-mirror-of-mine".into())),
        ("namespace", |meta| meta.namespace = Some("b".into())),
    ];
    for (what, change) in changes {
        let mut metadata = made(SystemTime::now()).metadata.clone();
        change(&mut metadata);
        assert_eq!(Marks::of(&metadata), None, "{what}");
    }
}

#[test]
fn a_sentence_and_a_mark_are_seen_and_taken_away_by_whoever_needs_the_mirror() {
    let mut secret = made(SystemTime::now());
    condemn(&mut secret, SystemTime::now());
    mark(&mut secret, "t".to_owned());
    let marks = Marks::of(&secret.metadata).unwrap();
    assert!(marks.condemned && marks.changing);
    renew(&mut secret, SystemTime::now());
    let marks = Marks::of(&secret.metadata).unwrap();
    assert!(!marks.condemned && !marks.changing);
}

#[test]
fn a_new_value_replaces_all_data_and_ends_the_change() {
    let mut secret = made(SystemTime::now());
    secret.data.as_mut().unwrap().insert("other".to_owned(), ByteString(b"x".to_vec()));
    mark(&mut secret, "t".to_owned());
    put(&mut secret, &fresh("w"));
    assert_eq!(value(&secret), Some(b"w".as_slice()));
    assert_eq!(secret.data.as_ref().unwrap().len(), 1);
    assert!(!Marks::of(&secret.metadata).unwrap().changing);
}

#[test]
fn needed_within_forgives_clocks_that_differ_and_not_texts_that_are_no_times() {
    let needed = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let mut secret = made(needed);
    let within = |secret: &Secret, now: u64| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        Marks::of(&secret.metadata).unwrap().needed_within(Duration::from_secs(10), now)
    };
    for (now, expected) in [(1000, true), (1009, true), (1010, false), (991, true), (990, false)] {
        assert_eq!(within(&secret, now), expected, "{now}");
    }
    annotate(&mut secret, NEEDED, "yesterday".to_owned());
    assert!(!within(&secret, 1000));
}
