//! What the storage makes on the disk, and what it says when it cannot be opened.

use redb::Database;

use super::*;

fn now() -> Moment {
    Moment("2026-01-02T03:04:05Z".parse().unwrap())
}

fn problem(folder: &Path) -> String {
    Storage::open(folder, now()).err().unwrap().to_string().replace(&folder.display().to_string(), "DATA")
}

fn overwrite(folder: &Path, name: &str, value: &[u8]) {
    let database = Database::open(folder.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(records::META).unwrap().insert(name, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn folder_and_file_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    Storage::open(&folder, now()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o700, 0o600));
}

#[test]
fn a_later_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Storage::open(folder.path(), now()).unwrap();
    overwrite(folder.path(), "format", b"2");
    let expected = "the data of the embedded KMS at `DATA/kms.redb` has format 2, and this version knows formats up to 1; \
        use the version that wrote it";
    assert_eq!(problem(folder.path()), expected);
}

#[test]
fn a_record_that_cannot_be_read_is_named_but_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    Storage::open(folder.path(), now()).unwrap();
    overwrite(folder.path(), "default-key", br#"{"id":"hush"}"#);
    let expected = "the data of the embedded KMS at `DATA/kms.redb` is damaged: its record `default-key` cannot be read; \
        restore a backup, or move the file away to start empty";
    assert_eq!(problem(folder.path()), expected);
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
#[test]
fn after_a_failure_the_storage_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut storage, _) = Storage::open(folder.path(), now()).unwrap();
    assert!(storage.recover().unwrap().is_none());
    storage.database = None;
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
    storage.database = None;
    assert!(matches!(storage.recover(), Err(CommitError::Vanished(_))));
}
