#![allow(clippy::unwrap_used)]

use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use secrecy::ExposeSecret;

use super::*;
use crate::tasks::current_context;

fn mock(value: &str) -> Mock {
    Secrets::new().value("mock", "key", None, value).mock().unwrap()
}

/// What the task reads now.
fn read() -> Option<String> {
    let value = current_context().secrets().get("mock", "key", None).ok()?;
    Some(value.expose_secret().to_owned())
}

#[test]
fn the_innermost_of_nested_guards_counts_and_afterwards_all_is_as_before() {
    let (one, two) = (mock("1"), mock("2"));
    assert_eq!(read(), None);
    {
        let _outer = one.enter();
        {
            let _inner = two.enter();
            assert_eq!(read().as_deref(), Some("2"));
        }
        assert_eq!(read().as_deref(), Some("1"));
    }
    assert_eq!(read(), None);
}

#[test]
fn guards_may_end_in_any_order() {
    let outer = mock("1").enter();
    let inner = mock("2").enter();
    drop(outer);
    assert_eq!(read().as_deref(), Some("2"));
    drop(inner);
    assert_eq!(read(), None);
}

#[test]
fn a_panic_ends_the_mock_too() {
    let panicked = catch_unwind(|| {
        let _guard = mock("1").enter();
        assert_eq!(read().as_deref(), Some("1"));
        std::panic::resume_unwind(Box::new("a test that fails"));
    });
    assert!(panicked.is_err());
    assert_eq!(read(), None);
}

#[test]
fn other_threads_see_nothing_of_it_unless_they_enter() {
    let mock = mock("1");
    let _guard = mock.enter();
    let other = mock.clone();
    let (without, with) = std::thread::spawn(move || {
        let without = read();
        let _guard = other.enter();
        (without, read())
    })
    .join()
    .unwrap();
    assert_eq!((without, with.as_deref()), (None, Some("1")));
}

/// Pending once, so that it is polled twice.
struct Later(bool);

impl Future for Later {
    type Output = Option<String>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(read()) } else { Poll::Pending }
    }
}

#[test]
fn a_future_takes_the_mock_along_and_leaves_it_between_polls() {
    let mock = mock("1");
    let mut future = Box::pin(mock.run(Later(false)));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(context).is_pending());
    assert_eq!(read(), None);
    assert_eq!(future.as_mut().poll(context), Poll::Ready(Some("1".to_owned())));
}

#[test]
fn files_are_real_and_vanish_with_the_mock() {
    let mock = Secrets::new().file("G", "Ca.PEM", Some("V1"), b"\x00\xff".to_vec()).mock().unwrap();
    let path = mock.secrets().get_secrets_file("G", "Ca.PEM", Some("V1")).unwrap();
    assert!(path.ends_with("g/v1/ca.pem"));
    assert_eq!(std::fs::read(&path).unwrap(), b"\x00\xff");
    let guard = mock.enter();
    drop(mock);
    assert!(path.exists(), "a guard keeps them");
    drop(guard);
    assert!(!path.exists());
}

#[test]
fn no_file_leaves_the_mocks_folder() {
    for (group, key) in [("..", "k"), ("/g", "k"), ("g", "../../k"), ("", "")] {
        let error = Secrets::new().file(group, key, None, "x").mock().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{group:?} {key:?}");
    }
}

#[test]
fn names_follow_the_prefix_that_the_mock_is_given() {
    let mock = Secrets::new().variable(SecretsConfig::ENV_PREFIX, "_UNION_").value("g", "k", None, "v").mock().unwrap();
    assert_eq!(mock.secrets().get_secrets_env_var("g", "k", None), "_UNION_G_K");
    assert_eq!(mock.secrets().get("g", "k", None).unwrap().expose_secret(), "v");
}

#[test]
fn a_child_process_gets_the_same_variables() {
    let mock = Secrets::new().value("g", "k", None, b"a\xff".to_vec()).mock().unwrap();
    let mut child = Command::new("/bin/sh");
    let output = child.args(["-c", "printf %s \"$_FSEC_G_K\""]).env_clear().envs(mock.environment()).output().unwrap();
    assert_eq!(output.stdout, b"a\xff");
    let names: Vec<_> = mock.environment().map(|(name, value)| (name, value.as_bytes().len() > 1)).collect();
    assert_eq!(names, [("FLYTE_SECRETS_DEFAULT_DIR", true), ("_FSEC_G_K", true)]);
}

#[test]
fn a_mock_prints_no_value() {
    let secrets = Secrets::new().value("g", "k", None, "planted").variable("X", "planted");
    assert_eq!(format!("{secrets:?}"), r#"[("g", "k")]"#);
    let mock = secrets.mock().unwrap();
    let printed = format!("{mock:?} {:?}", mock.enter());
    assert!(!printed.contains("planted") && !printed.contains("112"), "{printed}");
}
