//! TABLES: the specs of asymmetric keys, the algorithms, and which algorithm serves which spec.
//!
//! Names and limits are those of the KMS documentation. Nothing here computes with a key.

use std::ops::RangeInclusive;

/// The specs of asymmetric keys. Source: CreateKey, "KeySpec".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairSpec {
    /// RSA with 2,048 bits.
    Rsa2048,
    /// RSA with 3,072 bits.
    Rsa3072,
    /// RSA with 4,096 bits.
    Rsa4096,
    /// NIST P-256, also called secp256r1.
    EcP256,
    /// secp256k1.
    EcP256K,
    /// SM2, the curve of GB/T 32918.5.
    EcSm2,
}

/// Every spec and its name.
const SPECS: &[(PairSpec, &str)] = &[
    (PairSpec::Rsa2048, "RSA_2048"),
    (PairSpec::Rsa3072, "RSA_3072"),
    (PairSpec::Rsa4096, "RSA_4096"),
    (PairSpec::EcP256, "EC_P256"),
    (PairSpec::EcP256K, "EC_P256K"),
    (PairSpec::EcSm2, "EC_SM2"),
];

impl PairSpec {
    /// The spec of that name.
    pub fn parse(name: &str) -> Option<Self> {
        with_name(SPECS, name)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        name_of(SPECS, self)
    }

    /// Whether keys of this spec can encrypt and decrypt.
    pub fn encrypts(self) -> bool {
        ENCRYPTION.iter().any(|(algorithm, _)| algorithm.serves(self))
    }

    /// How many bytes an RSA modulus of this spec has; `None` for curves.
    pub(super) fn modulus_bytes(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(256),
            Self::Rsa3072 => Some(384),
            Self::Rsa4096 => Some(512),
            Self::EcP256 | Self::EcP256K | Self::EcSm2 => None,
        }
    }
}

/// How a public key encrypts. Source: AsymmetricEncrypt, "Algorithm"; ExportDataKey, "WrappingAlgorithm".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionAlgorithm {
    /// RSA with OAEP; SHA-256 for the label and for MGF1.
    OaepSha256,
    /// RSA with OAEP; SHA-1 for the label and for MGF1.
    OaepSha1,
    /// SM2 with SM3.
    Sm2Pke,
}

const ENCRYPTION: &[(EncryptionAlgorithm, &str)] = &[
    (EncryptionAlgorithm::OaepSha256, "RSAES_OAEP_SHA_256"),
    (EncryptionAlgorithm::OaepSha1, "RSAES_OAEP_SHA_1"),
    (EncryptionAlgorithm::Sm2Pke, "SM2PKE"),
];

/// The longest plaintext for SM2, in bytes. Source: AsymmetricEncrypt.
const SM2_PLAINTEXT_BYTES_MAX: usize = 6_047;

impl EncryptionAlgorithm {
    /// The algorithm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        with_name(ENCRYPTION, name)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        name_of(ENCRYPTION, self)
    }

    /// Whether keys of that spec encrypt with it.
    pub fn serves(self, spec: PairSpec) -> bool {
        self.plaintext_bytes(spec).is_some()
    }

    /// How many bytes a plaintext may have; `None` if the algorithm does not serve the spec. OAEP keeps two hashes and
    /// two bytes of the modulus for itself. SM2 has no ciphertext for an empty plaintext.
    pub fn plaintext_bytes(self, spec: PairSpec) -> Option<RangeInclusive<usize>> {
        let oaep =
            |hash: usize| spec.modulus_bytes().and_then(|bytes| bytes.checked_sub(2 * hash + 2)).map(|max| 0..=max);
        match self {
            Self::OaepSha256 => oaep(32),
            Self::OaepSha1 => oaep(20),
            Self::Sm2Pke => (spec == PairSpec::EcSm2).then_some(1..=SM2_PLAINTEXT_BYTES_MAX),
        }
    }
}

/// How a private key signs. Source: AsymmetricSign, "Algorithm".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSA with PSS, SHA-256 for message and MGF1, a salt of 32 bytes.
    PssSha256,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Pkcs1Sha256,
    /// ECDSA with SHA-256.
    EcdsaSha256,
    /// SM2 with SM3. The digest is that of the signer's Z and the message.
    Sm2Dsa,
}

const SIGNATURE: &[(SignatureAlgorithm, &str)] = &[
    (SignatureAlgorithm::PssSha256, "RSA_PSS_SHA_256"),
    (SignatureAlgorithm::Pkcs1Sha256, "RSA_PKCS1_SHA_256"),
    (SignatureAlgorithm::EcdsaSha256, "ECDSA_SHA_256"),
    (SignatureAlgorithm::Sm2Dsa, "SM2DSA"),
];

impl SignatureAlgorithm {
    /// The algorithm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        with_name(SIGNATURE, name)
    }

    /// Whether keys of that spec sign with it.
    pub fn serves(self, spec: PairSpec) -> bool {
        match self {
            Self::PssSha256 | Self::Pkcs1Sha256 => spec.modulus_bytes().is_some(),
            Self::EcdsaSha256 => matches!(spec, PairSpec::EcP256 | PairSpec::EcP256K),
            Self::Sm2Dsa => spec == PairSpec::EcSm2,
        }
    }
}

/// How key material was encrypted for its import. Source: GetParametersForImport, "WrappingAlgorithm".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrappingAlgorithm {
    /// As for encryption.
    Encryption(EncryptionAlgorithm),
    /// RSA with PKCS #1 v1.5; for import only.
    Pkcs1V15,
}

const PKCS1_V1_5: &str = "RSAES_PKCS1_V1_5";

impl WrappingAlgorithm {
    /// The algorithm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        if name == PKCS1_V1_5 { Some(Self::Pkcs1V15) } else { EncryptionAlgorithm::parse(name).map(Self::Encryption) }
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encryption(algorithm) => algorithm.as_str(),
            Self::Pkcs1V15 => PKCS1_V1_5,
        }
    }

    /// Whether it is for keys of that spec.
    pub fn serves(self, spec: PairSpec) -> bool {
        match self {
            Self::Encryption(algorithm) => algorithm.serves(spec),
            Self::Pkcs1V15 => spec.modulus_bytes().is_some(),
        }
    }
}

fn with_name<T: Copy>(table: &[(T, &str)], name: &str) -> Option<T> {
    table.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
}

fn name_of<T: Copy + PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(known, _)| *known == value).map_or("", |(_, name)| name)
}
