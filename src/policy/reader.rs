//! Reading a policy document: from JSON to statements.
//!
//! The grammar is read strictly: what is not in it is an error with its place, never ignored, because an element that
//! narrows a statement must not get lost. All problems of a text are reported together. Source: SetKeyPolicy and
//! SetSecretPolicy ("Policy"), RAM policy structure and syntax.

use super::condition::{Clause, OPERATORS, Operator};
use super::document::{Actions, Effect, Kind, Resources, Statement};
use super::pattern::{PATTERN_BYTES_MAX, Pattern};
use super::principal::PrincipalPattern;
use super::vocabulary::Vocabulary;
use crate::source::json::Node;
use crate::source::{Problem, suggest};

/// Reads one document and keeps every problem. A method that returns `None` has reported why.
pub(super) struct Reader<'v> {
    kind: Kind,
    vocabulary: &'v Vocabulary,
    problems: Vec<Problem>,
}

impl<'v> Reader<'v> {
    /// Reads the statements of a document.
    pub fn read(kind: Kind, vocabulary: &'v Vocabulary, root: Node<'_>) -> Result<Vec<Statement>, Vec<Problem>> {
        let mut reader = Self { kind, vocabulary, problems: Vec::new() };
        let statements = reader.document(root).unwrap_or_default();
        if reader.problems.is_empty() {
            return Ok(statements);
        }
        reader.problems.sort();
        Err(reader.problems)
    }

    fn document(&mut self, root: Node<'_>) -> Option<Vec<Statement>> {
        let members = self.keep(root.members())?;
        self.refuse_unknown(&members, &["Version", "Statement"]);
        match find(&members, "Version") {
            None => self.report(root, "`Version` is missing; write \"Version\": \"1\""),
            Some(version) => {
                if self.keep(version.string()).is_some_and(|version| version != "1") {
                    self.report(version, "`Version` must be \"1\"");
                }
            }
        }
        let Some(statement) = find(&members, "Statement") else {
            self.report(root, "`Statement` is missing; it is an array of statements");
            return None;
        };
        let statements = self.keep(statement.elements())?;
        if statements.is_empty() {
            self.report(statement, "`Statement` is empty; a policy has at least one statement");
        }
        statements.into_iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, node: Node<'_>) -> Option<Statement> {
        let members = self.keep(node.members())?;
        self.refuse_unknown(&members, self.kind.members());
        let conditions = find(&members, "Condition").map_or(Some(Vec::new()), |node| self.conditions(node));
        let sid = find(&members, "Sid").and_then(|sid| self.sid(sid));
        let effect = self.require(node, &members, "Effect").and_then(|effect| self.effect(effect));
        let principals = match self.kind {
            Kind::Ram => Some(Vec::new()),
            Kind::Key | Kind::Secret => {
                self.require(node, &members, "Principal").and_then(|principal| self.principals(principal))
            }
        };
        let actions = self.actions(node, &members);
        let resources = self.require(node, &members, "Resource").and_then(|resource| self.resources(resource));
        Some(Statement {
            sid: sid.map(Into::into),
            effect: effect?,
            principals: principals?.into(),
            actions: actions?,
            resources: Resources::new(resources?),
            conditions: conditions?.into(),
            position: node.position(),
        })
    }

    /// At most 128 characters from `A-Za-z0-9_/+=.@-`. Alibaba's own default policies have spaces in theirs, so
    /// spaces are taken too.
    fn sid(&mut self, node: Node<'_>) -> Option<String> {
        let sid = self.keep(node.string())?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_/+=.@- ".contains(c);
        if sid.chars().count() > 128 || !sid.chars().all(legal) {
            self.report(node, "`Sid` may have at most 128 characters, from A-Z a-z 0-9 _ / + = . @ - and space");
        }
        Some(sid)
    }

    fn effect(&mut self, node: Node<'_>) -> Option<Effect> {
        match self.keep(node.string())?.as_str() {
            "Allow" => Some(Effect::Allow),
            "Deny" => Some(Effect::Deny),
            _ => {
                self.report(node, "`Effect` must be \"Allow\" or \"Deny\"");
                None
            }
        }
    }

    fn principals(&mut self, node: Node<'_>) -> Option<Vec<PrincipalPattern>> {
        let members = self.keep(node.members())?;
        if let Some((name, value)) = members.iter().find(|(name, _)| name != "RAM") {
            let what = "a principal is an account, a RAM user or a RAM role: { \"RAM\": [\"acs:ram::…\"] }";
            self.report(*value, format!("unknown member `{name}` of `Principal`; {what}"));
            return None;
        }
        let ram = self.require(node, &members, "RAM")?;
        self.strings("Principal", ram)?
            .into_iter()
            .map(|(place, text)| self.keep(PrincipalPattern::parse(&text).map_err(|what| place.problem(what))))
            .collect()
    }

