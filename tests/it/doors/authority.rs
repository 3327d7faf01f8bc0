//! Authorities with their certificates, good and odd, and a TLS client.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// An authority that issues certificates.
pub struct Authority {
    pub certificate: String,
    params: CertificateParams,
    key: KeyPair,
    /// The certificates between it and the one that clients are verified with.
    chain: String,
}

/// A certificate and its key, PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// What a certificate shall be like.
pub struct Leaf<'a> {
    pub common_name: &'a str,
    pub uri: Option<&'a str>,
    pub dns: Option<&'a str>,
    pub is_server: bool,
    pub years: (i32, i32),
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Self { common_name: "somebody", uri: None, dns: None, is_server: false, years: (2020, 2090) }
    }
}

impl<'a> Leaf<'a> {
    pub fn server() -> Self {
        Self { dns: Some("localhost"), is_server: true, ..Self::default() }
    }

    pub fn with_uri(uri: &'a str) -> Self {
        Self { uri: Some(uri), ..Self::default() }
    }

    pub fn with_dns(dns: &'a str) -> Self {
        Self { dns: Some(dns), ..Self::default() }
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, params, key, chain: String::new() }
    }

    /// An authority below this one that may certify one domain only.
    pub fn narrowed_to(&self, domain: &str) -> Self {
        let mut params = authority_params("narrow");
        let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap().pem();
        Self { chain: certificate.clone(), certificate, params, key }
    }

    pub fn leaf(&self, leaf: &Leaf<'_>) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, leaf.common_name);
        let uri = leaf.uri.map(|uri| SanType::URI(uri.try_into().unwrap()));
        let dns = leaf.dns.map(|name| SanType::DnsName(name.try_into().unwrap()));
        params.subject_alt_names = uri.into_iter().chain(dns).collect();
        let purpose = ExtendedKeyUsagePurpose::ClientAuth;
        params.extended_key_usages = vec![if leaf.is_server { ExtendedKeyUsagePurpose::ServerAuth } else { purpose }];
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap().pem() + &self.chain;
        Pair { certificate, key: key.serialize_pem() }
    }

    /// Its own certificate, as if it were a leaf.
    pub fn itself(&self) -> Pair {
        Pair { certificate: self.certificate.clone(), key: self.key.serialize_pem() }
    }
}

/// A TLS connection.
pub struct Tls {
    stream: StreamOwned<ClientConnection, TcpStream>,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Connects, and shakes hands. In TLS 1.3 a refused certificate shows only at the first read.
    pub fn connect(address: &str, servers: &Authority, client: Option<&Pair>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(servers.certificate.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Self::resume(address, Arc::new(config))
    }

    /// Connects as a client that may have been connected before.
    pub fn resume(address: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let connection = ClientConnection::new(config.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { stream, config })
    }

    /// The protocol that client and server agreed on.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }

    /// What a later connection can resume this one with.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// One answer, on a connection that stays open.
    pub fn answer(&mut self) -> (u16, Value) {
        let mut answer = Vec::new();
        let (head, length) = loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
            let text = String::from_utf8_lossy(&answer).to_lowercase();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next()?.parse().ok());
                break (head.to_owned(), length.unwrap_or(0_usize));
            }
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl Write for Tls {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
