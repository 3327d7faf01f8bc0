"""Compares the audit trails of Keywards in a row. The arguments are the trail of the one behind and those of the ones in
front, each in a folder that has the name of its way to the KMS."""

import json
import sys
from collections import Counter
from pathlib import Path

from common import Report, access_key, equal

KIM = access_key("kim")[0]
OURS = KIM, "ACS3-HMAC-SHA256"  # how Keyward signs with the access key that it was given

# What is asked in Keyward's own name: what a name stands for, and how it is tagged.
LOOKUPS = {"DescribeKey", "DescribeSecret", "ListResourceTags"}

STS = {"AssumeRole", "GetCallerIdentity"}
POLICIES = {"SetKeyPolicy", "GetKeyPolicy", "SetSecretPolicy", "GetSecretPolicy"}

SETTING = {"SetKeyPolicy", "SetSecretPolicy"}  # what could not be enforced in front is not set behind

# Rows: how what arrives is signed, by the line of the one in front; what that one answers itself.
WAYS = {
    "re-sign": (lambda line: OURS, STS | POLICIES),
    # The private half of a key pair is not Keyward's to sign with, but kim has an access key, too. In the name of a session
    # nobody can sign.
    "caller": (lambda line: (line["access_key_id"].replace("KAAP.kim", KIM), OURS[1]), STS | SETTING | {"Encrypt"}),
    "pass-through": (lambda line: signature(line), STS | POLICIES),
}


def signature(line):
    return line["access_key_id"], line["algorithm"]


def outcome(line):
    return line["operation"], line["status"], line.get("code")


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def compare(report, way, front, behind):
    signed, answered_here = WAYS[way]
    pairs = [(line, behind.get(line["upstream_request_id"])) for line in front if "upstream_request_id" in line]
    arrived = [pair for pair in pairs if pair[1]]
    refused = [line for line in front if line["decision"] != "allow"]
    with report.check(f"{way}: each request that went on arrived, and none twice"):
        equal((len(pairs) > 0, len(arrived)), (True, len(pairs)))
        equal(len({line["upstream_request_id"] for line, _ in pairs}), len(pairs))
    with report.check(f"{way}: what was allowed went on, unless it was answered there"):
        stayed = [line for line in front if line["decision"] == "allow" and "upstream_request_id" not in line]
        equal({line["operation"] for line in stayed} - answered_here, set())
    with report.check(f"{way}: what was refused did not, unless only the answer showed which key it was about"):
        equal(len(refused) > 0, True, "something was refused")
        equal({line["operation"] for line in refused if "upstream_request_id" in line} - {"Decrypt", "Encrypt"}, set())
    with report.check(f"{way}: both tell of the same outcome"):
        equal(differences((outcome(line), outcome(there)) for line, there in arrived if line["decision"] == "allow"), [])
    with report.check(f"{way}: it arrived with the signature that it should have"):
        equal(differences((signed(line), signature(there)) for line, there in arrived), [])


def differences(pairs):
    return sorted({pair for pair in pairs if pair[0] != pair[1]}, key=str)


def main():
    report = Report("audits")
    behind, *fronts = (Path(path) for path in sys.argv[1:])
    arrived, told = lines_of(behind), set()
    for path in fronts:
        front = lines_of(path)
        told |= {line.get("upstream_request_id") for line in front}
        compare(report, path.parent.name, front, {line["request_id"]: line for line in arrived})
    with report.check("what else arrived were questions of Keyward's own"):
        others = Counter((*signature(line), line["operation"]) for line in arrived if line["request_id"] not in told)
        equal([other for other in others if other not in {(*OURS, operation) for operation in LOOKUPS}], [])
    sys.exit(report.failed)


main()
