#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use futures::executor::block_on;
use proptest::prelude::*;
use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::{Freshness, LookUpSettings, LookUps, NoObserver};

fn id(name: &str) -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: name.to_owned(),
    }
}

fn text(value: &str) -> SecretValue {
    SecretValue::text(value.to_owned())
}

fn places(folder: &Path) -> Places {
    Places { file: folder.join("data/secrets.age"), key: folder.join("data/key.txt") }
}

fn open(folder: &Path) -> Result<LocalStore, LocalError> {
    LocalStore::open(places(folder), Unlock::KeyFile)
}

/// With next to no work, so that tests are quick.
fn open_with_passphrase(folder: &Path, passphrase: &str) -> Result<LocalStore, LocalError> {
    LocalStore::open_with(places(folder), Unlock::Passphrase(SecretString::from(passphrase)), WorkFactor(2))
}

fn store() -> (TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    (folder, store)
}

fn value_of(store: &LocalStore, name: &str) -> String {
    store.get(&id(name)).unwrap().expose_text().unwrap().to_owned()
}

fn names(store: &LocalStore) -> Vec<String> {
    store.list().unwrap().into_iter().map(|entry| entry.id.name).collect()
}

#[test]
fn a_created_secret_is_there_for_everybody_who_opens_the_store() {
    let (folder, store) = store();
    store.create(&id("a"), text("v")).unwrap();
    store.create(&id("b"), SecretValue::binary(vec![255, 0])).unwrap();
    for store in [store, open(folder.path()).unwrap()] {
        assert_eq!(value_of(&store, "a"), "v");
        assert_eq!(store.get(&id("b")).unwrap().expose_bytes(), [255, 0]);
    }
}

#[test]
fn create_update_put_and_delete_mind_what_is_there() {
    let (_folder, store) = store();
    assert!(matches!(store.update(&id("a"), text("1")), Err(LocalError::NotFound { .. })));
    assert!(matches!(store.delete(&id("a")), Err(LocalError::NotFound { .. })));
    store.create(&id("a"), text("1")).unwrap();
    assert!(matches!(store.create(&id("a"), text("2")), Err(LocalError::AlreadyExists { .. })));
    assert_eq!(value_of(&store, "a"), "1");
    store.update(&id("a"), text("2")).unwrap();
    assert_eq!(value_of(&store, "a"), "2");
    store.put(&id("a"), text("3")).unwrap();
    store.put(&id("b"), text("4")).unwrap();
    assert_eq!((value_of(&store, "a"), value_of(&store, "b")), ("3".to_owned(), "4".to_owned()));
    store.delete(&id("a")).unwrap();
    assert!(matches!(store.get(&id("a")), Err(LocalError::NotFound { .. })));
    assert_eq!(names(&store), ["b"]);
}

#[test]
fn the_list_tells_everything_but_the_value() {
    let (_folder, store) = store();
    let before = SystemTime::now() - Duration::from_secs(1);
    store.put(&id("b"), SecretValue::binary(vec![1, 2, 3])).unwrap();
    store.put(&id("a"), text("planted")).unwrap();
    let [a, b] = store.list().unwrap().try_into().unwrap();
    assert_eq!((a.id.name.as_str(), a.kind, a.size), ("a", ValueKind::Text, 7));
    assert_eq!((b.id.name.as_str(), b.kind, b.size), ("b", ValueKind::Binary, 3));
    assert!(a.created >= before && a.created <= SystemTime::now() && a.created == a.updated);
    assert!(!format!("{a:?}").contains("planted"));
}

#[test]
fn a_new_value_keeps_the_time_of_creation() {
    let mut entries = Entries::from([(id("a"), Held { value: text("1"), created: 5, updated: 5, image_pull: false })]);
    put(&mut entries, id("a"), text("2"));
    assert_eq!(entries[&id("a")].created, 5);
    assert!(entries[&id("a")].updated > 5);
}

