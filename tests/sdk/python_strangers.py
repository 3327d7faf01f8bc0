"""Asks a Keyward about what was made at the same KMS through another one, so that it has not heard of it: over plain HTTP
the one, and over TLS the other. The argument says which clients ask: classic (V1) or tea (V3)."""

import importlib
import secrets
import sys

import classic_clients
from common import DENIED, Refused, Report, access_key, equal

TEXT = "aGVsbG8="
WOULD_BE_DENIED = 400, "AccessDeniedError"


def main():
    report = Report(f"python-{sys.argv[1]}-strangers")
    connect = importlib.import_module(f"{sys.argv[1]}_clients").connect
    callers = {user: connect(*access_key(user)) for user in ("kim", "alice", "bob")}
    elsewhere, name = classic_clients.connect(*access_key("kim"), tls=True), f"strange/{secrets.token_hex(4)}"
    decrypt_with_new_versions(report, elsewhere, callers)
    decrypt_with_new_key(report, elsewhere, callers)
    use_alias(report, elsewhere, callers, f"alias/{name}")
    read_secret(report, elsewhere, callers, name)
    create_what_was_missed(report, callers["kim"], f"{name}-missed")
    sys.exit(report.failed)


def decrypt_with_new_versions(report, elsewhere, callers):
    """The keys are known, with their policies; only the answer tells which of them it was."""
    blobs = {}
    with report.check("encrypt elsewhere with new versions of keys"):
        for key in "orders", "payroll":
            elsewhere("CreateKeyVersion", KeyId=f"key-example{key}01")
            blobs[key] = elsewhere("Encrypt", KeyId=f"key-example{key}01", Plaintext=TEXT)["CiphertextBlob"]
    with report.refused("bob is not told that he could decrypt", *WOULD_BE_DENIED):
        callers["bob"]("Decrypt", CiphertextBlob=blobs["orders"], DryRun="true")
    for user, key in ("bob", "orders"), ("alice", "payroll"):
        with report.refused(f"{user} may not decrypt what alias/{key} encrypted", *DENIED):
            callers[user]("Decrypt", CiphertextBlob=blobs[key])
    for user, key in ("alice", "orders"), ("kim", "payroll"):
        with report.check(f"{user} may decrypt what alias/{key} encrypted"):
            equal(callers[user]("Decrypt", CiphertextBlob=blobs[key])["Plaintext"], TEXT)


def decrypt_with_new_key(report, elsewhere, callers):
    blob = None
    with report.check("encrypt elsewhere with a new key"):
        key = elsewhere("CreateKey")["KeyMetadata"]["KeyId"]
        blob = elsewhere("Encrypt", KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    for user in "alice", "bob":
        with report.refused(f"{user} may not decrypt it", *DENIED):
            callers[user]("Decrypt", CiphertextBlob=blob)
    with report.check("kim may decrypt it"):
        equal(callers["kim"]("Decrypt", CiphertextBlob=blob)["Plaintext"], TEXT)


def use_alias(report, elsewhere, callers, alias):
    key = other = None
    with report.check("create an alias elsewhere"):
        key, other = (elsewhere("CreateKey")["KeyMetadata"]["KeyId"] for _ in range(2))
        elsewhere("CreateAlias", KeyId=key, AliasName=alias)
    with report.refused("bob is not told that he could encrypt by it", *WOULD_BE_DENIED):
        callers["bob"]("Encrypt", KeyId=alias, Plaintext=TEXT, DryRun="true")
    with report.refused("bob may not encrypt by it", *DENIED):
        callers["bob"]("Encrypt", KeyId=alias, Plaintext=TEXT)
    with report.check("kim may encrypt by it"):
        equal(callers["kim"]("Encrypt", KeyId=alias, Plaintext=TEXT)["KeyId"], key)
    with report.check("kim may encrypt by it when it points to another key"):
        elsewhere("UpdateAlias", KeyId=other, AliasName=alias)
        equal(callers["kim"]("Encrypt", KeyId=alias, Plaintext=TEXT)["KeyId"], other)


def read_secret(report, elsewhere, callers, name):
    with report.check("create a secret elsewhere"):
        elsewhere("CreateSecret", SecretName=name, VersionId="v1", SecretData=TEXT)
    with report.check("kim may put another version of it"):
        callers["kim"]("PutSecretValue", SecretName=name, VersionId="v2", SecretData=TEXT[::-1])
    with report.check("kim may read it"):
        equal(callers["kim"]("GetSecretValue", SecretName=name)["SecretData"], TEXT[::-1])
    with report.refused("alice may not read it", *DENIED):
        callers["alice"]("GetSecretValue", SecretName=name)


def create_what_was_missed(report, kim, name):
    """As those do who look whether a secret is there before they create it."""
    with report.check("a secret that was asked for before it was there is read"):
        try:
            kim("GetSecretValue", SecretName=name)
        except Refused:
            pass  # how, is asked elsewhere
        kim("CreateSecret", SecretName=name, VersionId="v1", SecretData=TEXT)
        equal(kim("GetSecretValue", SecretName=name)["SecretData"], TEXT)


main()
