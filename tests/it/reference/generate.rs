//! Hostile policies and questions, made from a seed.
//!
//! What is made is legal: `legal` makes what is not. Each set of policies has a theme of a few callers, actions and
//! resources, so that patterns and questions meet.

use keyward::authz::vocabulary;

use super::corpus::*;
use super::document::Attached;
use super::evaluate::{KEYS, KEYS_WITH_NAMES, OPERATORS, Reading, Request};
use super::json::Json;

/// Choices: those that bytes say, as long as there are any, and then random ones that a seed repeats (SplitMix64).
pub struct Dice {
    /// From the last to the first.
    bytes: Vec<u8>,
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { bytes: Vec::new(), state: seed }
    }

    /// For those who look for choices of their own, as fuzzers do.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.iter().rev().copied().collect(), state: 0 }
    }

    fn roll(&mut self) -> u64 {
        if let Some(byte) = self.bytes.pop() {
            return byte.into();
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn word(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// The policies that apply together, as documents.
#[derive(Debug, Clone)]
pub struct Set {
    pub identity: Vec<Json>,
    pub session: Option<Json>,
    pub resource: Option<(Attached, Json)>,
    theme: Theme,
}

/// What policies and questions of one set speak about.
#[derive(Debug, Clone)]
struct Theme {
    owner: String,
    callers: Vec<String>,
    actions: Vec<String>,
    resources: Vec<String>,
}

impl Set {
    pub fn roll(dice: &mut Dice) -> Self {
        let theme = Theme::roll(dice);
        let identity = (0..dice.below(4)).map(|_| theme.policy(dice, Attached::Ram)).collect();
        let session = dice.chance(50).then(|| theme.policy(dice, Attached::Ram));
        let attached = *dice.pick(&[Attached::Key, Attached::Secret]);
        let resource = dice.chance(80).then(|| (attached, theme.policy(dice, attached)));
        Self { identity, session, resource, theme }
    }

    /// One more statement about the same things.
    pub fn roll_statement(&self, dice: &mut Dice, attached: Attached, effect: &'static str) -> Json {
        let mut statement = self.theme.statement(dice, attached);
        *statement.member_mut("Effect").unwrap() = Json::text(effect);
        statement
    }

    pub fn roll_request(&self, dice: &mut Dice) -> Request {
        let theme = &self.theme;
        let caller = if dice.chance(90) { dice.pick(&theme.callers).clone() } else { any_caller(dice, &theme.owner) };
        let action = if dice.chance(85) { dice.pick(&theme.actions).clone() } else { any_action(dice) };
        let resource = if dice.chance(85) { dice.pick(&theme.resources).clone() } else { theme.any_resource(dice) };
        Request {
            caller,
            action,
            resource,
            owner: theme.owner.clone(),
            context: roll_context(dice),
            reading: *dice.pick(&[Reading::Delegation, Reading::Delegation, Reading::Literal]),
        }
    }
}

impl Theme {
    fn roll(dice: &mut Dice) -> Self {
        let owner = dice.word(ACCOUNTS).to_owned();
        let callers = (0..4).map(|_| any_caller(dice, &owner)).collect();
        let actions = (0..3).map(|_| any_action(dice)).collect();
        let mut theme = Self { owner, callers, actions, resources: Vec::new() };
        theme.resources = (0..3).map(|_| theme.any_resource(dice)).collect();
        theme
    }

    fn any_resource(&self, dice: &mut Dice) -> String {
        self.owned(dice.word(RESOURCES))
    }

    fn owned(&self, text: &str) -> String {
        text.replace('@', &self.owner)
    }

    fn policy(&self, dice: &mut Dice, attached: Attached) -> Json {
        let most = if attached != Attached::Ram && dice.chance(15) { 15 } else { 4 };
        let statements = (0..=dice.below(most)).map(|_| self.statement(dice, attached)).collect();
        policy_of(statements)
    }

    fn statement(&self, dice: &mut Dice, attached: Attached) -> Json {
        let effect = if dice.chance(20) { "Deny" } else { "Allow" };
        let mut members = vec![("Effect", Json::text(effect))];
        if attached != Attached::Ram {
            let entries = some_of(dice, 3, |dice| self.principal(dice));
            members.push(("Principal", Json::object([("RAM", entries)])));
        }
        let action = if attached == Attached::Ram && dice.chance(15) { "NotAction" } else { "Action" };
        members.push((action, some_of(dice, 3, |dice| self.action_pattern(dice, attached))));
        members.push(("Resource", some_of(dice, 2, |dice| self.resource_pattern(dice))));
        if dice.chance(45) {
            members.push(("Condition", roll_condition(dice)));
        }
        if dice.chance(20) {
            members.push(("Sid", Json::text("Some statement")));
        }
        dice.shuffle(&mut members);
        Json::object(members)
    }

    fn principal(&self, dice: &mut Dice) -> String {
        let caller = if dice.chance(80) { dice.pick(&self.callers).clone() } else { any_caller(dice, &self.owner) };
        let parts: Vec<&str> = caller.splitn(5, ':').collect();
        let account = parts[3];
        let who = match parts[4].split('/').collect::<Vec<_>>()[..] {
            _ if dice.chance(25) => dice.word(&["*", "*", "root"]).to_owned(),
            ["user", name] => format!("user/{}", distort(dice, name)),
            [_, role, _] if dice.chance(70) => format!("role/{}", distort(dice, role)),
            [_, role, session] => format!("assumed-role/{}/{}", distort(dice, role), distort(dice, session)),
            _ => "root".to_owned(),
        };
        format!("acs:ram::{account}:{who}")
    }

    fn action_pattern(&self, dice: &mut Dice, attached: Attached) -> String {
        if dice.chance(20) {
            return dice.word(if attached == Attached::Ram { &["*", "kms:*", "*:*"] } else { &["kms:*"] }).to_owned();
        }
        let action = if dice.chance(80) { dice.pick(&self.actions).clone() } else { any_action(dice) };
        let name = action.split_once(':').map_or("Encrypt", |(_, name)| name);
        let service = if attached == Attached::Ram { dice.word(&["kms", "kms", "k*", "?ms"]) } else { "kms" };
        format!("{}:{}", odd_case(dice, service), distort(dice, name))
    }

    fn resource_pattern(&self, dice: &mut Dice) -> String {
        if dice.chance(50) {
            return self.owned(dice.word(RESOURCE_PATTERNS));
        }
        let resource = dice.pick(&self.resources).clone();
        match resource.split_once(':') {
            Some(("acs", rest)) => format!("acs:{}", distort(dice, rest)),
            _ => resource,
        }
    }
}

pub fn policy_of(statements: Vec<Json>) -> Json {
    Json::object([("Version", Json::text("1")), ("Statement", Json::List(statements))])
}

/// One to `most` strings; one alone is sometimes written without brackets.
fn some_of(dice: &mut Dice, most: usize, mut make: impl FnMut(&mut Dice) -> String) -> Json {
    let texts: Vec<String> = (0..=dice.below(most)).map(|_| make(dice)).collect();
    match &texts[..] {
        [one] if dice.chance(50) => Json::text(one),
        _ => Json::texts(texts),
    }
}

/// Half of all callers are of the account that owns the resource.
fn any_caller(dice: &mut Dice, owner: &str) -> String {
    let account = if dice.chance(50) { owner } else { dice.word(ACCOUNTS) };
    let (user, role, session) = (dice.word(USERS), dice.word(ROLES), dice.word(SESSIONS));
    match dice.below(20) {
        0..2 => format!("acs:ram::{account}:root"),
        2..10 => format!("acs:ram::{account}:user/{user}"),
        10..18 => format!("acs:ram::{account}:assumed-role/{role}/{session}"),
        18 => format!("acs:sts::{account}:assumed-role/{role}/{session}"),
        _ => format!("acs:ram::{account}:role/{role}/{session}"),
    }
}

fn any_action(dice: &mut Dice) -> String {
    if dice.chance(15) {
        return dice.word(STRANGE_ACTIONS).to_owned();
    }
    let action = dice.pick(vocabulary().actions()).name;
    if dice.chance(10) { odd_case(dice, action) } else { action.to_owned() }
}

/// The text, now and then with wildcards or letters of the other case in it.
fn distort(dice: &mut Dice, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..dice.below(4).saturating_sub(1) {
        let at = dice.below(letters.len() + 1);
        match dice.below(5) {
            // The same letters before and behind the `*`: they must not be used twice.
            0 => {
                let behind = letters[at.saturating_sub(dice.below(3))..].to_vec();
                letters.truncate(at);
                letters.push('*');
                letters.extend(behind);
            }
            4 => drop(letters.splice(at.., ['*'])),
            1 => {
                let end = at + dice.below(letters.len() + 1 - at);
                letters.splice(at..end, ['*']);
            }
            2 if at < letters.len() && letters[at].is_ascii_alphanumeric() => letters[at] = '?',
            _ => letters = odd_case(dice, &letters.iter().collect::<String>()).chars().collect(),
        }
    }
    if letters.is_empty() { "*".to_owned() } else { letters.into_iter().collect() }
}

fn odd_case(dice: &mut Dice, text: &str) -> String {
    match dice.below(4) {
        0 => text.to_ascii_uppercase(),
        1 => text.to_ascii_lowercase(),
        2 => text.chars().map(|c| if dice.chance(50) { c.to_ascii_uppercase() } else { c }).collect(),
        _ => text.to_owned(),
    }
}

/// One to three clauses.
fn roll_condition(dice: &mut Dice) -> Json {
    let mut operators: Vec<(&'static str, Json)> = Vec::new();
    for _ in 0..=dice.below(3) {
        let operator = dice.word(OPERATORS);
        if operators.iter().any(|(earlier, _)| *earlier == operator) {
            continue;
        }
        let mut keys: Vec<(String, Json)> = Vec::new();
        for _ in 0..=dice.below(5) / 4 {
            let key = roll_key(dice, operator);
            if !keys.iter().any(|(earlier, _)| *earlier == key) {
                keys.push((key, some_values(dice, operator)));
            }
        }
        operators.push((operator, Json::Object(keys)));
    }
    Json::object(operators)
}

fn roll_key(dice: &mut Dice, operator: &str) -> String {
    let fitting: &[&str] = match family(operator) {
        Family::Date => &["acs:CurrentTime"],
        Family::Flag => &["acs:SecureTransport", "acs:MFAPresent"],
        Family::Address => &["acs:SourceIp", "acs:VpcSourceIp"],
        Family::Text => &["acs:PrincipalARN", "acs:SourceVpc", "kms:EncryptionAlgorithm"],
        Family::Number => &[],
    };
    let key = match dice.below(20) {
        0..9 if !fitting.is_empty() => dice.word(fitting).to_owned(),
        9..11 => dice.word(KEYS).to_owned(),
        11 => dice.word(STRANGE_KEYS).to_owned(),
        _ => {
            let start = dice.word(KEYS_WITH_NAMES);
            let start = if dice.chance(20) { odd_case(dice, start) } else { start.to_owned() };
            return format!("{start}{}", dice.word(TAGS));
        }
    };
    if dice.chance(20) { odd_case(dice, &key) } else { key }
}

enum Family {
    Text,
    Number,
    Date,
    Flag,
    Address,
}

fn family(operator: &str) -> Family {
    match operator {
        "Bool" => Family::Flag,
        "IpAddress" | "NotIpAddress" => Family::Address,
        _ if operator.starts_with("Numeric") => Family::Number,
        _ if operator.starts_with("Date") => Family::Date,
        _ => Family::Text,
    }
}

/// One to three values that the operator can use; numbers and booleans are sometimes written bare.
fn some_values(dice: &mut Dice, operator: &str) -> Json {
    let values = match family(operator) {
        Family::Number if dice.chance(10) => return Json::Number(dice.word(&["0", "10", "-1", "9.99"]).to_owned()),
        Family::Flag if dice.chance(10) => return Json::Flag(dice.chance(50)),
        Family::Text if operator.ends_with("Like") => TEXT_PATTERNS,
        Family::Text if dice.chance(30) => return Json::text(any_value(dice)),
        Family::Text => TEXTS,
        Family::Number => NUMBERS,
        Family::Date => DATES,
        Family::Flag => FLAGS,
        Family::Address => NETWORKS,
    };
    some_of(dice, 3, |dice| dice.word(values).to_owned())
}

/// A value of any kind, now and then of none.
fn any_value(dice: &mut Dice) -> String {
    let kinds = [TEXTS, NUMBERS, DATES, FLAGS, ADDRESSES, NO_NUMBERS, NO_DATES, NO_FLAGS, NO_NETWORKS];
    let kind = *dice.pick(&kinds);
    dice.word(kind).to_owned()
}

fn roll_context(dice: &mut Dice) -> Vec<(String, String)> {
    let mut context = Vec::new();
    for key in KEYS {
        if dice.chance(30) {
            continue;
        }
        let value = match *key {
            "acs:SourceIp" | "acs:VpcSourceIp" => dice.word(ADDRESSES).to_owned(),
            "acs:CurrentTime" => dice.word(NOWS).to_owned(),
            "acs:SecureTransport" | "acs:MFAPresent" => dice.word(FLAGS).to_owned(),
            "acs:PrincipalARN" => dice.word(&["acs:ram::1:role/app", "acs:ram::1:user/alice"]).to_owned(),
            _ => dice.word(TEXTS).to_owned(),
        };
        context.push(((*key).to_owned(), value));
    }
    for start in KEYS_WITH_NAMES {
        for tag in TAGS {
            if dice.chance(60) {
                context.push((format!("{start}{tag}"), any_value(dice)));
            }
        }
    }
    context
}
