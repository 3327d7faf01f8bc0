//! What is believed, for how long, and what an answer that comes late is worth.

use super::*;

const LIFE: Duration = Duration::from_secs(10);

fn alias() -> AliasName {
    AliasName::parse("alias/a").unwrap()
}

fn key(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

fn at(now: Instant) -> Times {
    Times { asked: now, now }
}

fn points_to(knowledge: &Knowledge) -> Option<String> {
    knowledge.index.key_of_alias("1", &alias()).map(ToString::to_string)
}

#[test]
fn hearsay_ends_when_nobody_speaks_of_it() {
    let (mut knowledge, begin) = (Knowledge::new(LIFE), Instant::now());
    assert!(knowledge.alias("1", &alias(), key("k1"), at(begin)));
    assert!(knowledge.take_changed(begin).is_some() && knowledge.take_changed(begin).is_none());
    assert!(knowledge.alias("1", &alias(), key("k1"), at(begin + LIFE / 4)), "known, and believed");
    assert!(knowledge.take_changed(begin + LIFE / 4).is_none(), "which is no news");
    let over = knowledge.take_changed(begin + LIFE).unwrap();
    assert!(over.key_of_alias("1", &alias()).is_none());
}

#[test]
fn what_was_asked_before_a_change_says_nothing() {
    let (mut knowledge, begin) = (Knowledge::new(LIFE), Instant::now());
    let name = Name::Alias("1".to_owned(), alias());
    knowledge.alias("1", &alias(), key("k1"), at(begin));
    knowledge.forget(&name);
    knowledge.note_change(name, begin + LIFE / 4);
    let late = Times { asked: begin + LIFE / 8, now: begin + LIFE / 2 };
    assert!(!knowledge.alias("1", &alias(), key("k1"), late));
    assert_eq!(points_to(&knowledge), None);
    assert!(knowledge.alias("1", &alias(), key("k2"), at(begin + LIFE / 2)));
    assert_eq!(points_to(&knowledge).as_deref(), Some("k2"));
}

#[test]
fn what_was_asked_for_later_counts() {
    let (mut knowledge, begin) = (Knowledge::new(LIFE), Instant::now());
    let after = |seconds| begin + Duration::from_secs(seconds);
    let times = |asked, now| Times { asked: after(asked), now: after(now) };
    assert!(knowledge.alias("1", &alias(), key("k2"), times(1, 2)));
    assert!(knowledge.alias("1", &alias(), key("k1"), times(0, 3)), "something newer is believed");
    assert_eq!(points_to(&knowledge).as_deref(), Some("k2"));
    let what = Unresolved::Alias(Owned { region: "r".to_owned(), account: "1".to_owned(), name: alias() });
    knowledge.forget_absent(&what, after(0));
    assert_eq!(points_to(&knowledge).as_deref(), Some("k2"));
    // Forgotten, it still was newer.
    assert!(knowledge.take_changed(after(2) + LIFE).is_some());
    assert!(!knowledge.alias("1", &alias(), key("k1"), times(0, 20)));
    assert!(knowledge.alias("1", &alias(), key("k1"), times(20, 21)));
    knowledge.forget_absent(&what, after(22));
    assert!(!knowledge.alias("1", &alias(), key("k1"), times(21, 23)));
    assert_eq!(points_to(&knowledge), None);
    // However many there are.
    (0..=CHANGES_MAX).for_each(|number| knowledge.note_change(Name::Version(number.to_string()), after(30)));
    knowledge.note_change(Name::Version("v".to_owned()), after(5));
    assert!(!knowledge.alias("1", &alias(), key("k1"), times(29, 31)));
    assert!(knowledge.alias("1", &alias(), key("k1"), times(31, 32)));
}

#[test]
fn what_may_change_yet_is_not_believed_for_long() {
    let (mut knowledge, begun) = (Knowledge::new(LIFE * 100), Instant::now());
    let name = || Name::Alias("1".to_owned(), alias());
    let (moment, mut now) = (Duration::from_millis(1), begun + Duration::from_millis(1));
    knowledge.begin_change(name(), begun);
    for _ in 0..3 {
        assert!(knowledge.alias("1", &alias(), key("k1"), at(now)));
        knowledge.take_changed(now);
        assert_eq!(points_to(&knowledge).as_deref(), Some("k1"), "what is heard again is believed again");
        now += BELIEVED_MEANWHILE;
    }
    knowledge.take_changed(now);
    assert_eq!(points_to(&knowledge), None);
    // Another one begins and ends while the first is on its way.
    knowledge.begin_change(name(), now);
    knowledge.end_change(name(), now, false, now + moment);
    now += moment * 2;
    knowledge.alias("1", &alias(), key("k2"), at(now));
    knowledge.take_changed(now + BELIEVED_MEANWHILE);
    assert_eq!(points_to(&knowledge), None);
    now += BELIEVED_MEANWHILE;
    for (may_happen, left) in [(true, None), (false, Some("k3"))] {
        knowledge.may_change_until.clear();
        knowledge.begin_change(name(), now);
        knowledge.end_change(name(), now, may_happen, now + moment);
        now += moment * 2;
        knowledge.alias("1", &alias(), key("k3"), at(now));
        now += BELIEVED_MEANWHILE;
        knowledge.take_changed(now);
        assert_eq!(points_to(&knowledge).as_deref(), left);
    }
}

#[test]
fn a_key_has_one_owner_and_who_says_something_else_is_not_believed() {
    let (mut knowledge, now) = (Knowledge::new(LIFE), Instant::now());
    let owner = |knowledge: &Knowledge| knowledge.index.owner_of(&key("k1")).map(str::to_owned);
    knowledge.version("1", &key("k1"), "v".to_owned(), at(now));
    assert!(!knowledge.heard.contains_key(&Name::Version("v".to_owned())), "nobody knows whose it is");
    knowledge.owner("1", &key("k1"), at(now));
    knowledge.version("2", &key("k1"), "v".to_owned(), at(now));
    assert!(!knowledge.heard.contains_key(&Name::Version("v".to_owned())), "it is another one's");
    knowledge.owner_found("2", &key("k1"), at(now));
    assert_eq!(owner(&knowledge).as_deref(), Some("1"), "what KMS said counts");
    knowledge.owner("2", &key("k1"), at(now));
    assert_eq!(owner(&knowledge), None, "KMS says two things");
}
