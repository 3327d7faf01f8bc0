//! What the storage makes on the disk, and what it says when it cannot be opened.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableHandle};

use super::super::key::{Key, KeySpec};
use super::super::state::Record;
use super::*;
use crate::kms::{AliasName, KeyId};
use records::Row;

const CANARY: &str = "canary-in-a-description";

fn now() -> Moment {
    Moment("2026-01-02T03:04:05Z".parse().unwrap())
}

fn problem(folder: &Path) -> String {
    Storage::open(folder, now()).err().unwrap().to_string().replace(&folder.display().to_string(), "DATA")
}

/// Writes rows as they are, sealed or not.
fn overwrite(folder: &Path, rows: &[Row]) {
    let database = Database::create(folder.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    for (table, name, value) in rows {
        let value = value.as_ref().unwrap().as_slice();
        transaction.open_table(*table).unwrap().insert(name.as_str(), value).unwrap();
    }
    transaction.commit().unwrap();
}

fn meta(name: &str, value: &str) -> Row {
    (records::META, name.to_owned(), Some(value.as_bytes().to_vec().into()))
}

fn sealed_row(folder: &Path, table: &str, name: &str) -> Vec<u8> {
    let database = Database::open(folder.join(FILE)).unwrap();
    let transaction = database.begin_read().unwrap();
    let definition = redb::TableDefinition::<&str, &[u8]>::new(table);
    let table = transaction.open_table(definition).unwrap();
    table.get(name).unwrap().unwrap().value().to_vec()
}

/// A default key, a key with a canary, and an alias.
fn contents() -> Contents {
    let primary = KeyVersion::generate(KeySpec::Aes256, &Ids::Random, now()).unwrap();
    let key = Key { description: CANARY.to_owned(), ..Key::new(KeySpec::Aes256, primary, "1") };
    let id = KeyId::parse("key-1").unwrap();
    let records = vec![
        Record::Key("1".to_owned(), id.clone(), Arc::new(key)),
        Record::Alias("1".to_owned(), AliasName::parse("alias/a").unwrap(), id),
    ];
    Contents { records, ..Contents::new(&Ids::Random, now()).unwrap() }
}

fn changes(contents: &Contents) -> Vec<Change> {
    contents.records.iter().cloned().map(Change::Put).collect()
}

/// What no file may show: the canary, and the material of every key as the rows have it.
fn canaries(contents: &Contents) -> Vec<String> {
    let rows = records::all_rows(contents).unwrap();
    let json =
        rows.iter().map(|(_, _, value)| serde_json::from_slice::<serde_json::Value>(value.as_ref().unwrap()).unwrap());
    let material = json.filter_map(|row| {
        let found = row.pointer("/material").or_else(|| row.pointer("/primary/material"))?;
        Some(found.as_str().unwrap().to_owned())
    });
    let found: Vec<String> = material.chain([CANARY.to_owned()]).collect();
    assert_eq!(found.len(), 3);
    found
}

/// A storage as the first version of this program wrote it: plain rows.
fn old_storage(folder: &Path, contents: &Contents) {
    let mut rows = records::all_rows(contents).unwrap();
    rows.retain(|(table, name, _)| table.name() != "meta" || name == records::DEFAULT_KEY_ROW);
    rows.push(meta("format", "1"));
    overwrite(folder, &rows);
}

fn shown(folder: &Path, canaries: &[String]) -> Vec<bool> {
    let bytes = std::fs::read(folder.join(FILE)).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    canaries.iter().map(|canary| holds(canary)).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn same(one: &Contents, other: &Contents) -> bool {
    let plain = |contents| {
        let rows = records::all_rows(contents).unwrap();
        rows.into_iter().map(|(table, name, value)| (table.name().to_owned(), name, value)).collect::<Vec<_>>()
    };
    plain(one) == plain(other)
}

#[test]
fn folder_and_file_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    Storage::open(&folder, now()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(names(&folder), [FILE, "root.key"]);
    assert_eq!([&folder, &folder.join(FILE), &folder.join("root.key")].map(|path| mode(path)), [0o700, 0o600, 0o600]);
}

#[test]
fn a_later_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Storage::open(folder.path(), now()).unwrap();
    overwrite(folder.path(), &[meta("format", "3")]);
    let expected = "the data of the embedded KMS at `DATA/kms.redb` has format 3, and this version knows formats up to 2; \
        use the version that wrote it";
    assert_eq!(problem(folder.path()), expected);
}

#[test]
fn a_record_that_cannot_be_read_is_named_but_not_shown() {
    for name in ["1:key-2", "1:key-1"] {
        let folder = tempfile::tempdir().unwrap();
        let (mut storage, _) = Storage::open(folder.path(), now()).unwrap();
        storage.commit(&changes(&contents())).unwrap();
        drop(storage);
        // Of a row that was sealed for another place, and of one that was never sealed.
        let value = if name == "1:key-2" { sealed_row(folder.path(), "keys", "1:key-1") } else { b"{}hush".to_vec() };
        overwrite(folder.path(), &[(records::KEYS, name.to_owned(), Some(value.into()))]);
        let expected = format!(
            "the data of the embedded KMS at `DATA/kms.redb` is damaged: its record `{name}` cannot be read; \
             restore a backup, or move the file away to start empty"
        );
        assert_eq!(problem(folder.path()), expected);
    }
}

#[test]
fn nothing_on_the_disk_shows_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut storage, Contents { default_key, .. }) = Storage::open(folder.path(), now()).unwrap();
    let kept = Contents { default_key, ..contents() };
    storage.commit(&changes(&kept)).unwrap();
    drop(storage);
    assert_eq!(shown(folder.path(), &canaries(&kept)), [false; 3]);
    assert!(same(&Storage::open(folder.path(), now()).unwrap().1, &kept));
}

