"""What every Python client must be able to do with Keyward: the checks and their report; nothing of any one client.

A driver gives `run` its name and a function connect(id, secret, token=None, tls=False) -> call(action, **parameters) ->
answer (a dict). `token` is the security token of temporary credentials; actions in STS_ACTIONS are those of STS, and all
others those of KMS. call raises Refused when, and only when, the client raised its own exception for an error answer.
"""

import base64
import contextlib
import json
import os
import secrets
import sys
from pathlib import Path

API = os.environ["KEYWARD_API"]  # host:port
TLS = os.environ["KEYWARD_TLS"]  # host:port
CA = os.environ["KEYWARD_CA"]  # the file with the authority of the certificate there
REGION = "cn-hangzhou"
STS_ACTIONS = {"AssumeRole", "GetCallerIdentity"}

ACCOUNT = "acs:ram::1234567890123456"
ROLE = f"{ACCOUNT}:role/payroll-service"  # trusts kim; may use alias/payroll and read payroll/db-password

HERE = Path(__file__).parent
TEXTS = json.loads((HERE / "scenario.json").read_text("utf-8"))
POLICY = (HERE / "policy.json").read_text("utf-8").rstrip()  # lets alice encrypt, and no more
POLICY_LIMIT = 32_768
ENCRYPT_ONLY = json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}]})

DENIED = 403, "Forbidden.NoPermission"


class Refused(Exception):
    """The service said no, and the client understood."""

    def __init__(self, code, status):
        super().__init__(f"{status} {code}")
        self.code, self.status = code, status


class Report:
    """Prints one line for each check and remembers whether one failed."""

    def __init__(self, client):
        self.client, self.failed = client, False

    @contextlib.contextmanager
    def check(self, what):
        try:
            yield
            print(f"ok   {self.client}  {what}", flush=True)
        except Exception as problem:  # whatever it is: this check failed, and the others still have their turn
            self.failed = True
            print(f"FAIL {self.client}  {what}: {type(problem).__name__}: {problem}", flush=True)

    @contextlib.contextmanager
    def refused(self, what, status, *codes):
        with self.check(what):
            try:
                yield
            except Refused as refusal:
                if refusal.status != status or refusal.code not in codes:
                    raise AssertionError(f"refused with {refusal} instead of {status} {' or '.join(codes)}") from refusal
            else:
                raise AssertionError("was allowed")


def equal(got, expected, what="got"):
    if got != expected:
        raise AssertionError(f"{what}: {str(got)[:200]!r} instead of {str(expected)[:200]!r}")


def largest_policy():
    """POLICY, made as long as a policy may be: the same action many times, then spaces."""
    again = ', "kms:Encrypt"'
    times, rest = divmod(POLICY_LIMIT - len(POLICY), len(again))
    return POLICY.replace('"kms:Encrypt"', '"kms:Encrypt"' + again * times + " " * rest)


def run(client, connect, wrong_secret_codes=("SignatureDoesNotMatch",)):
    report = Report(client)
    keys = {name: [os.environ[f"KEYWARD_{name}_{part}"] for part in ("ID", "SECRET")] for name in ("KIM", "ALICE", "BOB")}
    kim, alice, bob = (connect(*key) for key in keys.values())
    ours = f"{client}-{secrets.token_hex(4)}"

    key_id = administrate_key(report, kim, f"alias/sdk-{ours}")
    use_key(report, kim, key_id)
    keep_secret(report, kim, f"sdk/{ours}")
    set_policies(report, kim, key_id)
    obey_policies(report, alice, bob, key_id)
    disable_key(report, kim, key_id)
    reject_strangers(report, connect, keys["KIM"], wrong_secret_codes)
    begin_sessions(report, connect, kim, alice)
    come_over_tls(report, connect(*keys["KIM"], tls=True))
    sys.exit(report.failed)


def administrate_key(report, kim, alias):
    key_id = None
    with report.check("create a key in an instance"):
        key = kim("CreateKey", DKMSInstanceId=TEXTS["instance"], Description=TEXTS["description"])["KeyMetadata"]
        key_id = key["KeyId"]
        equal(key["Description"], TEXTS["description"])
    with report.check("describe the key by its id"):
        key = kim("DescribeKey", KeyId=key_id)["KeyMetadata"]
        equal((key["KeyId"], key["Description"], key["KeyState"]), (key_id, TEXTS["description"], "Enabled"))
    with report.check("create an alias"):
        kim("CreateAlias", KeyId=key_id, AliasName=alias)
    with report.check("describe the key by its alias"):
        equal(kim("DescribeKey", KeyId=alias)["KeyMetadata"]["KeyId"], key_id)
    with report.check("list keys"):
        keys = kim("ListKeys", PageNumber=1, PageSize=100)["Keys"]["Key"]
        equal(key_id in [key["KeyId"] for key in keys], True, "the key is listed")
    return key_id