#[test]
fn opening_and_reading_write_nothing() {
    let (folder, store) = store();
    assert!(store.list().unwrap().is_empty());
    assert!(matches!(store.get(&id("a")), Err(LocalError::NotFound { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_import_is_all_or_nothing() {
    let (_folder, store) = store();
    store.create(&id("b"), text("old")).unwrap();
    let secrets = || BTreeMap::from(["a", "b", "c"].map(|name| (id(name), text("new"))));
    let Err(LocalError::AlreadyExists { ids }) = store.import(secrets(), false) else { panic!("not refused") };
    assert_eq!(ids, [id("b").to_string()]);
    assert_eq!((names(&store), value_of(&store, "b")), (vec!["b".to_owned()], "old".to_owned()));
    let mut with_bad_id = secrets();
    with_bad_id.insert(id(""), text("x"));
    assert!(matches!(store.import(with_bad_id, true), Err(LocalError::InvalidId { .. })));
    assert_eq!(value_of(&store, "b"), "old");
    assert_eq!(store.import(secrets(), true).unwrap(), Imported { created: 2, replaced: 1 });
    assert_eq!((names(&store).len(), value_of(&store, "b")), (3, "new".to_owned()));
}

#[test]
fn ids_that_could_be_mistaken_for_another_are_refused() {
    let (_folder, store) = store();
    let of = |org: &str, domain: &str, project: &str, name: &str| SecretId {
        org: org.to_owned(),
        domain: domain.to_owned(),
        project: project.to_owned(),
        name: name.to_owned(),
    };
    for bad in [
        of("flyte", "development", "p__key__a", "b"),
        of("flyte", "development", "p_", "b"),
        of("flyte", "dev__x", "p", "b"),
        of("flyte_", "dev", "p", "b"),
        of("flyte", "", "p", "b"),
        of("flyte", "dev", "p", ""),
        of("flyte", "dev", "p", &"n".repeat(MAX_ID)),
    ] {
        assert!(matches!(store.put(&bad, text("v")), Err(LocalError::InvalidId { .. })), "{bad:?}");
    }
    for good in [
        of("flyte", "development", "p", "a__key__b"),
        of("flyte", "development", "_p", "_n_"),
        of("flyte", "development", "", "any thing/at all\n"),
        of("", "", "", "n"),
    ] {
        store.create(&good, text("v")).unwrap();
    }
    assert_eq!(names(&store).len(), 4);
}

#[test]
fn a_value_has_the_size_limit_of_a_kubernetes_secret() {
    let (_folder, store) = store();
    store.put(&id("a"), SecretValue::binary(vec![0; MAX_VALUE])).unwrap();
    let error = store.put(&id("a"), SecretValue::binary(vec![0; MAX_VALUE + 1])).unwrap_err();
    assert!(matches!(error, LocalError::ValueTooLarge { size, limit, .. } if size == limit + 1));
    assert_eq!(store.get(&id("a")).unwrap().expose_bytes().len(), MAX_VALUE);
}

#[test]
fn the_files_are_for_their_owner_only() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let Places { file, key } = places(folder.path());
    assert_eq!((mode(&file), mode(&key)), (0o600, 0o600));
    assert_eq!(mode(&folder.path().join("data")), 0o700);
    for entry in fs::read_dir(folder.path().join("data")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let key = places(folder.path()).key;
    for mode in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("chmod 600 {}", key.display())), "{error}");
    }
}

#[test]
fn the_key_file_is_one_that_age_keygen_could_have_made() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let Places { file, key } = places(folder.path());
    let key = fs::read_to_string(key).unwrap();
    let [created, public, secret] = key.lines().collect::<Vec<_>>().try_into().unwrap();
    let identity: age::x25519::Identity = secret.parse().unwrap();
    assert!(created.starts_with("# created: 20") && created.ends_with('Z'), "{created}");
    assert_eq!(public, format!("# public key: {}", identity.to_public()));
    let document = age::decrypt(&identity, &fs::read(file).unwrap()).unwrap();
    assert!(document.starts_with(br#"{"version":1,"#));
}

#[test]
fn comments_blank_lines_and_older_keys_in_the_key_file_are_fine() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let key = places(folder.path()).key;
    let old = fs::read_to_string(&key).unwrap();
    let new = age::x25519::Identity::generate().to_string();
    fs::write(&key, format!("# mine\r\n\r\n{}\r\n{old}", new.expose_secret())).unwrap();
    let store = open(folder.path()).unwrap();
    store.put(&id("b"), text("w")).unwrap();
    fs::write(&key, new.expose_secret()).unwrap();
    assert_eq!(names(&open(folder.path()).unwrap()), ["a", "b"], "a write moves everything to the first key");
}

#[test]
fn a_key_file_without_a_usable_key_is_told_with_its_line_and_not_quoted() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    for (content, part) in [
        (&b"# only a comment\n"[..], "no line with a key"),
        (b"# x\nAGE-SECRET-KEY-1PLANTED\n", "line 2"),
        (b"AGE-SECRET-KEY-PQ-1PLANTED\n", "line 1"),
        (b"\xff\xfe", "not a text file"),
    ] {
        fs::write(places(folder.path()).key, content).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, LocalError::KeyMalformed { .. }), "{error}");
        assert!(error.to_string().contains(part) && !error.to_string().contains("PLANTED"), "{error}");
    }
}

