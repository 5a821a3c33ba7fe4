use std::fs;

use super::super::{CA_CRT, CertificateAuthority, TLS_CRT, TLS_KEY, write};
use super::*;

fn names() -> CertificateNames {
    CertificateNames::for_hosts(&["localhost".to_owned()]).unwrap()
}

fn pair_made_at(now: SystemTime) -> KeyPairPem {
    CertificateAuthority::new(now).unwrap().issue(&names(), now).unwrap()
}

fn pair() -> KeyPairPem {
    pair_made_at(SystemTime::now())
}

fn expired() -> KeyPairPem {
    pair_made_at(SystemTime::now() - Duration::from_secs(11 * 365 * 86_400))
}

async fn opened(folder: &Path) -> (Reloader, KeyPairPem) {
    let pair = pair();
    write(folder, &pair).await.unwrap();
    let mut reloader = Reloader::open(folder, names()).await.unwrap();
    reloader.handover = Duration::ZERO;
    (reloader, pair)
}

#[tokio::test]
async fn files_that_stay_the_same_are_not_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, _) = opened(folder.path()).await;
    for _ in 0..3 {
        assert!(matches!(reloader.look().await, Looked::Unchanged));
    }
}

#[tokio::test]
async fn a_new_pair_is_served_and_its_ca_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, old) = opened(folder.path()).await;
    let mut ca_bundle = reloader.ca_bundle();
    assert_eq!(*ca_bundle.borrow_and_update(), old.ca_crt);

    let new = pair_made_at(SystemTime::now() + Duration::from_secs(60));
    write(folder.path(), &new).await.unwrap();
    let before = reloader.resolver().not_after();
    assert!(matches!(reloader.look().await, Looked::Replaced));
    assert!(ca_bundle.has_changed().unwrap());
    assert!(ca_bundle.borrow_and_update().as_ref().unwrap().starts_with(&new.ca_crt.unwrap()));
    assert!(reloader.resolver().not_after() > before);
    assert!(matches!(reloader.look().await, Looked::Unchanged));
}

#[tokio::test]
async fn a_new_certificate_of_the_same_ca_publishes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let ca = CertificateAuthority::new(now).unwrap();
    write(folder.path(), &ca.issue(&names(), now).unwrap()).await.unwrap();
    let mut reloader = Reloader::open(folder.path(), names()).await.unwrap();
    let ca_bundle = reloader.ca_bundle();
    write(folder.path(), &ca.issue(&names(), now).unwrap()).await.unwrap();
    assert!(matches!(reloader.look().await, Looked::Replaced));
    assert!(!ca_bundle.has_changed().unwrap());
}

#[tokio::test]
async fn a_bad_new_pair_leaves_the_old_one_in_use_until_a_good_one_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, old) = opened(folder.path()).await;
    let not_after = reloader.resolver().not_after();
    write(folder.path(), &expired()).await.unwrap();
    for _ in 0..2 {
        let Looked::Refused(ReloadError::Bad { problems, .. }) = reloader.look().await else { panic!("not refused") };
        assert!(matches!(problems[0], Problem::Expired { part: TLS_CRT, .. }));
        assert_eq!(reloader.resolver().not_after(), not_after);
        assert_eq!(*reloader.ca_bundle().borrow(), old.ca_crt);
    }
    write(folder.path(), &pair()).await.unwrap();
    assert!(matches!(reloader.look().await, Looked::Replaced));
}

#[tokio::test]
async fn a_file_that_disappears_leaves_the_old_pair_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, _) = opened(folder.path()).await;
    fs::remove_file(folder.path().join(TLS_KEY)).unwrap();
    assert!(matches!(reloader.look().await, Looked::Refused(ReloadError::Files(FilesError::Missing { .. }))));
}

#[tokio::test]
async fn a_ca_file_that_disappears_means_a_public_ca() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, _) = opened(folder.path()).await;
    fs::remove_file(folder.path().join(CA_CRT)).unwrap();
    assert!(matches!(reloader.look().await, Looked::Replaced));
    assert_eq!(*reloader.ca_bundle().borrow(), None);
}

#[tokio::test]
async fn a_bad_pair_at_the_start_is_an_error_that_says_everything() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &expired()).await.unwrap();
    let other = CertificateNames::for_hosts(&["other".to_owned()]).unwrap();
    let text = Reloader::open(folder.path(), other).await.unwrap_err().to_string();
    for part in [folder.path().to_str().unwrap(), "tls.crt expired at ", "tls.crt is not valid for other", "init-certs"]
    {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn the_running_task_sees_a_change_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (reloader, _) = opened(folder.path()).await;
    let mut ca_bundle = reloader.ca_bundle();
    let task = tokio::spawn(reloader.run(Duration::from_millis(5)));
    let new = pair();
    write(folder.path(), &new).await.unwrap();
    let new = new.ca_crt.unwrap();
    let seen = ca_bundle.wait_for(|bundle| bundle.as_ref().is_some_and(|bundle| bundle.starts_with(&new)));
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap().unwrap();
    task.abort();
}

#[tokio::test]
async fn a_new_ca_is_published_before_a_certificate_of_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, _) = opened(folder.path()).await;
    reloader.handover = Duration::from_secs(3600);
    let (resolver, ca_bundle) = (reloader.resolver(), reloader.ca_bundle());
    let not_after = resolver.not_after();
    write(folder.path(), &pair_made_at(SystemTime::now() + Duration::from_secs(60))).await.unwrap();
    let task = tokio::spawn(async move { reloader.look().await });
    let published = async {
        while !ca_bundle.has_changed().unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), published).await.unwrap();
    assert_eq!(resolver.not_after(), not_after);
    task.abort();
}

#[tokio::test]
async fn both_cas_can_be_read_from_the_bundle_while_one_retires() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, old) = opened(folder.path()).await;
    let new = pair();
    write(folder.path(), &new).await.unwrap();
    assert!(matches!(reloader.look().await, Looked::Replaced));
    let ca_crt = reloader.ca_bundle().borrow().clone();
    assert_eq!(KeyPairPem { ca_crt: ca_crt.clone(), ..new.clone() }.authorities().unwrap().len(), 2);
    for served in [old, new] {
        inspect(&KeyPairPem { ca_crt: ca_crt.clone(), ..served }, &names(), SystemTime::now()).unwrap();
    }
}

#[test]
fn the_ca_before_is_trusted_for_ten_minutes_more_and_only_the_last_one() {
    let ca = |name: &str| Some(name.to_owned());
    let mut trusted = Trusted::new(ca("A"));
    let mut bundle = trusted.bundle.subscribe();
    let start = Instant::now();
    assert!(!trusted.change(&ca("A"), start));
    assert!(!bundle.has_changed().unwrap());

    assert!(trusted.change(&ca("B"), start));
    assert_eq!(*bundle.borrow_and_update(), ca("B\nA"));
    assert!(trusted.change(&ca("C"), start + Duration::from_secs(60)));
    assert_eq!(*bundle.borrow_and_update(), ca("C\nB"));
    trusted.retire(start + Duration::from_secs(659));
    assert!(!bundle.has_changed().unwrap());
    trusted.retire(start + Duration::from_secs(660));
    assert_eq!(*bundle.borrow_and_update(), ca("C"));
    trusted.retire(start + Duration::from_secs(10_000));
    assert!(!bundle.has_changed().unwrap());
}
