"""Drives Keyward with the Tea clients and an RSA key pair of kim: ACS3-RSA-SHA256. Keyward knows the public key only."""

import os
import secrets
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common import ACCOUNT, Report, access_key, equal
from tea_clients import connect
from walk import walk

KEY_ID = os.environ["KEYWARD_KEY_PAIR_ID"]
PRIVATE_KEY = Path(os.environ["KEYWARD_KEY_PAIR_FILE"]).read_text("ascii").strip()  # the client wants no newline at the end


def with_key_pair(private_key):
    return connect(KEY_ID, private_key, signature_algorithm="ACS3-RSA-SHA256")


def another_private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def main():
    report = Report("python-key-pair")
    kim = with_key_pair(PRIVATE_KEY)
    with report.check("kim is told who she is"):
        equal(kim("GetCallerIdentity")["Arn"], f"{ACCOUNT}:user/kim")
    callers = {"kim": kim} | {name: connect(*access_key(name)) for name in ("alice", "bob")}
    for life in "keys", "secrets":
        walk(report, life, callers, f"{report.client}-{secrets.token_hex(4)}")
    with report.refused("another private key is refused", 400, "SignatureDoesNotMatch"):
        with_key_pair(another_private_key())("ListKeys")
    with report.refused("a signature with a secret instead of the key pair is refused", 400, "InvalidSignatureMethod"):
        connect(KEY_ID, PRIVATE_KEY)("ListKeys")
    sys.exit(report.failed)


main()
