//! Client certificates: what of a certificate somebody can be known by. Whether it is to be trusted was for the TLS
//! listener to verify.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::kms::ClientCertificate;

/// Most names of a certificate that are looked at.
const NAMES_MAX: usize = 64;

/// Reads a certificate in DER. The common name is no name here: another authority's could have the same.
///
/// # Errors
/// It is no X.509 certificate, or has more names than anybody needs.
pub fn read_certificate(der: &[u8]) -> Result<ClientCertificate, &'static str> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "it is no X.509 certificate")?;
    if !rest.is_empty() {
        return Err("bytes follow the certificate");
    }
    let names = certificate.subject_alternative_name().map_err(|_| "its alternative names are not valid")?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    if names.len() > NAMES_MAX {
        return Err("it has too many alternative names");
    }
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase()),
            _ => {}
        }
    }
    // The end of the year 9999 stands for no end (RFC 5280), and is later than any time we can write.
    let not_after = certificate.validity().not_after.timestamp().min(Timestamp::MAX.as_second());
    let expires = Timestamp::from_second(not_after);
    Ok(ClientCertificate {
        uris,
        dns_names,
        spki_sha256: HEXLOWER.encode(&Sha256::digest(certificate.public_key().raw)),
        expires: expires.map_err(|_| "its time of expiry is not valid")?,
    })
}
