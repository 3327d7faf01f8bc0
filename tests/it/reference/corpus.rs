//! The words that policies and questions are made of: few enough to meet often, odd enough to hurt.

/// Accounts; some are the beginning of another.
pub const ACCOUNTS: &[&str] = &["1", "12", "1234567890123456", "9"];
pub const USERS: &[&str] = &["alice", "Alice", "alice2", "bob", "a.b-c_d", "root", "role"];
pub const ROLES: &[&str] = &["app", "App", "app2", "AliyunOSSRole", "root", "user"];
pub const SESSIONS: &[&str] = &["s1", "S1", "ci@example.com", "s.1"];
/// Actions that no vocabulary knows, beside those of KMS.
pub const STRANGE_ACTIONS: &[&str] =
    &["kms:Frobnicate", "ram:ListUsers", "kms:", "kms:encrypt", "KMS:ENCRYPT", "oss:GetObject", "kms:Encrypt2", "kms"];
pub const RESOURCES: &[&str] = &[
    "*",
    "acs:kms:cn-hangzhou:@:key",
    "acs:kms:cn-hangzhou:@:key/key-hzz1",
    "acs:kms:cn-hangzhou:@:key/key-hzz12",
    "acs:kms:cn-hangzhou:@:key/KEY-hzz1",
    "acs:kms:eu-central-1:@:key/key-hzz1",
    "acs:kms:cn-hangzhou:@:secret",
    "acs:kms:cn-hangzhou:@:secret/db/prod",
    "acs:kms:cn-hangzhou:@:secret/db",
    "acs:kms:cn-hangzhou:@:secret/é",
    "acs:kms:cn-hangzhou:@:alias/example",
];
/// Patterns as people publish them.
pub const RESOURCE_PATTERNS: &[&str] = &[
    "*",
    "*",
    "*",
    "**",
    "*?",
    "acs:*",
    "acs:kms:*:@:*",
    "acs:kms:*:@:key/*",
    "acs:kms:*:*:key*",
    "acs:kms:*:*:secret/*",
    "acs:*:*cn-*:*:*",
    "a*",
    "?cs:kms:*",
    "*:key/*",
    "*hzz1",
    "acs:kms:cn-hangzhou:@:key/key-hzz?",
    "acs:kms:cn-hangzhou:@:secret/db*",
    "acs:kms:cn-hangzhou:@:secret/?",
];

pub const TAGS: &[&str] = &["Level", "level", "a/b", "É"];
pub const STRANGE_KEYS: &[&str] = &["kms:KeySpec", "acs:SourceIpx", "kms:tag/", "kms:tag", "acs", ":", ""];

pub const TEXTS: &[&str] =
    &["", "a", "A", "ab", "Apollo", "apollo", "É", "é", "a*", "?", "*", "vpc-1", "k", "\u{212a}", "true", "10"];
pub const TEXT_PATTERNS: &[&str] =
    &["*", "?", "", "a*", "a*a", "ab*b", "*a", "??", "*p*l*o", "vpc-*", "A?ollo", "acs:ram::*:role/*", "1*"];

pub const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "+0.0",
    "10",
    "10.0",
    "010",
    "9.99",
    "-1",
    "-10.5",
    "-0.5",
    ".5",
    "0.50",
    "5.",
    "79228162514264337593543950335",
    "79228162514264337593543950336",
    "-100000000000000000000000000000000000000001",
    "0.00000000000000000000000000001",
    "10.00000000000000000000000000000000000000",
    "9.99999999999999999999999999999999999999",
];
pub const NO_NUMBERS: &[&str] =
    &["", "ten", "1e3", "0x10", " 10", "10 ", "1_0", "10_", "1,5", "--1", "+", ".", "1.2.3", "١"];

/// Moments; several are the same one.
pub const DATES: &[&str] = &[
    "2026-01-02T03:04:05Z",
    "2026-01-02T11:04:05+08:00",
    "2026-01-01T19:04:05-0800",
    "2026-01-02T03:04:05.000Z",
    "2026-01-02T03:04:05.123Z",
    "2026-01-02T03:04:05.123456789Z",
    "2026-01-02T03:04Z",
    "2026-01-02T03:04:05-00:00",
    "2026-01-02T04:04:05+01",
    "2024-02-29T23:59:59+23:59",
    "1969-12-31T23:59:59.999Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
];
/// What a request can say the time is: one spelling only.
pub const NOWS: &[&str] = &[
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.123Z",
    "2026-01-02T03:04:05.123456789Z",
    "2026-01-02T03:04:00Z",
    "2024-02-29T00:00:59Z",
    "1969-12-31T23:59:59.999Z",
];
pub const NO_DATES: &[&str] = &[
    "soon",
    "2026-01-02",
    "2026-01-02T03:04:05",
    "2026-01-02 03:04:05Z",
    "2026-02-29T00:00:00Z",
    "2026-01-02T03:04:60Z",
    "2016-12-31T23:59:60Z",
    "2026-01-02T24:00:00Z",
    "2026-01-02T11:04:05Z08:00",
    "2026-01-02T03:04:05Z[Asia/Shanghai]",
    "2026-01-02T03:04:05+08:00[America/New_York]",
    "2026-01-02T03:04:05+08:00:30",
    "2026-01-02T03:04:05+24:00",
    "2026-01-02T03:04:05+08:60",
    "2026-01-02T03:04:05,5Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05.1234567890Z",
    "2026-01-02T03:04.5Z",
    "2026-01-02T030405Z",
    "20260102T030405Z",
    "2026-01-02t03:04:05z",
    "2026-01-02T03:04:05z",
    "2026-01-02T03Z",
    "1767323045",
];

pub const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.1.2.3",
    "::ffff:10.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "2001:db8::1",
    "::",
    "::10.0.0.1",
];
pub const NETWORKS: &[&str] = &[
    "10.0.0.1",
    "10.0.0.1/32",
    "10.0.0.0/8",
    "10.0.0.7/8",
    "10.0.0.0/31",
    "0.0.0.0/0",
    "1.2.3.4/0",
    "128.0.0.0/1",
    "::ffff:10.0.0.1",
    "::ffff:10.0.0.0/104",
    "::ffff:0:0/96",
    "::ffff:0:0/95",
    "::/0",
    "::1/128",
    "2001:db8::/32",
    "2001:DB8:0::1/33",
    "::10.0.0.0/104",
];
pub const NO_NETWORKS: &[&str] = &[
    "ten",
    "",
    "10.0.0",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/+8",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0.0/255.0.0.0",
    "010.0.0.0/8",
    "010.0.0.1",
    "::1/129",
    "::1:2:3:4:5:6:7:8/64",
    "fe80::1%eth0",
    "fe80::1%eth0/64",
    "10.0.0.1-10.0.0.9",
    " 10.0.0.1",
    "[::1]",
];

pub const FLAGS: &[&str] = &["true", "false"];
pub const NO_FLAGS: &[&str] = &["yes", "True", "1", "", "true "];
