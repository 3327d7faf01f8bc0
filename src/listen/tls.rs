//! TLS: our certificate, the authorities of clients' certificates, and taking new ones without a restart.
//!
//! A new set of files is taken as a whole or not at all: a key that does not fit its certificate, half of a change, leaves
//! the last good set in force. Sessions are never resumed across a change, because each set has its own memory of them.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Ssl;
use pingora::protocols::l4::stream::Stream as Plain;
use pingora::protocols::tls::TlsStream;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::authn::read_certificate;
use crate::kms::ClientCertificate;
use crate::settings::{self, read_text};
use crate::source::{Problem, shown};
use crate::store::is_readable_by_all;
use crate::telemetry::TlsReport;

/// The TLS of a door.
pub struct Tls {
    settings: settings::Tls,
    current: ArcSwap<Set>,
    status: ArcSwap<TlsReport>,
}

/// One set of files, as it was taken.
struct Set {
    generation: u64,
    hash: [u8; 32],
    acceptor: Acceptor,
    /// Verifies the certificates of clients.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    expires: Timestamp,
}

/// A client certificate that was verified.
pub struct Verified {
    certificate: Arc<ClientCertificate>,
    chain: Vec<CertificateDer<'static>>,
    /// Of the set that verified it.
    generation: u64,
}

impl Verified {
    /// What the certificate says.
    pub fn certificate(&self) -> Arc<ClientCertificate> {
        self.certificate.clone()
    }
}

impl Tls {
    /// Takes the files that the settings name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(settings: &settings::Tls) -> Result<Self, Vec<Problem>> {
        let files = Files::read(settings)?;
        let set = files.set(settings, 1)?;
        if is_readable_by_all(&settings.key) {
            tracing::warn!(key = %shown(&settings.key), "everybody on this machine may read the TLS key; chmod o-r it");
        }
        let status = TlsReport { expires: Some(set.expires), ..TlsReport::default() };
        Ok(Self {
            settings: settings.clone(),
            current: ArcSwap::from_pointee(set),
            status: ArcSwap::from_pointee(status),
        })
    }

    /// Looks at the files, and takes them if they changed and can be used.
    pub fn reload(&self) {
        let current = self.current.load();
        let before = self.status.load();
        let files = Files::read(&self.settings);
        if files.as_ref().is_ok_and(|files| files.hash == current.hash) {
            if !before.problems.is_empty() {
                self.status.store(Arc::new(TlsReport { problems: Vec::new(), ..(**before).clone() }));
            }
            return;
        }
        match files.and_then(|files| files.set(&self.settings, current.generation + 1)) {
            Ok(set) => {
                let (expires, reloads_taken) = (Some(set.expires), before.reloads_taken + 1);
                self.current.store(Arc::new(set));
                let status = TlsReport { expires, reloads_taken, problems: Vec::new(), ..(**before).clone() };
                self.status.store(Arc::new(status));
                tracing::info!(certificate = %shown(&self.settings.certificate), "a new TLS certificate is in force");
            }
            Err(problems) if problems != before.problems => {
                for problem in &problems {
                    tracing::warn!(%problem, "the last good TLS files stay in force");
                }
                let reloads_refused = before.reloads_refused + 1;
                self.status.store(Arc::new(TlsReport { problems, reloads_refused, ..(**before).clone() }));
            }
            Err(_) => {}
        }
    }

    /// What is in force, and what is wrong with the files.
    pub fn status(&self) -> Arc<TlsReport> {
        self.status.load_full()
    }

    /// The files, to be watched.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let Self { settings, .. } = self;
        let files = [Some(&settings.certificate), Some(&settings.key), settings.client_ca.as_ref()];
        files.into_iter().flatten().map(|path| path.as_path())
    }

    /// Shakes hands. `None` if the client does not come through.
    pub async fn accept(&self, stream: Plain) -> Option<(TlsStream<Plain>, Option<Verified>)> {
        let set = self.current.load_full();
        let stream = set.acceptor.tls_handshake(stream).await.ok()?;
        let chain = stream.get_ssl().and_then(|tls| tls.peer_cert_chain_der()).unwrap_or_default().to_vec();
        let Some(leaf) = chain.first() else { return Some((stream, None)) };
        let certificate = Arc::new(read_certificate(leaf).ok()?);
        Some((stream, Some(Verified { certificate, chain, generation: set.generation })))
    }

    /// Whether who shows no certificate is turned away.
    pub fn requires_certificate(&self) -> bool {
        self.settings.require_client_certificate
    }

    /// Whether a certificate that was verified once is good by the authorities that are in force now.
    pub fn still_trusts(&self, verified: &mut Verified) -> bool {
        let set = self.current.load();
        if set.generation == verified.generation {
            return true;
        }
        let Some((leaf, intermediates)) = verified.chain.split_first() else { return false };
        let trusted = set
            .verifier
            .as_ref()
            .is_some_and(|verifier| verifier.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok());
        verified.generation = set.generation;
        trusted
    }
}

/// The texts of all files, and one hash of them.
struct Files {
    certificate: String,
    key: Zeroizing<String>,
    client_ca: Option<String>,
    hash: [u8; 32],
}

impl Files {
    fn read(settings: &settings::Tls) -> Result<Self, Vec<Problem>> {
        let mut hash = Sha256::new();
        let mut read = |path: &Path| {
            let text = read_text(path).map_err(|why| wrong(path, why))?;
            hash.update(text.len().to_le_bytes());
            hash.update(&text);
            Ok::<_, Vec<Problem>>(text)
        };
        let certificate = read(&settings.certificate)?;
        let key = Zeroizing::new(read(&settings.key)?);
        let client_ca = settings.client_ca.as_deref().map(read).transpose()?;
        Ok(Self { certificate, key, client_ca, hash: hash.finalize().into() })
    }

    fn set(&self, settings: &settings::Tls, generation: u64) -> Result<Set, Vec<Problem>> {
        let provider = Arc::new(default_provider());
        let chain = certificates(&settings.certificate, &self.certificate)?;
        let leaf = chain.first().ok_or_else(|| wrong(&settings.certificate, "holds no certificate in PEM"))?;
        let leaf =
            read_certificate(leaf).map_err(|why| wrong(&settings.certificate, format!("cannot be used: {why}")))?;
        let expires = leaf.expires;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|_| wrong(&settings.key, "holds no private key in PEM"))?;
        let pair = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| wrong(&settings.key, format!("does not fit {}: {error}", shown(&settings.certificate))))?;
        let verifier = match (&settings.client_ca, &self.client_ca) {
            (Some(path), Some(text)) => Some(verifier(path, text, settings.require_client_certificate, &provider)?),
            _ => None,
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS12, &version::TLS13])
            .map_err(|error| wrong(&settings.certificate, error.to_string()))?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
        let acceptor = Acceptor::from_server_config(Arc::new(config));
        Ok(Set { generation, hash: self.hash, acceptor, verifier, expires })
    }
}

fn certificates(path: &Path, pem: &str) -> Result<Vec<CertificateDer<'static>>, Vec<Problem>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| wrong(path, "holds no certificate in PEM"))
}

fn verifier(
    path: &Path,
    pem: &str,
    required: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Vec<Problem>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| wrong(path, format!("holds an unusable certificate: {error}")))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| wrong(path, format!("cannot verify clients: {error}")))
}

fn wrong(path: &Path, message: impl Into<String>) -> Vec<Problem> {
    vec![Problem::of_file(shown(path), message.into())]
}
