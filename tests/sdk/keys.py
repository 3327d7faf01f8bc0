"""Makes keys, in the folder that is named: ca.pem, server.pem and server.key for TLS at 127.0.0.1 and for the name of KMS,
and the key pair of a user, kim.pem and kim.key.

The authority is made anew each time, and its key is kept nowhere: nothing else can be signed with it.
"""

import datetime
import ipaddress
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


KMS = "kms.cn-hangzhou.aliyuncs.com"


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def may(*uses):
    return x509.KeyUsage(**{use: use in uses for use in USES})


def certificate(subject, public_key, issuer, issuer_key, *extensions):
    """A certificate for one day. It says everything that strict clients want to see (RFC 5280)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def make_tls(folder):
    authority, ca_key = "Keyward's tests", ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    ca = certificate(
        authority, ca_key.public_key(), authority, ca_key,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (may("key_cert_sign", "crl_sign"), True),
    )  # fmt: skip
    server = certificate(
        "127.0.0.1", key.public_key(), authority, ca_key,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (may("digital_signature"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(KMS)]), False),
    )  # fmt: skip
    write(folder / "ca.pem", ca.public_bytes(Encoding.PEM))
    write(folder / "server.pem", server.public_bytes(Encoding.PEM))
    write(folder / "server.key", private(key))


def make_key_pair(folder):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write(folder / "kim.pem", key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    write(folder / "kim.key", private(key))


def private(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write(path, data):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


target = Path(sys.argv[1])
target.mkdir()
make_tls(target)
make_key_pair(target)
