"""Checks that every operation of the embedded KMS was called through at least two clients.

What it has stands in the table of src/local_kms/functions/mod.rs; what each client has called, in a file of its own in the
folder KEYWARD_CALLS (see checks.py).
"""

import os
import re
import sys
from pathlib import Path

from common import HERE, Report

AT_LEAST = 2
TABLE = HERE.parents[1] / "src/local_kms/functions/mod.rs"


def main():
    report = Report("coverage")
    served = re.findall(r'^    \("(\w+)", [\w:]+\),$', TABLE.read_text("utf-8"), re.MULTILINE)
    calls = {path.name: set(path.read_text("utf-8").split()) for path in Path(os.environ["KEYWARD_CALLS"]).iterdir()}
    with report.check(f"each of the {len(served)} operations was called through {AT_LEAST} clients or more"):
        callers = {operation: [client for client in calls if operation in calls[client]] for operation in served}
        missing = [f"{operation} ({', '.join(who) or 'none'})" for operation, who in callers.items() if len(who) < AT_LEAST]
        if missing or not served:
            raise AssertionError(", ".join(missing) or f"found no operation in {TABLE}")
    for client in sorted(calls):
        with report.check(f"{client} has called each of them"):
            if missing := set(served) - calls[client]:
                raise AssertionError(", ".join(sorted(missing)))
    sys.exit(report.failed)


main()