#[test]
fn plain_rows_of_an_earlier_format_are_sealed_and_leave_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let kept = contents();
    old_storage(folder.path(), &kept);
    assert_eq!(shown(folder.path(), &canaries(&kept)), [true; 3]);
    std::fs::write(folder.path().join(UNFINISHED), "left by somebody who died").unwrap();
    let (mut storage, found) = Storage::open(folder.path(), now()).unwrap();
    assert!(same(&found, &kept));
    // The new file is the one that is written to from now on.
    storage.commit(&changes(&kept)).unwrap();
    drop(storage);
    assert_eq!(names(folder.path()), [FILE, "root.key"]);
    assert_eq!(std::fs::metadata(folder.path().join(FILE)).unwrap().mode() & 0o777, 0o600);
    assert_eq!(shown(folder.path(), &canaries(&kept)), [false; 3]);
    assert!(same(&Storage::open(folder.path(), now()).unwrap().1, &kept));
}

/// An earlier format with damage stays as it is.
#[test]
fn what_cannot_be_read_is_not_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    old_storage(folder.path(), &contents());
    overwrite(folder.path(), &[meta(records::DEFAULT_KEY_ROW, r#"{"id":"hush"}"#)]);
    let before = file::identity_at(&folder.path().join(FILE));
    assert!(problem(folder.path()).contains("its record `default-key` cannot be read"), "{}", problem(folder.path()));
    assert_eq!(file::identity_at(&folder.path().join(FILE)), before);
    assert_eq!(shown(folder.path(), &[CANARY.to_owned()]), [true]);
    assert_eq!(names(folder.path()), [FILE]);
}

/// What an earlier version left that died at its first start.
#[test]
fn a_storage_that_was_never_finished_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    for begin in [|path: &Path| std::fs::write(path, "").unwrap(), |path: &Path| drop(Database::create(path).unwrap())]
    {
        let folder = folder.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        begin(&folder.join(FILE));
        assert!(Storage::open(&folder, now()).unwrap().1.records.is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// What happens to the root key of data, and what is said then: the data opens with no other, and none is made.
#[test]
fn data_opens_with_its_own_root_key_only() {
    let advice = "put back the file that belongs to it, from a backup of the data folder, or move the folder away to start empty";
    let another = "0123456789abcdef".repeat(4);
    for (text, mode, expected) in [
        (None, 0o600, format!("is not there, and nobody can read `DATA/kms.redb` without it; {advice}")),
        (Some(&*another), 0o600, format!("is not the one that `DATA/kms.redb` was written with; {advice}")),
        (Some(another.trim_end_matches('f')), 0o600, "is no key; a key has 64 hexadecimal digits".to_owned()),
        (Some(""), 0o600, "is empty".to_owned()),
        (Some(&*another), 0o644, "is open to others than its owner (mode 0644); chmod 600 it".to_owned()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        drop(Storage::open(folder.path(), now()).unwrap());
        let root = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(problem(folder.path()), format!("the root key `DATA/root.key` {expected}"));
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), text);
        std::fs::write(&path, root).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Storage::open(folder.path(), now()).unwrap();
    }
}

#[test]
fn an_empty_file_beside_a_root_key_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    drop(Storage::open(folder.path(), now()).unwrap());
    std::fs::write(folder.path().join(FILE), "").unwrap();
    assert!(problem(folder.path()).contains("is damaged: it is empty"), "{}", problem(folder.path()));
}

#[test]
fn what_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, [7; 8_192]).unwrap();
    assert!(problem(folder.path()).contains("is damaged"), "{}", problem(folder.path()));
    std::fs::remove_file(&path).unwrap();
    Storage::open(folder.path(), now()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(problem(folder.path()).contains("is damaged"), "{}", problem(folder.path()));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = Storage::open(&folder.path().join("file/data"), now()).err().unwrap();
    assert!(error.to_string().contains("/file/data`: Not a directory"), "{error}");
}

#[test]
fn two_cannot_have_the_same_storage() {
    let folder = tempfile::tempdir().unwrap();
    let first = Storage::open(folder.path(), now()).unwrap();
    let expected = "the data of the embedded KMS at `DATA/kms.redb` is in use by another process; \
        stop that one, or choose another data folder";
    assert_eq!(problem(folder.path()), expected);
    drop(first);
    Storage::open(folder.path(), now()).unwrap();
}

/// Stands for a full disk: redb gives up, the file is still there.
fn fail(storage: &mut Storage) {
    if let Storage::Disk(disk) = storage {
        disk.database = None;
    }
}

#[test]
fn after_a_failure_the_storage_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut storage, _) = Storage::open(folder.path(), now()).unwrap();
    assert!(storage.recover().unwrap().is_none());
    fail(&mut storage);
    assert!(matches!(storage.commit(&[]), Err(CommitError::Closed)));
    assert!(storage.recover().unwrap().is_some());
    storage.commit(&[]).unwrap();
}

#[test]
fn a_file_that_is_not_where_it_was_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut storage, _) = Storage::open(folder.path(), now()).unwrap();
    std::fs::rename(folder.path().join(FILE), folder.path().join("elsewhere")).unwrap();
    assert!(matches!(storage.commit(&[]), Err(CommitError::Vanished(_))));
    std::fs::write(folder.path().join(FILE), "").unwrap();
    fail(&mut storage);
    assert!(matches!(storage.recover(), Err(CommitError::Vanished(_))));
}