    fn actions(&mut self, node: Node<'_>, members: &[(String, Node<'_>)]) -> Option<Actions> {
        let both = (find(members, "Action"), find(members, "NotAction").filter(|_| self.kind == Kind::Ram));
        match both {
            (Some(action), None) => Some(self.compiled(false, "Action", action)?),
            (None, Some(action)) => Some(self.compiled(true, "NotAction", action)?),
            (None, None) => {
                self.report(node, "`Action` is missing");
                None
            }
            (Some(_), Some(not_action)) => {
                self.report(not_action, "a statement has `Action` or `NotAction`, not both");
                None
            }
        }
    }

    fn compiled(&mut self, negated: bool, member: &str, node: Node<'_>) -> Option<Actions> {
        let patterns = self.action_patterns(member, node)?;
        Some(Actions::new(negated, patterns, self.vocabulary))
    }

    fn action_patterns(&mut self, member: &str, node: Node<'_>) -> Option<Box<[Pattern]>> {
        let mut patterns = Vec::new();
        for (place, action) in self.strings(member, node)? {
            let prefix = action.split_once(':').map(|(prefix, _)| prefix);
            let fits = match self.kind {
                Kind::Key | Kind::Secret => prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("kms")),
                Kind::Ram => action == "*" || prefix.is_some_and(|prefix| !prefix.is_empty()),
            };
            let legal = action.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":*?-_".contains(&byte));
            if !fits || !legal {
                let right = if self.kind == Kind::Ram {
                    "\"kms:Encrypt\", \"kms:*\" or \"*\""
                } else {
                    "\"kms:Encrypt\" or \"kms:*\""
                };
                self.report(place, format!("action `{action}` is of no known form; write for example {right}"));
            }
            patterns.push(Pattern::ignoring_case(&action));
        }
        Some(patterns.into())
    }

    fn resources(&mut self, node: Node<'_>) -> Option<Vec<Pattern>> {
        let mut patterns = Vec::new();
        for (place, resource) in self.strings("Resource", node)? {
            if !can_name_an_arn(&resource) {
                let right = "write \"*\" or an ARN such as \"acs:kms:*:ACCOUNT:key/*\"";
                self.report(place, format!("resource `{resource}` can match nothing; {right}"));
            }
            patterns.push(Pattern::exact(&resource));
        }
        Some(patterns)
    }

    /// Operator → key → values. Numbers and booleans are taken as if they were written as strings.
    fn conditions(&mut self, node: Node<'_>) -> Option<Vec<Clause>> {
        let mut clauses = Vec::new();
        for (name, keys) in self.keep(node.members())? {
            let Some(operator) = Operator::find(&name) else {
                self.report(keys, unknown_operator(&name));
                continue;
            };
            for (key, values) in self.keep(keys.members())? {
                clauses.extend(self.clause(operator, &key, values));
            }
        }
        Some(clauses)
    }

    fn clause(&mut self, operator: &'static Operator, key: &str, node: Node<'_>) -> Option<Clause> {
        let nodes = if node.kind() == "an array" { self.keep(node.elements())? } else { vec![node] };
        if nodes.is_empty() {
            self.report(node, format!("`{key}` has no values"));
        }
        let values = nodes.iter().map(|node| self.keep(node.scalar())).collect::<Option<Vec<_>>>()?;
        if let Some((long, _)) = nodes.iter().zip(&values).find(|(_, value)| value.len() > PATTERN_BYTES_MAX) {
            self.report(*long, format!("may have at most {PATTERN_BYTES_MAX} bytes"));
        }
        match Clause::new(operator, key, &values) {
            Ok(clause) => Some(clause),
            Err((index, right)) => {
                let place = nodes.get(index).copied().unwrap_or(node);
                self.report(place, format!("`{}` needs {right}", operator.name));
                None
            }
        }
    }

    /// The strings at `node`: one string, or an array of at least one.
    fn strings<'a>(&mut self, member: &str, node: Node<'a>) -> Option<Vec<(Node<'a>, String)>> {
        let elements = match node.kind() {
            "a string" => vec![node],
            "an array" => self.keep(node.elements())?,
            other => {
                self.report(node, format!("`{member}` must be a string or an array of strings, not {other}"));
                return None;
            }
        };
        if elements.is_empty() {
            self.report(node, format!("`{member}` is empty"));
        }
        let mut strings = Vec::new();
        for element in elements {
            let string = self.keep(element.string())?;
            if string.len() > PATTERN_BYTES_MAX {
                self.report(element, format!("may have at most {PATTERN_BYTES_MAX} bytes"));
            }
            strings.push((element, string));
        }
        Some(strings)
    }

    fn require<'a>(&mut self, node: Node<'a>, members: &[(String, Node<'a>)], name: &str) -> Option<Node<'a>> {
        let found = find(members, name);
        if found.is_none() {
            self.report(node, format!("`{name}` is missing"));
        }
        found
    }

    fn refuse_unknown(&mut self, members: &[(String, Node<'_>)], known: &[&'static str]) {
        for (name, value) in members.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let hint = suggest(name, known.iter().copied());
            self.report(*value, format!("unknown member `{name}` in {}{hint}", self.kind.noun()));
        }
    }

    fn report(&mut self, node: Node<'_>, message: impl Into<String>) {
        self.problems.push(node.problem(message));
    }

    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// Whether a resource begins as ARNs do, as far as that is said before its first wildcard.
fn can_name_an_arn(resource: &str) -> bool {
    let fixed = resource.split(['*', '?']).next().unwrap_or_default();
    fixed.starts_with("acs:") || (fixed.len() < resource.len() && "acs:".starts_with(fixed))
}

fn unknown_operator(name: &str) -> String {
    let unsupported = name.ends_with("IfExists") || name == "Null" || name.contains(':');
    if unsupported {
        return format!("the condition operator `{name}` is not supported by RAM, so KMS refuses it too");
    }
    format!("unknown condition operator `{name}`{}", suggest(name, OPERATORS.iter().map(|operator| operator.name)))
}

fn find<'a>(members: &[(String, Node<'a>)], name: &str) -> Option<Node<'a>> {
    members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::super::document::Policy;
    use super::super::vocabulary::KnownAction;
    use super::*;

    const OWNER: &str = r#"{"Statement":[{"Action":["kms:*"],"Effect":"Allow","Principal":{"RAM":["acs:ram::1:*"]},
        "Resource":["*"],"Sid":"kms default key policy"}],"Version":"1"}"#;

    fn vocabulary() -> Vocabulary {
        let known = |name| KnownAction { name, in_key_policies: true, in_secret_policies: false };
        Vocabulary::new(["kms:Encrypt", "kms:ListKeys"].map(known))
    }

    fn includes(policy: &Policy, action: &str) -> bool {
        policy.statements[0].actions.include(vocabulary().action(action))
    }

    fn problems(kind: Kind, text: &str) -> Vec<String> {
        let problems = Policy::parse(kind, "p", text, &vocabulary()).err().unwrap_or_default();
        problems.iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn the_documented_default_policy_is_accepted() {
        let policy = Policy::parse(Kind::Key, "p", OWNER, &vocabulary()).unwrap();
        assert_eq!(policy.statements[0].sid.as_deref(), Some("kms default key policy"));
        assert!(includes(&policy, "kms:Encrypt"));
    }

    #[test]
    fn strings_and_arrays_are_the_same_where_both_are_legal() {
        let text = r#"{"Version":"1","Statement":[{"Effect":"Deny","NotAction":"kms:List*","Resource":"*"}]}"#;
        let policy = Policy::parse(Kind::Ram, "p", text, &vocabulary()).unwrap();
        assert!(includes(&policy, "kms:Encrypt"));
        assert!(!includes(&policy, "KMS:listkeys"));
    }

    /// One row for each way to be wrong: kind, the statement, and the beginning of the only problem.
    #[test]
    fn what_the_grammar_does_not_have_is_refused() {
        let principal = r#""Principal":{"RAM":"acs:ram::1:root"}"#;
        let rest = r#""Effect":"Allow","Action":"kms:*","Resource":"*""#;
        for (kind, statement, problem) in [
            (
                Kind::Ram,
                format!(r#"{{{rest},"Efect":"Deny"}}"#),
                "unknown member `Efect` in a RAM policy; did you mean",
            ),
            (Kind::Ram, format!(r#"{{{rest},{principal}}}"#), "unknown member `Principal` in a RAM policy"),
            (Kind::Key, format!("{{{rest}}}"), "`Principal` is missing"),
            (
                Kind::Key,
                format!(r#"{{{rest},"Principal":{{"Service":"x"}}}}"#),
                "unknown member `Service` of `Principal`",
            ),
            (Kind::Key, format!(r#"{{{rest},"Principal":"*"}}"#), "expected an object, found a string"),
            (Kind::Key, format!(r#"{{{rest},"Principal":{{"RAM":"*"}}}}"#), "principal `*` does not start with"),
            (
                Kind::Key,
                format!(r#"{{{rest},{principal},"NotAction":"kms:*"}}"#),
                "unknown member `NotAction` in a key",
            ),
            (Kind::Ram, format!(r#"{{{rest},"NotResource":"*"}}"#), "unknown member `NotResource`"),
            (
                Kind::Ram,
                format!(r#"{{{rest},"NotAction":"kms:*"}}"#),
                "a statement has `Action` or `NotAction`, not both",
            ),
            (Kind::Ram, format!(r#"{{{rest},"Effect":"Deny"}}"#), "member `Effect` is given twice"),
            (Kind::Ram, r#"{"Effect":"allow","Action":"*","Resource":"*"}"#.into(), "`Effect` must be"),
            (Kind::Ram, r#"{"Effect":"Allow","Resource":"*"}"#.into(), "`Action` is missing"),
            (Kind::Ram, r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#.into(), "`Action` is empty"),
            (
                Kind::Ram,
                r#"{"Effect":"Allow","Action":"Encrypt","Resource":"*"}"#.into(),
                "action `Encrypt` is of no known",
            ),
            (
                Kind::Ram,
                r#"{"Effect":"Allow","Action":"*","Resource":"key/x"}"#.into(),
                "resource `key/x` can match nothing",
            ),
            (
                Kind::Ram,
                r#"{"Effect":"Allow","Action":[1],"Resource":"*"}"#.into(),
                "expected a string, found a number",
            ),
            (Kind::Ram, format!(r#"{{{rest},"Sid":"a;b"}}"#), "`Sid` may have at most 128 characters"),
            (
                Kind::Key,
                r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":{"RAM":"acs:ram::1:*"}}"#.into(),
                "action `*` is of no known form",
            ),
        ] {
            let text = format!(r#"{{"Version":"1","Statement":[{statement}]}}"#);
            let found = problems(kind, &text);
            assert_eq!(found.len(), 1, "{statement}: {found:?}");
            assert!(found[0].starts_with(problem), "{statement}: {found:?}");
        }
    }

    #[test]
    fn resources_begin_as_arns_do_or_with_a_wildcard() {
        for (resource, legal) in [
            ("*", true),
            ("acs:kms:*:1:key/*", true),
            ("*:key/k1", true),
            ("a*", true),
            ("?cs:kms:*", true),
            ("acs*", true),
            ("acs", false),
            ("", false),
            ("ACS:*", false),
            ("b*", false),
            ("key/*", false),
        ] {
            let text =
                format!(r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"*","Resource":"{resource}"}}]}}"#);
            assert_eq!(problems(Kind::Ram, &text).is_empty(), legal, "{resource}");
        }
    }

    #[test]
    fn documents_of_another_shape_are_refused() {
        for (text, problem) in [
            (r#"{"Version":"2","Statement":[]}"#, "`Version` must be \"1\""),
            (r#"{"Version":1,"Statement":[]}"#, "expected a string, found a number"),
            (r#"{"Version":"1","Statement":{}}"#, "expected an array, found an object"),
            (r#"{"Version":"1"}"#, "`Statement` is missing; it is an array of statements"),
            ("[]", "expected an object, found an array"),
        ] {
            assert!(problems(Kind::Ram, text).iter().any(|found| found == problem), "{text}");
        }
    }

    #[test]
    fn all_problems_are_reported_together_with_their_lines() {
        let text = "{\n\"Version\": \"3\",\n\"Statement\": [\n{\"Effect\": \"No\", \"Resource\": \"*\"}\n]}";
        let found: Vec<String> =
            Policy::parse(Kind::Ram, "p", text, &vocabulary()).unwrap_err().iter().map(|p| p.to_string()).collect();
        let expected = ["2:12: `Version` must be", "4:1: `Action` is missing", "4:12: `Effect` must be"];
        assert_eq!(found.len(), 3);
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
    }

    #[test]
    fn sizes_are_bounded() {
        let large = format!("{}{}", " ".repeat(Kind::Key.size_max()), OWNER);
        assert!(problems(Kind::Key, &large)[0].starts_with("a key policy may have at most 32768 bytes"));
    }
}
