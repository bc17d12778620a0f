//! The storage of attachments on a directory and on an S3 server, and the failures of S3.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use butt_dial_testkit::servers::S3;
use chrono::{DateTime, Days};
use tokio::net::TcpListener;

use super::*;

const MEGABYTE: usize = 1 << 20;
/// Must not be readable on the disk.
const SECRET: &str = "the number of the account is 12345678";
const FILENAME: &str = "divorce papers é.pdf";

/// A storage, and where its files lie.
struct Place {
    blobs: Blobs,
    directory: PathBuf,
    _keeps: Keeps,
}

#[expect(dead_code, reason = "dropped when the story is over")]
enum Keeps {
    Directory(tempfile::TempDir),
    S3(S3),
}

async fn directory() -> Place {
    let keeps = tempfile::tempdir().unwrap();
    // Neither this folder nor the one above is there yet.
    let directory = keeps.path().join("data").join("blobs");
    Place {
        blobs: Blobs::open(&BlobsConfig::Directory(directory.clone())).unwrap(),
        directory,
        _keeps: Keeps::Directory(keeps),
    }
}

async fn s3() -> Place {
    install_tls();
    let server = S3::start().await;
    Place {
        blobs: Blobs::open(&config(&server.endpoint(), S3::BUCKET, S3::SECRET_ACCESS_KEY)).unwrap(),
        directory: server.directory().join(S3::BUCKET),
        _keeps: Keeps::S3(server),
    }
}

fn config(endpoint: &str, bucket: &str, secret: &str) -> BlobsConfig {
    BlobsConfig::S3 {
        bucket: bucket.to_owned(),
        prefix: "/attachments/".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: S3::REGION.to_owned(),
        access_key_id: S3::ACCESS_KEY_ID.to_owned(),
        secret_access_key: secret.to_owned(),
    }
}

/// Installs the TLS provider, as `main` does.
fn install_tls() {
    // Another test of the process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

macro_rules! on_both {
    ($($story:ident)*) => {
        on_both! { @on directory: $($story)* }
        on_both! { @on s3: $($story)* }
    };
    (@on $place:ident: $($story:ident)*) => {
        mod $place {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(&super::$place().await).await;
                }
            )*
        }
    };
}

on_both! {
    finds_stored_blob_unchanged
    replaces_blob_with_same_key
    does_not_find_missing_blob
    refuses_other_organization_and_key
    stores_nothing_readable
    reports_damaged_blob
    purges_whole_days_only
    purges_one_organization_only
}

fn vault() -> Vault {
    Vault::new(b"a master key")
}

fn ours() -> OrgId {
    OrgId::from("org_ours")
}

/// A key of this many days after the first of March.
fn key_of(day: u64, event: &str) -> String {
    let at = DateTime::from_timestamp(1_772_323_200, 0).unwrap() + Days::new(day);
    key(at, &ours(), event, 0)
}

fn blob(bytes: impl Into<Bytes>, filename: Option<&str>) -> Blob {
    Blob {
        meta: BlobMeta {
            content_type: "application/pdf".to_owned(),
            filename: filename.map(str::to_owned),
        },
        bytes: bytes.into(),
    }
}

async fn expect_found(blobs: &Blobs, key: &str, expected: &Blob) {
    let found = blobs.find(&vault(), &ours(), key).await.unwrap().expect(key);
    assert_eq!(found.meta.content_type, expected.meta.content_type);
    assert_eq!(found.meta.filename, expected.meta.filename);
    assert!(found.bytes == expected.bytes, "{} bytes", found.bytes.len());
}

#[test]
fn keys_begin_with_the_day() {
    assert_eq!(key_of(0, "event"), "2026-03-01/org_ours/event/0");
    assert_eq!(key_of(31, "event"), "2026-04-01/org_ours/event/0");
}

async fn finds_stored_blob_unchanged(place: &Place) {
    let large: Vec<u8> = (0..8 * MEGABYTE as u64)
        .map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 33) as u8)
        .collect();
    let kept = [
        blob(Vec::new(), None),
        blob(vec![0], Some("")),
        blob(b"{}".to_vec(), Some(FILENAME)),
        blob(large, Some("\" \\ \n 👍")),
    ];
    for (number, blob) in kept.iter().enumerate() {
        let key = key_of(0, &number.to_string());
        place.blobs.put(&vault(), &ours(), &key, blob).await.unwrap();
    }
    for (number, blob) in kept.iter().enumerate() {
        expect_found(&place.blobs, &key_of(0, &number.to_string()), blob).await;
    }
    assert_eq!(place.blobs.check().await, Ok(()));
}