#[test]
fn a_key_that_is_missing_or_another_is_told() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let Places { file, key } = places(folder.path());
    fs::write(&key, age::x25519::Identity::generate().to_string().expose_secret()).unwrap();
    assert!(matches!(open(folder.path()), Err(LocalError::WrongKey { .. })));
    fs::remove_file(&key).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, LocalError::KeyMissing { .. }));
    for path in [file, key] {
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_passphrase_opens_what_it_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_passphrase(folder.path(), "correct horse").unwrap();
    store.create(&id("a"), text("v")).unwrap();
    store.update(&id("a"), text("w")).unwrap();
    assert_eq!(value_of(&open_with_passphrase(folder.path(), "correct horse").unwrap(), "a"), "w");
    assert!(!places(folder.path()).key.exists());
}

#[test]
fn a_wrong_empty_or_unneeded_passphrase_is_told_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    open_with_passphrase(folder.path(), "planted-right").unwrap().create(&id("a"), text("v")).unwrap();
    let error = open_with_passphrase(folder.path(), "planted-wrong").unwrap_err();
    assert!(matches!(error, LocalError::WrongPassphrase(_)));
    assert!(!format!("{error} {error:?}").contains("planted"));
    assert!(matches!(open_with_passphrase(folder.path(), ""), Err(LocalError::EmptyPassphrase)));
    assert!(matches!(open(folder.path()), Err(LocalError::NeedsPassphrase(_))));
    let (other, store) = self::store();
    store.put(&id("a"), text("v")).unwrap();
    assert!(matches!(open_with_passphrase(other.path(), "any"), Err(LocalError::NeedsKeyFile(_))));
}

#[test]
fn a_file_that_was_cut_or_is_no_age_file_is_told() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let file = places(folder.path()).file;
    let good = fs::read(&file).unwrap();
    let armor = b"-----BEGIN AGE ENCRYPTED FILE-----\n".to_vec();
    for bad in [Vec::new(), b"plain text".to_vec(), armor, good[..good.len() - 1].to_vec(), [&good[..], b"x"].concat()]
    {
        fs::write(&file, &bad).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, LocalError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(&file.display().to_string()));
        assert!(store.put(&id("b"), text("w")).is_err(), "what cannot be read is never overwritten");
        assert_eq!(fs::read(&file).unwrap(), bad);
    }
    fs::write(&file, &good).unwrap();
    assert_eq!(value_of(&store, "a"), "v");
}

#[test]
fn content_of_a_newer_format_is_neither_read_nor_overwritten() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let Places { file, key } = places(folder.path());
    let key = fs::read_to_string(key).unwrap();
    let identity: age::x25519::Identity = key.lines().last().unwrap().parse().unwrap();
    fs::write(&file, age::encrypt(&identity.to_public(), b"{\"version\": 7}").unwrap()).unwrap();
    assert!(matches!(open(folder.path()), Err(LocalError::NewerFormat { version: 7, known: 1, .. })));
    assert!(store.put(&id("b"), text("w")).is_err());
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(places(folder.path()).file).unwrap();
    file.set_len(MAX_FILE as u64 + 1).unwrap();
    assert!(matches!(open(folder.path()), Err(LocalError::FileTooLarge { .. })));
}

#[test]
fn a_change_by_another_shows_at_the_next_look() {
    let (folder, reader) = store();
    let writer = open(folder.path()).unwrap();
    for round in 0..20 {
        writer.put(&id("a"), text(&format!("{round:04}"))).unwrap();
        assert_eq!(value_of(&reader, "a"), format!("{round:04}"));
    }
    fs::remove_file(places(folder.path()).file).unwrap();
    assert!(reader.list().unwrap().is_empty());
}

