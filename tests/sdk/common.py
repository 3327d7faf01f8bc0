"""What all drivers share: where Keyward is, the texts that they send, and the report. Nothing of any one client."""

import contextlib
import json
import os
from pathlib import Path

API = os.environ["KEYWARD_API"]  # host:port
TLS = os.environ["KEYWARD_TLS"]  # host:port
CA = os.environ["KEYWARD_CA"]  # the file with the authority of the certificate there
WAY = os.environ.get("KEYWARD_WAY", "")  # how requests get to the KMS, if not directly
REGION = "cn-hangzhou"
STS_ACTIONS = {"AssumeRole", "GetCallerIdentity"}

ACCOUNT = "acs:ram::1234567890123456"

HERE = Path(__file__).parent
TEXTS = json.loads((HERE / "scenario.json").read_text("utf-8"))

DENIED = 403, "Forbidden.NoPermission"


def access_key(user):
    """The id and the secret of a user in the example directory."""
    return [os.environ[f"KEYWARD_{user.upper()}_{part}"] for part in ("ID", "SECRET")]


class Refused(Exception):
    """The service said no, and the client understood."""

    def __init__(self, code, status):
        super().__init__(f"{status} {code}")
        self.code, self.status = code, status


class Report:
    """Prints one line for each check and remembers whether one failed."""

    def __init__(self, client):
        self.client, self.failed = client, False
        self.label = f"{client}/{WAY}" if WAY else client

    def say(self, line):
        print(f"{line}\n", end="", flush=True)  # in one piece: others may write at the same time

    @contextlib.contextmanager
    def check(self, what):
        try:
            yield
            self.say(f"ok   {self.label}  {what}")
        except Exception as problem:  # whatever it is: this check failed, and the others still have their turn
            self.failed = True
            self.say(f"FAIL {self.label}  {what}: {type(problem).__name__}: {problem}")

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


def tampered(token):
    """The token with another character in its middle, so that it is still base64."""
    middle = len(token) // 2
    return token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
