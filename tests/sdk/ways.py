"""What is different on the way that requests take to the KMS: nothing when Keyward has it itself (see through_two.sh).

A way has a table in ways/, with

    "lives": for each life, steps that are others there: the "check" that they have in the table of the life, "because", and
        what takes the place of its members; or "left_out": true
    "own": steps that are only there
    "only": steps that take the place of everything
    "sessions": "because" and how requests of role sessions are "refused", where they are
    "refusals": for what drivers ask themselves, how it is "refused" there, and "because"
    "like": another way, whose table holds too, but for what this one says
"""

import json

from common import HERE, WAY


def table(way):
    found = json.loads((HERE / "ways" / f"{way}.json").read_text("utf-8"))
    like = table(found["like"]) if "like" in found else {}
    lives = like.get("lives", {})
    for life, changes in found.get("lives", {}).items():
        lives[life] = lives.get(life, []) + changes  # of two changes to a step, the later one counts
    return like | found | {"lives": lives}


TABLE = table(WAY) if WAY else {}


def changed(step, changes):
    change = changes.pop(step["check"], {})
    return [] if change.get("left_out") else [step | change]


def steps_of(life):
    """The steps of a life as they are on this way."""
    steps = json.loads((HERE / "lives" / f"{life}.json").read_text("utf-8"))["steps"]
    changes = {change["check"]: change for change in TABLE.get("lives", {}).get(life, [])}
    steps = [as_is for step in steps for as_is in changed(step, changes)]
    if changes:
        raise KeyError(f"ways/{WAY}.json changes what is not in the life {life}: {', '.join(changes)}")
    return steps


def own():
    return TABLE.get("own", [])


def only():
    return TABLE.get("only")


def refused_sessions():
    """The status and code with which requests of sessions are refused; None where they are not."""
    return TABLE.get("sessions", {}).get("refused")


def refusal(what, status, code):
    """The status and code with which something is refused on this way."""
    return TABLE.get("refusals", {}).get(what, {}).get("refused", [status, code])
