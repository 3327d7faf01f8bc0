//! A model of the policy folder: what was done to it, and which events tell of it. Events come late, in any order, in any
//! number of pieces, more than once, or not at all; what is in force was good at some time, and in the end is what the
//! files say.

#![expect(clippy::disallowed_methods, reason = "tests write the files that the store reads")]

use std::collections::HashMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// The files that things are done to, and the policy that each holds.
const FILES: [(&str, Kind, &str, &str); 5] = [
    ("keys/key-1.json", Kind::Key, "1", "key-1"),
    ("keys/key-2.json", Kind::Key, "1", "key-2"),
    ("secrets/app%2Fdb.json", Kind::Secret, "1", "app/db"),
    ("accounts/2/keys/key-1.json", Kind::Key, "2", "key-1"),
    ("accounts/2/secrets/db.json", Kind::Secret, "2", "db"),
];

/// What is done to the folder.
#[derive(Debug, Clone)]
enum Deed {
    /// A file is written, in place or beside it and moved: another version, whether good or not.
    Write { file: usize, version: usize, good: bool, moved: bool },
    /// A file is removed.
    Remove { file: usize },
    /// A file takes the place of another one.
    Rename { from: usize, to: usize },
    /// A file is touched and says what it said.
    Touch { file: usize },
    /// Events that are waiting are told: so many of them, from this one on, again and again.
    Tell { from: usize, count: usize, times: usize },
    /// Everything is looked at.
    Rescan,
}

fn deed() -> impl Strategy<Value = Deed> {
    let file = 0..FILES.len();
    prop_oneof![
        4 => (file.clone(), 0..20_usize, prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(file, version, good, moved)| Deed::Write { file, version, good, moved }),
        2 => file.clone().prop_map(|file| Deed::Remove { file }),
        1 => (file.clone(), file.clone()).prop_map(|(from, to)| Deed::Rename { from, to }),
        1 => file.prop_map(|file| Deed::Touch { file }),
        4 => (0..20_usize, 1..4_usize, 1..3_usize).prop_map(|(from, count, times)| Deed::Tell { from, count, times }),
        1 => Just(Deed::Rescan),
    ]
}

/// The folder, and what happened to it.
struct Model {
    house: House,
    /// Of each file, the good texts that it ever had; `None` among them, if it ever was not there.
    ever: HashMap<usize, Vec<Option<String>>>,
    /// Events that were not told yet.
    waiting: Vec<&'static str>,
}

impl Model {
    fn new() -> Self {
        let house = House::new();
        for (path, ..) in FILES {
            house.write(&format!("p/{path}"), &key("kms:Encrypt"));
        }
        let ever = (0..FILES.len()).map(|file| (file, vec![Some(key("kms:Encrypt"))])).collect();
        Self { house, ever, waiting: Vec::new() }
    }

    fn path(&self, file: usize) -> PathBuf {
        self.house.folder.path().join("p").join(FILES[file].0)
    }

    fn text(&self, file: usize) -> Option<String> {
        fs::read_to_string(self.path(file)).ok()
    }

    /// Notes what a file says now, and that there is an event of it.
    fn happened(&mut self, file: usize) {
        let text = self.text(file);
        if text.as_ref().is_none_or(|text| text.contains("kms:")) {
            self.ever.get_mut(&file).unwrap().push(text);
        }
        self.waiting.push(FILES[file].0);
    }

    fn act(&mut self, deed: &Deed, store: &Store) {
        match *deed {
            Deed::Write { file, version, good, moved } => {
                let text = if good { key(&format!("kms:Version{version}")) } else { format!("{{{version}") };
                let path = self.path(file);
                let beside = path.with_extension("json.tmp");
                fs::write(if moved { &beside } else { &path }, text).unwrap();
                if moved {
                    fs::rename(beside, path).unwrap();
                }
                self.happened(file);
            }
            Deed::Remove { file } => {
                let _ = fs::remove_file(self.path(file));
                self.happened(file);
            }
            Deed::Rename { from, to } => {
                let _ = fs::rename(self.path(from), self.path(to));
                self.happened(from);
                self.happened(to);
            }
            Deed::Touch { file } => {
                let _ = fs::File::options()
                    .append(true)
                    .open(self.path(file))
                    .map(|it| it.set_modified(std::time::SystemTime::UNIX_EPOCH));
                self.waiting.push(FILES[file].0);
            }
            Deed::Tell { from, count, times } => self.tell(from, count, times, store),
            Deed::Rescan => drop(store.look(now())),
        }
    }

    fn tell(&mut self, from: usize, count: usize, times: usize, store: &Store) {
        if self.waiting.is_empty() {
            return;
        }
        let from = from % self.waiting.len();
        let end = (from + count).min(self.waiting.len());
        let paths = self.waiting.drain(from..end).map(PathBuf::from).collect();
        let scope = Scope::Only { paths, identities: false };
        for _ in 0..times {
            store.reload(&scope, Duration::ZERO, None, now());
        }
    }

    /// Whatever is in force was what a file said at some time.
    fn check(&self, store: &Store) -> Result<(), TestCaseError> {
        for (file, (path, kind, account, name)) in FILES.into_iter().enumerate() {
            let in_force = store.policy_text(kind, account, name).map(|text| text.to_string());
            prop_assert!(self.ever[&file].contains(&in_force), "{path}: {in_force:?} was never there");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_in_force_was_good_and_in_the_end_is_what_the_files_say(deeds in prop::collection::vec(deed(), 1..40)) {
        let mut model = Model::new();
        let store = model.house.open();
        for deed in &deeds {
            model.act(deed, &store);
            model.check(&store)?;
        }
        // Once every event was told, in whatever order and pieces, there is nothing more to find.
        while !model.waiting.is_empty() {
            let last = model.waiting.len() - 1;
            model.tell(last / 2, 3, 1, &store);
            model.check(&store)?;
        }
        let problems = store.status().problems.clone();
        prop_assert!(!store.look(now()).changed);
        prop_assert_eq!(&problems, &store.status().problems);
        // And without any event, a look is as good as a start.
        for file in 0..FILES.len() {
            model.act(&Deed::Write { file, version: file, good: true, moved: false }, &store);
        }
        store.look(now());
        prop_assert_eq!(&*store.status().hash, &*model.house.open().status().hash);
        prop_assert_eq!(store.status().problems.len(), 0);
    }
}
