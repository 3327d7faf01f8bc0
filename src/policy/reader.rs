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
            // RAM has the names of roles without regard to case; KMS's names are as they are written.
            let of_role = resource.starts_with("acs:ram:") || resource.contains(":role/");
            patterns.push(if of_role { Pattern::ignoring_case(&resource) } else { Pattern::exact(&resource) });
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
mod tests;