#[test]
fn an_unchanged_file_is_opened_once() {
    let (folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let reader = open(folder.path()).unwrap();
    fs::remove_file(places(folder.path()).key).unwrap();
    assert_eq!((value_of(&reader, "a"), value_of(&store, "a")), ("v".to_owned(), "v".to_owned()));
}

#[test]
fn threads_that_create_at_once_lose_nothing() {
    let (folder, _store) = store();
    thread::scope(|scope| {
        for thread in 0..4 {
            let store = open(folder.path()).unwrap();
            scope.spawn(move || {
                for number in 0..10 {
                    store.create(&id(&format!("{thread}-{number}")), text("v")).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&open(folder.path()).unwrap()).len(), 40);
}

/// Not a test but the other process of the two tests below: creates secrets and notes each that is stored.
#[test]
#[ignore = "started by other tests"]
fn writer_process() {
    let Some(folder) = std::env::var_os("WRITER_FOLDER") else { return };
    let (folder, writer) = (Path::new(&folder), std::env::var("WRITER").unwrap());
    let store = open(folder).unwrap();
    let count: u32 = std::env::var("WRITER_COUNT").unwrap().parse().unwrap();
    for number in 0..count {
        let name = format!("{writer}-{number}");
        store.create(&id(&name), text(&name)).unwrap();
        fs::write(folder.join(&name), "").unwrap();
    }
}

fn start_writer(folder: &Path, writer: &str, count: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--include-ignored", "local::tests::writer_process"])
        .envs([("WRITER_FOLDER", folder.to_str().unwrap()), ("WRITER", writer), ("WRITER_COUNT", &count.to_string())])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_that_create_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writers: Vec<_> = ["x", "y", "z"].map(|writer| start_writer(folder.path(), writer, 10)).into();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let store = open(folder.path()).unwrap();
    assert_eq!(names(&store).len(), 30);
    assert_eq!(value_of(&store, "y-9"), "y-9");
}

#[test]
fn a_process_that_is_killed_leaves_everything_it_had_stored() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5_u32 {
        let mut writer = start_writer(folder.path(), &round.to_string(), 1000);
        let first = folder.path().join(format!("{round}-0"));
        while !first.exists() {
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(u64::from(round) * 3));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let store = open(folder.path()).unwrap();
        for noted in
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file())
        {
            let name = noted.file_name().into_string().unwrap();
            assert_eq!(value_of(&store, &name), name);
        }
        store.put(&id("after"), text("v")).unwrap();
    }
}

#[test]
fn a_planted_value_shows_in_no_debug_text_and_not_in_the_files() {
    let (folder, store) = store();
    store.put(&id("a"), text("planted-value")).unwrap();
    store.get(&id("a")).unwrap();
    let shown = format!("{store:?} {:?}", store.list().unwrap());
    assert!(!shown.contains("planted") && !shown.contains("AGE-SECRET-KEY"), "{shown}");
    for file in fs::read_dir(folder.path().join("data")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("planted") && !text.contains(&data_encoding::BASE64.encode(b"planted-value")));
    }
    let with_passphrase = open_with_passphrase(&folder.path().join("other"), "planted-passphrase").unwrap();
    assert!(!format!("{with_passphrase:?}").contains("planted"));
}

#[tokio::test]
async fn as_a_fetcher_it_answers_by_scope() {
    let (_folder, store) = store();
    let domain = SecretId { project: String::new(), ..id("a") };
    store.put(&domain, text("v")).unwrap();
    let look_ups = LookUps::new(vec![Arc::new(store)], LookUpSettings::uncached(), Arc::new(NoObserver));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let found = look_ups.find(&id("a"), Freshness::Cached, deadline).await.unwrap();
    assert_eq!((found.id, found.value.expose_text(), found.store.as_str()), (domain, Some("v"), "local"));
}

#[test]
fn as_a_fetcher_it_answers_with_and_without_a_runtime() {
    let (_folder, store) = store();
    store.put(&id("a"), text("v")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (store, id): (&dyn SecretFetcher, _) = (&store, id("a"));
    for value in [block_on(store.get(&id)), runtime.block_on(store.get(&id))] {
        assert_eq!(value.unwrap().expose_text(), Some("v"));
    }
}

#[test]
fn as_a_fetcher_its_failures_have_classes() {
    let (folder, store) = store();
    let ask = |store: &LocalStore| block_on(SecretFetcher::get(store, &id("a"))).unwrap_err().class();
    assert_eq!(ask(&store), FailureClass::NotFound);
    store.put(&id("a"), text("v")).unwrap();
    let Places { file, key } = places(folder.path());
    let good = fs::read(&file).unwrap();
    fs::write(&file, b"not an age file").unwrap();
    assert_eq!(ask(&store), FailureClass::Malformed);
    fs::write(&file, good).unwrap();
    fs::remove_file(key).unwrap();
    assert_eq!(ask(&store), FailureClass::Denied);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_file_panics(bytes in any::<Vec<u8>>(), header in prop_oneof![Just(""), Just("age-encryption.org/v1\n")]) {
        let folder = tempfile::tempdir().unwrap();
        let file = places(folder.path()).file;
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, [header.as_bytes(), &bytes].concat()).unwrap();
        prop_assert!(open(folder.path()).is_err());
        prop_assert!(open_with_passphrase(folder.path(), "p").is_err());
    }

    #[test]
    fn a_changed_byte_never_gives_another_value(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let (folder, store) = store();
        store.put(&id("a"), text("v")).unwrap();
        let file = places(folder.path()).file;
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        fs::write(&file, &bytes).unwrap();
        prop_assert!(open(folder.path()).is_err());
    }
}
