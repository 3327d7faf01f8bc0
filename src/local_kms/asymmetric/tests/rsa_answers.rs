//! Known answers for RSA, all from OpenSSL 3.0.19: a key that serves these tests only, what was encrypted with it, and
//! signatures over the SHA-256 of the same message. All are Base64.

/// What was encrypted, and what was signed the digest of.
pub const MESSAGE: &[u8] = b"Keyward";

/// PKCS #8.
pub const KEY: &str = concat!(
    "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCIDUO4hsGSucC8VvV+KPFo+wrOxCUa6oYF1+hxzRnoOWV9T02UIEBdUYtb",
    "LhAV4LoxTc2b/eh58WK1laAkpZRmB1WtMAJuz+XQ5p+wnjiaXlY+1DV4/F64QRRbEu9Xbmg8TCDGm7hArU6nrmdfgk9ogupFSBZUdoRkhNjB",
    "oSNk7gd8wVQX0Zcn0zNuh/mAhM2e2H6vvux+8tAnvlEEenMu5P8q3xF38wB/Wd13U3kGEjJmHTHQX+t6AJvH5dapRecOCmMY9+I4X8/pXoi+",
    "lU9mAewJT0q4x+nb8c0XNV+VXdDh/jtEggzwDY6IbZWPhypI5QOtPPGHznBCQDUEi6MTAgMBAAECggEAIbWXp+rLn30iwgeRv/aJCgfZf62d",
    "u/OLzXrXfwrgdmdyPAAgKqlrCTQhITBij+kkeP7cCOB6b2xdlrxB95KHGFiM4+JXV/lu6bmaq3oocCcbm2mc7iMpnOGTF5Wzc6hJb1c1b8A5",
    "gNzv9iACQOnanvyA6zWXQsoyt20q/57bVDBBc0H/rW4gmdYFkbtvQpLVCUtqaKkCry0DO2iYsLJxcSDE/6i4YKCXwdEUDXLemMOXHrZu6MiQ",
    "+f4hJqFszicJHhtTqktepOEDNpavX8wP6tQuUwoYXwvcxz9JICDxN8RDYMhHhp/VmH6n2ElhTwWvOwezmhKfAD59G9rhL66n4QKBgQC7SRET",
    "M2yQ/oqigKhwo+tnF8bOTOTATyHt51zGjlA9EOqN13BmDmf867zU8NBDgUDL1WA9Gy2Ws7WNQNzHgmF8Iv2oXQKkkoHj77zj6Q7nSr4ktYan",
    "sgifNHQAwryrSoesakmmoGLC/Ev8wPYGLNdW03DM4Cqj9PS2GFRhXNu+mwKBgQC5+Apiw/PLvCUaaHs4DDWkg/jQ1I/lXYJVbXEFYWZOp6u1",
    "NJFidbrvW9p9PquhjLqzPnMFjsTDyU1/hcPbitkT+CDJZu8j+k/vs7qV4XvxYNohtRTrZ0qZJh5pPMJW4usn0y6h1p0H685twYUX4HK/HCzR",
    "ZqfGQrTw1UK9w3/46QKBgGQN0PV1D5cWpXHTUil7KRPWe/tS0RJ8NCAo7kOVXACDvQsyAXZEVAGm3ybT0C+AKeG7iMKcdmqAb4mbEVf0q6fp",
    "+aGsrvDE5GeleEA6DiA6qgJqiBmm3zxOhXqyjqDkHD9cOSSvopOQvfe2DrmV0yUrqKOLTrxw7RsrPEkXlr3pAoGAHsYiCdf9VwCKb0VM5qh2",
    "lAPWv8/9A+qmb7aNlmNYx7lNW84YJN/wkD11+XXOdwxPtOunowrOGswMDAc5svHWHEzaOBnVhvGcGsF2JelLVlU9o4hQrufH23IIZEfOrQwd",
    "99glhlh6Yd4uqdD1Uk8tDdz+uaQwLUnKoXPY+IgKfEkCgYB1umK4pXwE5bsHfxlW/mYbdN+bj65QrTy9ErqX8uc7Us/JoIxCDTZfRdjMm5QN",
    "etnb/rqfdS5muWGTQfEHiDs9A0LyEM0M32zDK4xt/CrfTJflTV7QAFIfBuVU9/6ZgdyswGmZ49afet0P0VYgwkp8/bMWdHfxdH3nLJp1ayy4",
    "tA==",
);

