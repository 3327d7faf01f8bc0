//! What is decided: keys with policies, users, and questions, in no engine's form.
//!
//! One account. Every key has a policy of three statements: the account is the owner and delegates to RAM; one user may
//! use the key; another user must not. Every other user has a RAM policy, which lets it look at all keys and decrypt.

/// The account that owns everything.
pub const ACCOUNT: &str = "1234567890123456";
/// How many users the account has.
pub const USERS: usize = 100;
/// How many questions are asked.
pub const QUESTIONS: usize = 1_000;
/// What is asked for.
pub const ACTIONS: [&str; 5] = ["Encrypt", "Decrypt", "GenerateDataKey", "DescribeKey", "ScheduleKeyDeletion"];
/// What a key's policy grants to one user, and refuses to another.
pub const USE: [&str; 3] = ["Encrypt", "Decrypt", "GenerateDataKey"];
/// What the RAM policy grants, of the actions that are asked for.
pub const BY_RAM: [&str; 2] = ["Decrypt", "DescribeKey"];

/// A key and whom its policy names.
pub struct Key {
    /// Its id.
    pub id: String,
    /// The user that may use it.
    pub allowed: usize,
    /// The user that must not.
    pub barred: usize,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The account itself.
    Root,
    /// One of its users.
    User(usize),
}

/// Who wants to do what with which key.
#[derive(Clone, Copy)]
pub struct Question {
    /// Who asks.
    pub who: Who,
    /// For what: an action without its prefix.
    pub action: &'static str,
    /// A place in [`Scenario::keys`].
    pub key: usize,
}

/// Keys and questions about them.
pub struct Scenario {
    /// All keys.
    pub keys: Vec<Key>,
    /// What is asked, in an order without a pattern.
    pub questions: Vec<Question>,
}

impl Scenario {
    /// The scenario with so many keys; always the same for the same number.
    pub fn new(keys: usize) -> Self {
        let mut chance = Chance(keys as u64);
        let keys: Vec<Key> = (0..keys).map(|index| Key::new(index, &mut chance)).collect();
        let questions = (0..QUESTIONS).map(|_| Question::new(&keys, &mut chance)).collect();
        Self { keys, questions }
    }
}

/// The name of a user.
pub fn user_name(user: usize) -> String {
    format!("user{user:02}")
}

/// Whether the RAM policy is attached to this user.
pub fn has_ram_policy(user: usize) -> bool {
    user.is_multiple_of(2)
}

impl Key {
    fn new(index: usize, chance: &mut Chance) -> Self {
        let allowed = chance.below(USERS);
        let barred = (allowed + 1 + chance.below(USERS - 1)) % USERS;
        Self { id: format!("key-{:05x}{index:08}", chance.below(1 << 20)), allowed, barred }
    }
}

impl Question {
    /// Four in ten come from the user that may use the key, two from the one that must not, the rest from anybody.
    fn new(keys: &[Key], chance: &mut Chance) -> Self {
        let at = chance.below(keys.len());
        let who = match chance.below(100) {
            0..40 => Who::User(keys[at].allowed),
            40..60 => Who::User(keys[at].barred),
            60..98 => Who::User(chance.below(USERS)),
            _ => Who::Root,
        };
        Self { who, action: ACTIONS[chance.below(ACTIONS.len())], key: at }
    }
}

/// Numbers without a pattern, the same in every run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
