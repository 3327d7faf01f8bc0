"""What a client does on its own side, with no help of KMS: encodings, and cryptography with the library `cryptography`.

Bytes go in and come out as Base64, as in the parameters of KMS.
"""

import base64
import hashlib
import os

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

POLICY_LIMIT = 32_768
DIGESTS = {"RSAES_OAEP_SHA_256": hashes.SHA256, "RSAES_OAEP_SHA_1": hashes.SHA1}


def encoded(data):
    return base64.b64encode(data).decode()


def decoded(text):
    return base64.b64decode(text, validate=True)


def base64_of(text):
    return encoded(text.encode())


def length(text):
    return len(decoded(text))


def random(count):
    return encoded(os.urandom(count))


def sha256(text):
    return encoded(hashlib.sha256(text.encode()).digest())


def rsa_pair():
    """A key pair that KMS knows only the public half of."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return {"private": private, "public": encoded(private.public_key().public_bytes(*form))}


def oaep(algorithm):
    digest = DIGESTS[algorithm]
    return padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)


def unwrap(private, algorithm, wrapped):
    return encoded(private.decrypt(decoded(wrapped), oaep(algorithm)))


def wrap(public, algorithm, data):
    """Encrypts for a public key, in DER or in PEM."""
    load = serialization.load_pem_public_key if public.startswith("-----") else serialization.load_der_public_key
    key = load(public.encode() if public.startswith("-----") else decoded(public))
    return encoded(key.encrypt(decoded(data), oaep(algorithm)))


def verify(public, algorithm, digest, signature):
    """Whether a signature is that of the digest, for a public key in PEM."""
    key, hashed = serialization.load_pem_public_key(public.encode()), utils.Prehashed(hashes.SHA256())
    how = {
        "RSA_PSS_SHA_256": [padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashed],
        "RSA_PKCS1_SHA_256": [padding.PKCS1v15(), hashed],
        "ECDSA_SHA_256": [ec.ECDSA(hashed)],
    }[algorithm]
    try:
        key.verify(decoded(signature), decoded(digest), *how)
    except InvalidSignature:
        return False
    return True


def characters(text, alphabet):
    """How long the text is, and whether it has characters of the alphabet only."""
    return {"length": len(text), "only": set(text) <= set(alphabet)}


def policy(name):
    return (Path(__file__).parent / name).read_text("utf-8").rstrip()


def longest_policy(text):
    """The policy, made as long as one may be: the same action many times, then spaces."""
    again = ', "kms:Encrypt"'
    times, rest = divmod(POLICY_LIMIT - len(text), len(again))
    return text.replace('"kms:Encrypt"', '"kms:Encrypt"' + again * times + " " * rest)