/// RSAES_OAEP_SHA_256.
pub const OAEP_SHA_256: &str = concat!(
    "MpYWESvPCe0kAefF5K7XsY5zNMMhA8pYBcnJ8oVq+75fMjk0UEVQa89eIWTBUd6r4WRKkFeEHv8O51Mibq+o/LNIbXk+EkOD11F7xsb/QaFB",
    "NkHaY6A6OwcFMP+EcS4xCayRVqHsiNiHQsBgn8hOnYHHXVumolKCTEFS2jSY/Lae3yX6YjlUJNce5tx06lrAyW49cvyz0X6RghWKqvsF0J0T",
    "VjhJbQMRsYxKFsrb4ZX7h4NCWCe7Br0IzZkWQao1PWkYgBIMBT7Zjl2EsNYRcbhHYVvRmdNLALOvNm8Jb5vabEGzFkoxHcjQPMBye4aWbN2Y",
    "r973aq6fObh2ktz/tg==",
);

/// RSAES_OAEP_SHA_1.
pub const OAEP_SHA_1: &str = concat!(
    "EbfMiVcq4EFSvDSrzM6UW1pwEO4w/8A+DSfYZYSw/RGcGftWrcC1RmzsCSiSMPNg/E647IaG8zcubNm0YMjsjaJDEOQaV4eW1skgacCgxF7d",
    "Pl+cA/jYlDerh2xb8r93OlS9lp+LYnFyspnl3CrR9IsLRMCS+ESFHO39oDTx5iMmPiqsu4Da0zX9s3iUjBi2FxZacjNEhbQZ0rnHkQAYWZcX",
    "6LiZCBUPBxMPJEybjvyBS3SAP+6NEQsNFH4sg8FrI9AUw5iOuSp0G6M9qGoYkzfZWUPGlen6DnxoSkxwFSkMFh8N1gosre79qr5ukE4euyB0",
    "Nqou7xxGtxBKh1utYQ==",
);

/// RSAES_PKCS1_V1_5.
pub const PKCS1_V1_5: &str = concat!(
    "c/JgQT7XLuBPj+tM4VXBUfjfn42fEljHuHEr4XYdiTaFZSP2RXPser8C/D4p/GX3xa0kVxbfVCl1dNCZTrppIQwAfruqWsCvOnfRQJ7IBxf0",
    "a/455/MlVM7wtUqmMmNZ3au81lEesgGS2HmqSN0qkPeViR2gfGTIblgBcZEuiqjXACrGq/AWEy9HFuXgjSaFtCd7O8hu9FYBpG+Vt2ObPUGk",
    "j+HuKNLpV0WHLE/ufQftcR/Bi/ATaMKF/er2CxxMO2VshzVgyUS3G6Wl4FzcXRQEIE5LR6+Yj6a2+hoMM/C7dnXLR7SdX4oJN+WxP0vqScuU",
    "2JBZY2PgylZzVFKxgA==",
);

/// RSA_PSS_SHA_256.
pub const PSS: &str = concat!(
    "hfdsjQbWgmhJPHNt1Tcsh0ABJbpqncahuuG5yvnxhLeHVVLaM4sS6AG5fDbBowVIpdXhB37wg0js/7M/pjeveSh3JK7VyU586gS3BjeUczsb",
    "8SKRnCw6QcWX1IOEUsdXEwduZYCnw/JOgdKskPtWYNV9LD5OZbnl5z9GlgK11HOReWlYPEXa1V5G70yTOYRvIDzXLeOh1JfkokAkRhcj3Dy3",
    "Tdlo1MmCvzuXhNMLaZY/NzkgGOMbP6jcZdPsdx/YJhKZFeN2bZ6z5Ir5VFYJ/8FpwXGU2/WmIOYnymyaTb48bzQ03OReUFrjBvIyPhB4JpzE",
    "yy9OyAJdFfaIJAjDHQ==",
);

/// RSA_PKCS1_SHA_256.
pub const PKCS1_SIGNATURE: &str = concat!(
    "TUx5kwPj+Mh04u0A/DIE8huBRsVid3eOxXUkkU8oBJbHoa8TX/j5bsgoKFue7h8FaTHlirPK3RSHcUDKD3hgIORf24w48wPrxnTcLT1rDCID",
    "0jUvSS6pFDN8ZD3phlFMRqenm90wrZ4njZQp4z8LRNauPETuwjgsFcRkI8+5Sw557jJ3s2fgOjve5S0vg4KRcyKlB1g98drzVdAsSQ/wzqu+",
    "5YZzhRjoAd2xCjHrwi7EbYfS9aoC9XFn/ZoXeuurAZRClFU6bjQMdCs+7Mqp/a+W7lgBXx7T29J4fwD2GDFF9qP7VlVeZDjka2/cKLs/Q/SA",
    "HGq2rI8QDZ1m7YT7hg==",
);
