//! RSA public keys: read from PEM, used to verify signatures of key pairs and client keys.

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

/// The public key of an RSA key pair, 2,048 to 8,192 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    /// PKCS#1, DER.
    der: Vec<u8>,
}

impl RsaPublicKey {
    /// Reads one PEM block: a public key (`PUBLIC KEY`, `RSA PUBLIC KEY`) or a certificate that holds one.
    ///
    /// # Errors
    /// Says what is wrong and what would be right, as a fragment.
    pub fn parse(pem: &str) -> Result<Self, String> {
        const RIGHT: &str = "write a PEM block with an RSA public key (-----BEGIN PUBLIC KEY-----) or a certificate";
        let (pem, _) = Pem::read(std::io::Cursor::new(pem.as_bytes())).map_err(|_| format!("is no PEM; {RIGHT}"))?;
        let unreadable = |_| format!("cannot be read; {RIGHT}");
        let der = match pem.label.as_str() {
            "RSA PUBLIC KEY" => pem.contents,
            "PUBLIC KEY" => {
                let (_, info) = SubjectPublicKeyInfo::from_der(&pem.contents).map_err(unreadable)?;
                info.subject_public_key.data.into_owned()
            }
            "CERTIFICATE" => {
                let certificate = pem.parse_x509().map_err(|error| format!("cannot be read ({error}); {RIGHT}"))?;
                certificate.public_key().subject_public_key.data.to_vec()
            }
            label if label.contains("PRIVATE KEY") => {
                return Err(format!("is a private key, which has no place here; {RIGHT}"));
            }
            label => return Err(format!("is a `{label}`; {RIGHT}")),
        };
        let (_, key) = RSAPublicKey::from_der(&der).map_err(unreadable)?;
        match PublicKey::RSA(key).key_size() {
            2048..=8192 => Ok(Self { der }),
            bits => Err(format!("has {bits} bits; from 2048 to 8192 are verified")),
        }
    }

    /// Whether the key pair made this signature (RSASSA-PKCS1-v1_5 with SHA-256) of this message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.der).verify(message, signature).is_ok()
    }
}