async fn replaces_blob_with_same_key(place: &Place) {
    let key = key_of(0, "event");
    for text in ["a long first one", "2"] {
        let blob = blob(text, Some(text));
        place.blobs.put(&vault(), &ours(), &key, &blob).await.unwrap();
        expect_found(&place.blobs, &key, &blob).await;
    }
}

async fn does_not_find_missing_blob(place: &Place) {
    assert_eq!(place.blobs.check().await, Ok(()), "empty is in order");
    let find = async |key: &str| {
        place
            .blobs
            .find(&vault(), &ours(), key)
            .await
            .map(|found| found.is_some())
    };
    let key = key_of(0, "event");
    assert_eq!(find(&key).await, Ok(false));
    place
        .blobs
        .put(&vault(), &ours(), &key, &blob("x", None))
        .await
        .unwrap();
    assert_eq!(find(&key).await, Ok(true));
    assert_eq!(find(&key_of(1, "event")).await, Ok(false));
}

async fn refuses_other_organization_and_key(place: &Place) {
    let (mine, other) = (key_of(0, "mine"), key_of(0, "other"));
    let store = &place.blobs.store;
    place
        .blobs
        .put(&vault(), &ours(), &mine, &blob(SECRET, None))
        .await
        .unwrap();
    store
        .copy(&place.blobs.path(&mine), &place.blobs.path(&other))
        .await
        .unwrap();
    let theirs = OrgId::from("org_theirs");
    for (vault, org, key, who) in [
        (vault(), &theirs, &mine, "another organization"),
        (vault(), &ours(), &other, "another key"),
        (Vault::new(b"another"), &ours(), &mine, "another master key"),
    ] {
        assert!(place.blobs.find(&vault, org, key).await.is_err(), "{who}");
    }
    expect_found(&place.blobs, &mine, &blob(SECRET, None)).await;
}

async fn stores_nothing_readable(place: &Place) {
    let text = SECRET.repeat(1_000);
    let key = key_of(0, "event");
    let kept = blob(text.clone(), Some(FILENAME));
    place.blobs.put(&vault(), &ours(), &key, &kept).await.unwrap();
    let mut total = 0;
    for file in files_below(&place.directory) {
        let bytes = fs::read(&file).unwrap();
        total += bytes.len();
        for readable in [SECRET, FILENAME, "application/pdf", "content_type"] {
            assert!(!contains(&bytes, readable), "{readable} in {}", file.display());
            assert!(!contains(file.as_os_str().as_encoded_bytes(), readable));
        }
    }
    assert!(total > text.len(), "it lies there, hidden: {total} bytes");
}