def use_key(report, kim, key_id):
    plaintext = base64.b64encode(TEXTS["plaintext"].encode()).decode()
    blob = None
    with report.check("encrypt/decrypt round trip with a context"):
        blob = kim("Encrypt", KeyId=key_id, Plaintext=plaintext, EncryptionContext=TEXTS["context"])["CiphertextBlob"]
        opened = kim("Decrypt", CiphertextBlob=blob, EncryptionContext=TEXTS["context"])
        equal((opened["Plaintext"], opened["KeyId"]), (plaintext, key_id))
    with report.refused("decrypt with a wrong context is refused", 400, "InvalidParameter"):
        kim("Decrypt", CiphertextBlob=blob, EncryptionContext=TEXTS["wrong_context"])
    with report.check("generate a data key and decrypt it"):
        data_key = kim("GenerateDataKey", KeyId=key_id, KeySpec="AES_256")
        equal(len(base64.b64decode(data_key["Plaintext"], validate=True)), 32)
        equal(kim("Decrypt", CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"], data_key["Plaintext"])


def keep_secret(report, kim, name):
    with report.check("create a secret and read it"):
        kim("CreateSecret", SecretName=name, VersionId="v1", SecretData=TEXTS["secret_v1"])
        equal(kim("GetSecretValue", SecretName=name)["SecretData"], TEXTS["secret_v1"])
    with report.check("put a second version and read both"):
        kim("PutSecretValue", SecretName=name, VersionId="v2", SecretData=TEXTS["secret_v2"])
        current = kim("GetSecretValue", SecretName=name)
        equal((current["VersionId"], current["SecretData"]), ("v2", TEXTS["secret_v2"]))
        equal(current["VersionStages"]["VersionStage"], ["ACSCurrent"])
        previous = kim("GetSecretValue", SecretName=name, VersionStage="ACSPrevious")
        equal((previous["VersionId"], previous["SecretData"]), ("v1", TEXTS["secret_v1"]))
    with report.check("list secrets"):
        listed = kim("ListSecrets", PageNumber=1, PageSize=100)["SecretList"]["Secret"]
        equal(name in [secret["SecretName"] for secret in listed], True, "the secret is listed")


def set_policies(report, kim, key_id):
    for what, policy in ("the largest policy", largest_policy()), ("a policy", POLICY):
        with report.check(f"set {what} and read it back unchanged"):
            kim("SetKeyPolicy", KeyId=key_id, PolicyName="default", Policy=policy)
            equal(kim("GetKeyPolicy", KeyId=key_id, PolicyName="default")["Policy"], policy)


def obey_policies(report, alice, bob, key_id):
    blob = None
    with report.check("alice may encrypt with the key"):
        blob = alice("Encrypt", KeyId=key_id, Plaintext="aGVsbG8=")["CiphertextBlob"]
    with report.refused("alice may not decrypt with it", *DENIED):
        alice("Decrypt", CiphertextBlob=blob)
    with report.check("alice may read orders/db-password"):
        equal(alice("GetSecretValue", SecretName="orders/db-password")["SecretName"], "orders/db-password")
    with report.refused("alice may not read payroll/db-password", *DENIED):
        alice("GetSecretValue", SecretName="payroll/db-password")
    with report.check("bob may describe alias/orders"):
        bob("DescribeKey", KeyId="alias/orders")["KeyMetadata"]["KeyId"]
    with report.refused("bob may not read orders/db-password", *DENIED):
        bob("GetSecretValue", SecretName="orders/db-password")


def disable_key(report, kim, key_id):
    with report.refused("a disabled key does not encrypt", 409, "Rejected.Disabled"):
        kim("DisableKey", KeyId=key_id)
        kim("Encrypt", KeyId=key_id, Plaintext="aGVsbG8=")
    with report.check("an enabled key encrypts again"):
        kim("EnableKey", KeyId=key_id)
        kim("Encrypt", KeyId=key_id, Plaintext="aGVsbG8=")


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


def tampered(token):
    """The token with another character in its middle, so that it is still base64."""
    middle = len(token) // 2
    return token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]


def come_over_tls(report, kim):
    with report.check("encrypt/decrypt round trip over TLS"):
        blob = kim("Encrypt", KeyId="alias/orders", Plaintext="aGVsbG8=")["CiphertextBlob"]
        equal(kim("Decrypt", CiphertextBlob=blob)["Plaintext"], "aGVsbG8=")
