"""What every client must be able to do with Keyward: the checks; nothing of any one client.

A driver gives `run` its name and a function connect(id, secret, token=None, tls=False) -> call(action, **parameters) ->
answer (a dict). `token` is the security token of temporary credentials; actions in STS_ACTIONS are those of STS, and all
others those of KMS. call raises Refused when, and only when, the client raised its own exception for an error answer.
"""

import json
import os
import secrets
import sys
from pathlib import Path

import ways
from common import ACCOUNT, DENIED, Refused, Report, access_key, equal, tampered
from walk import walk

CALLS = Path(os.environ["KEYWARD_CALLS"])  # the folder where each client notes which operations it has called
LIVES = "keys", "secrets", "data_keys", "asymmetric", "imports", "service", "policies"

ROLE = f"{ACCOUNT}:role/payroll-service"  # trusts kim; may use alias/payroll and read payroll/db-password
ENCRYPT_ONLY = json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}]})


def noting(connect, called):
    """connect, which notes the operations that were answered, as their clients understood it."""

    def connect_noting(*args, **kwargs):
        call = connect(*args, **kwargs)

        def call_noting(action, **params):
            try:
                answer = call(action, **params)
            except Refused:
                called.add(action)
                raise
            called.add(action)
            return answer

        return call_noting

    return connect_noting


def run(client, connect, wrong_secret_codes=("SignatureDoesNotMatch",), lives=LIVES):
    report, called = Report(client), set()
    connect = noting(connect, called)
    callers = {name: connect(*access_key(name)) for name in ("kim", "alice", "bob")}
    callers["kim over TLS"] = connect(*access_key("kim"), tls=True)
    if ways.only():
        lives = [ways.only()]
    for life in (*lives, ways.own()):
        walk(report, life, callers, f"{client}-{secrets.token_hex(4)}")
    if not ways.only():
        reject_strangers(report, connect, access_key("kim"), wrong_secret_codes)
        begin_sessions(report, connect, callers["kim"], callers["alice"])
    (CALLS / client).write_text("\n".join(sorted(called)))
    sys.exit(report.failed)


def reject_strangers(report, connect, key, wrong_secret_codes):
    key_id, secret = key
    with report.refused("a wrong secret is refused", 400, *wrong_secret_codes):
        connect(key_id, secret + "x")("ListKeys")
    with report.refused("an unknown access key is refused", 404, "InvalidAccessKeyId.NotFound"):
        connect(key_id + "x", secret)("ListKeys")


def begin_sessions(report, connect, kim, alice):
    credentials = narrowed = None
    with report.check("kim is told who she is"):
        identity = kim("GetCallerIdentity")
        equal((identity["IdentityType"], identity["Arn"]), ("RAMUser", f"{ACCOUNT}:user/kim"))
    with report.check("kim may assume the role"):
        answer = kim("AssumeRole", RoleArn=ROLE, RoleSessionName="sdk", DurationSeconds=900)
        credentials = answer["Credentials"]
        equal(answer["AssumedRoleUser"]["Arn"], f"{ROLE}/sdk")
    with report.check("kim may assume the role with a session policy"):
        answer = kim("AssumeRole", RoleArn=ROLE, RoleSessionName="narrow", DurationSeconds=900, Policy=ENCRYPT_ONLY)
        narrowed = answer["Credentials"]
    with report.refused("alice may not assume it", 403, "NoPermission"):
        alice("AssumeRole", RoleArn=ROLE, RoleSessionName="sdk")
    if refusal := ways.refused_sessions():
        with report.refused("the session may encrypt, but nobody encrypts for it", *refusal):
            open_session(connect, credentials)("Encrypt", KeyId="alias/payroll", Plaintext="aGVsbG8=")
        return
    use_session(report, connect, credentials)
    use_narrowed_session(report, connect, narrowed)


def open_session(connect, credentials, **changes):
    given = credentials | changes
    return connect(given["AccessKeyId"], given["AccessKeySecret"], token=given["SecurityToken"])


def use_session(report, connect, credentials):
    with report.check("the session is told who it is"):
        identity = open_session(connect, credentials)("GetCallerIdentity")
        expected = "AssumedRoleUser", f"{ACCOUNT}:assumed-role/payroll-service/sdk"
        equal((identity["IdentityType"], identity["Arn"]), expected)
    with report.check("the session may encrypt and decrypt with alias/payroll"):
        session = open_session(connect, credentials)
        blob = session("Encrypt", KeyId="alias/payroll", Plaintext="aGVsbG8=")["CiphertextBlob"]
        equal(session("Decrypt", CiphertextBlob=blob)["Plaintext"], "aGVsbG8=")
    with report.refused("the session may not encrypt with alias/orders", *DENIED):
        open_session(connect, credentials)("Encrypt", KeyId="alias/orders", Plaintext="aGVsbG8=")
    with report.check("the session may read payroll/db-password"):
        secret = open_session(connect, credentials)("GetSecretValue", SecretName="payroll/db-password")
        equal(secret["SecretName"], "payroll/db-password")
    with report.refused("a token that was tampered with is refused", 400, "InvalidSecurityToken.Malformed"):
        token = tampered(credentials["SecurityToken"])
        open_session(connect, credentials, SecurityToken=token)("GetSecretValue", SecretName="payroll/db-password")


def use_narrowed_session(report, connect, credentials):
    blob = None
    with report.check("a session with a policy may do what both allow"):
        session = open_session(connect, credentials)
        blob = session("Encrypt", KeyId="alias/payroll", Plaintext="aGVsbG8=")["CiphertextBlob"]
    with report.refused("a session with a policy may not do what only its role may", *DENIED):
        open_session(connect, credentials)("Decrypt", CiphertextBlob=blob)