#[tokio::test]
async fn creates_directory_for_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = directory().await;
    let mode = fs::metadata(&place.directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn reports_damaged_blob(place: &Place) {
    let (key, path) = (key_of(0, "event"), place.blobs.path(&key_of(0, "event")));
    let store = &place.blobs.store;
    let kept = blob(SECRET, Some(FILENAME));
    place.blobs.put(&vault(), &ours(), &key, &kept).await.unwrap();
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    let mut damaged: Vec<Vec<u8>> = [0, 1, 12, 13, 17, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .map(|place| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            bytes
        })
        .collect();
    damaged.extend([0, 1, 5, 13, 29, whole.len() - 1].map(|length| whole[..length].to_vec()));
    damaged.push([&whole[..], b"x"].concat());
    // Sealed by us, and still not what `put` writes.
    for plain in [
        &b""[..],
        b"\0\0\0",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\x02{}",
        b"\0\0\0\x01{}",
    ] {
        damaged.push(vault().encrypt(&ours(), &key, plain));
    }
    for bytes in damaged {
        let length = bytes.len();
        store.put(&path, bytes.into()).await.unwrap();
        let found = place.blobs.find(&vault(), &ours(), &key).await;
        assert!(found.is_err(), "{length} of {} bytes", whole.len());
    }
    store.put(&path, whole.into()).await.unwrap();
    expect_found(&place.blobs, &key, &kept).await;
}

async fn purges_whole_days_only(place: &Place) {
    let blobs = &place.blobs;
    let third = NaiveDate::from_ymd_opt(2026, 3, 4).unwrap();
    assert_eq!(blobs.purge_before(third, &[]).await, Ok(0), "of nothing");
    let events = ["a", "b", "c"];
    for day in 0..5 {
        for event in events {
            blobs
                .put(&vault(), &ours(), &key_of(day, event), &blob("x", None))
                .await
                .unwrap();
        }
    }
    // Files of others in the same place, although they look old.
    let mut foreign = ["notes.txt", "lost+found/2026-03-01/x", "20260301/x"]
        .map(|key| blobs.path(key))
        .to_vec();
    if !blobs.prefix.is_empty() {
        foreign.push(Key::from(key_of(0, "a")));
        foreign.push(Key::from("attachments-of-others/2026-03-01/x"));
    }
    for path in &foreign {
        blobs.store.put(path, "x".into()).await.unwrap();
    }
    assert_eq!(blobs.purge_before(third, &[]).await, Ok(3 * events.len()));
    assert_eq!(blobs.purge_before(third, &[]).await, Ok(0), "again");
    for day in 0..5 {
        for event in events {
            let found = blobs.find(&vault(), &ours(), &key_of(day, event)).await.unwrap();
            assert_eq!(found.is_some(), day >= 3, "day {day}");
        }
    }
    for path in &foreign {
        assert!(blobs.store.head(path).await.is_ok(), "{path}");
    }
}

async fn purges_one_organization_only(place: &Place) {
    let (blobs, vault, blob) = (&place.blobs, vault(), blob("x", None));
    let theirs = OrgId::from("org_theirs");
    let key_of_theirs = key_of(1, "b").replace(ours().as_str(), theirs.as_str());
    for day in 0..3 {
        blobs.put(&vault, &ours(), &key_of(day, "a"), &blob).await.unwrap();
    }
    blobs.put(&vault, &ours(), &key_of(0, "b"), &blob).await.unwrap();
    blobs.put(&vault, &theirs, &key_of_theirs, &blob).await.unwrap();
    let day = |day: u32| NaiveDate::from_ymd_opt(2026, 3, 1 + day).unwrap();
    let mut listed = blobs.list_events_before(day(2), &ours()).await.unwrap();
    listed.sort();
    let expected = [(0, "a"), (0, "b"), (1, "a")];
    assert_eq!(listed, expected.map(|(n, event)| (day(n), event.to_owned())));
    assert_eq!(blobs.purge_event_of(day(0), &ours(), "b").await, Ok(1));
    assert_eq!(
        blobs.purge_event_of(day(1), &ours(), "b").await,
        Ok(0),
        "of another organization"
    );
    assert_eq!(blobs.purge_of(&ours()).await, Ok(3));
    assert_eq!(blobs.purge_of(&ours()).await, Ok(0), "again");
    assert!(blobs.find(&vault, &ours(), &key_of(0, "a")).await.unwrap().is_none());
    assert!(blobs.find(&vault, &theirs, &key_of_theirs).await.unwrap().is_some());
}

/// Everything is an error, and soon.
async fn expect_refusal(blobs: &Blobs, why: &str) {
    let start = Instant::now();
    let (vault, org, key) = (vault(), ours(), key_of(0, "event"));
    let blob = blob("x", None);
    let (check, put, find, forget) = tokio::join!(
        blobs.check(),
        blobs.put(&vault, &org, &key, &blob),
        blobs.find(&vault, &org, &key),
        blobs.purge_before(NaiveDate::MAX, &[]),
    );
    let took = start.elapsed();
    let is_error = [check.is_err(), put.is_err(), find.is_err(), forget.is_err()];
    assert_eq!(is_error, [true; 4], "{why}: check, put, find, forget");
    assert!(
        took < REQUEST_TIMEOUT + RETRY_TIMEOUT + Duration::from_secs(2),
        "{why}: {took:?}"
    );
}

#[tokio::test]
async fn reports_wrong_secret() {
    install_tls();
    let server = S3::start().await;
    let wrong = Blobs::open(&config(&server.endpoint(), S3::BUCKET, "wrong")).unwrap();
    expect_refusal(&wrong, "a wrong secret").await;
}

#[tokio::test]
async fn reports_missing_bucket() {
    install_tls();
    let server = S3::start().await;
    let lost = Blobs::open(&config(&server.endpoint(), "lost", S3::SECRET_ACCESS_KEY)).unwrap();
    assert!(lost.check().await.is_err());
    assert!(lost.purge_before(NaiveDate::MAX, &[]).await.is_err());
}

#[tokio::test]
async fn reports_stopped_server_until_it_is_back() {
    install_tls();
    let mut server = S3::start().await;
    let blobs = Blobs::open(&config(&server.endpoint(), S3::BUCKET, S3::SECRET_ACCESS_KEY)).unwrap();
    let (key, kept) = (key_of(0, "kept"), blob("kept", None));
    blobs.put(&vault(), &ours(), &key, &kept).await.unwrap();
    server.stop().await;
    expect_refusal(&blobs, "stopped").await;
    server.start_again().await;
    assert_eq!(blobs.check().await, Ok(()));
    expect_found(&blobs, &key, &kept).await;
}

#[tokio::test]
async fn times_out_on_unresponsive_server() {
    install_tls();
    // The kernel accepts connections, and no process reads from them.
    let unresponsive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", unresponsive.local_addr().unwrap());
    let blobs = Blobs::open(&config(&endpoint, S3::BUCKET, S3::SECRET_ACCESS_KEY)).unwrap();
    expect_refusal(&blobs, "deaf").await;
}
