//! What has to be asked of a KMS elsewhere before a verdict counts. Who asks has the request judged again, until nothing is
//! open any more. Pure.

use super::unresolved::{Hearsay, Inquiry, Unresolved};
use super::{Judgement, Rejection, Unknown};

/// How often KMS is asked for names before one request is judged: an operation on many resources may need the tags of each.
const QUESTIONS_MAX: usize = 128;

/// How often KMS is asked for one name that was told, and changed by somebody else before it could be used.
const FORGOTTEN_MAX: usize = 3;

impl Judgement {
    /// What has to be asked before the verdict counts, if anything; after what was `asked` already, and came to that. What
    /// nobody tells is refused.
    pub fn open_question(&mut self, asked: &[(Unresolved, Inquiry)]) -> Option<Unresolved> {
        let came_to = |what: &Unresolved| asked.iter().rfind(|(asked, _)| asked == what).map(|(_, came_to)| *came_to);
        let is_open = |what: &Unresolved| came_to(what).is_none() && asked.len() < QUESTIONS_MAX;
        if let Err(Rejection::Unresolved(unknown)) = &mut self.verdict {
            unknown.inquiry = came_to(&unknown.what).unwrap_or_default();
            let times = asked.iter().filter(|(asked, _)| *asked == unknown.what).count();
            let is_forgotten = unknown.inquiry == Inquiry::Learned && times < FORGOTTEN_MAX;
            let open = Some(unknown.what.clone()).filter(|what| is_open(what) || is_forgotten);
            // Why nobody knows is known only now.
            self.trail.refuse(&self.verdict);
            return open;
        }
        if let Some(heard) = self.hearsay.iter().find(|heard| is_open(&heard.what)) {
            return Some(heard.what.clone());
        }
        // What KMS looks up by itself cannot be left to hearsay.
        let is_left = |heard: &&Hearsay| !heard.is_named && came_to(&heard.what) != Some(Inquiry::Learned);
        if let (Ok(_), Some(heard)) = (&self.verdict, self.hearsay.iter().find(is_left)) {
            let (what, inquiry) = (heard.what.clone(), came_to(&heard.what).unwrap_or_default());
            self.verdict = Err(Rejection::Unresolved(Unknown { what, may_know: true, inquiry }));
            self.trail.refuse(&self.verdict);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Owned, Trail, Version};
    use super::*;
    use crate::kms::{AliasName, ErrorCode};

    fn alias(name: &str) -> Unresolved {
        let name = AliasName::parse(&format!("alias/{name}")).unwrap();
        Unresolved::Alias(Owned { region: "r".to_owned(), account: "1".to_owned(), name })
    }

    fn judged(verdict: Rejection, hearsay: &[&str]) -> Judgement {
        let hearsay = hearsay.iter().map(|name| Hearsay { what: alias(name), is_named: true }).collect();
        let trail = Trail::new(Version { generation: 1, hash: "h".into() });
        Judgement { trail, once: None, asker: "a".into(), hearsay, verdict: Err(verdict) }
    }

    fn unknown(name: &str) -> Judgement {
        let unknown = Unknown { what: alias(name), may_know: true, inquiry: Inquiry::Untold };
        judged(Rejection::Unresolved(unknown), &[])
    }

    #[test]
    fn what_nobody_tells_is_asked_once_and_what_was_forgotten_a_few_times() {
        let came_to = |inquiry, times| vec![(alias("a"), inquiry); times];
        for (asked, is_open, reason, status) in [
            (vec![], true, "unknown_alias", 403),
            (vec![(alias("b"), Inquiry::Untold)], true, "unknown_alias", 403),
            (came_to(Inquiry::Untold, 1), false, "unknown_alias", 403),
            (came_to(Inquiry::Absent, 1), false, "unknown_alias", 404),
            (came_to(Inquiry::Refused, 1), false, "question_refused", 403),
            (came_to(Inquiry::Failed, 1), false, "question_failed", 503),
            (came_to(Inquiry::Learned, FORGOTTEN_MAX - 1), true, "unknown_alias", 403),
            (came_to(Inquiry::Learned, FORGOTTEN_MAX), false, "unknown_alias", 403),
            (vec![(alias("b"), Inquiry::Untold); QUESTIONS_MAX], false, "unknown_alias", 403),
        ] {
            let mut judgement = unknown("a");
            assert_eq!(judgement.open_question(&asked), is_open.then(|| alias("a")), "{reason}");
            let Err(rejection) = &judgement.verdict else { panic!("it is refused") };
            assert_eq!((judgement.trail.reason, rejection.error().status), (Some(reason), status));
        }
    }

    #[test]
    fn a_refusal_that_rests_on_hearsay_is_asked_about_before_it_is_given() {
        let mut judgement = judged(Rejection::Malformed(ErrorCode::NoPermission.into()), &["a", "b"]);
        assert_eq!(judgement.open_question(&[]), Some(alias("a")));
        let mut asked = vec![(alias("a"), Inquiry::Learned)];
        assert_eq!(judgement.open_question(&asked), Some(alias("b")));
        asked.push((alias("b"), Inquiry::Failed));
        assert_eq!(judgement.open_question(&asked), None);
        assert!(matches!(judgement.verdict, Err(Rejection::Malformed(_))), "it stays what it was");
    }
}
