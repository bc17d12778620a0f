"""Compares answers with the contract. A check reports all differences at once, because each of them is one line to fix."""

import datetime
import re
import uuid

from buttdial import ButtDialError

MISSING = object()


def shown(value):
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "..."


def describe(wanted):
    if isinstance(wanted, type):
        return wanted.__name__
    if isinstance(wanted, tuple):
        return " or ".join(describe(one) for one in wanted)
    return wanted.__doc__ or "what the check names" if callable(wanted) else repr(wanted)


def fits(value, wanted):
    """`wanted` is a type, a tuple of alternatives, a predicate, or a value."""
    if isinstance(wanted, tuple):
        return any(fits(value, one) for one in wanted)
    if isinstance(wanted, type):
        # In JSON a boolean is no number, and 1 is also 1.0.
        kinds = (int, float) if wanted is float else wanted
        return isinstance(value, kinds) and (wanted is bool or not isinstance(value, bool))
    if callable(wanted):
        try:
            return bool(wanted(value))
        except (TypeError, ValueError, AttributeError):
            return False
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def iso(value):
    """a time in ISO 8601 with its zone"""
    return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo is not None


def text(value):
    """a string that is not empty"""
    return isinstance(value, str) and value != ""


def digits(value):
    """six digits"""
    return re.fullmatch(r"\d{6}", value) is not None


def identifier(value):
    """a UUID"""
    return str(uuid.UUID(value)) == value.lower()


def hexadecimal(length):
    def matches(value):
        return re.fullmatch(f"[0-9a-f]{{{length}}}", value) is not None

    matches.__doc__ = f"{length} lower-case hexadecimal digits"
    return matches


def like(pattern):
    def matches(value):
        return re.search(pattern, value) is not None

    matches.__doc__ = f"a string like {pattern}"
    return matches


def one_of(*values):
    def matches(value):
        return value in values

    matches.__doc__ = "one of " + ", ".join(map(str, values))
    return matches


class Deviations:
    def __init__(self):
        self.found = []

    def deviates(self, what, answered, wanted):
        self.found.append({"what": what, "answered": shown(answered), "wanted": str(wanted)})

    def that(self, what, holds, answered, wanted):
        if not holds:
            self.deviates(what, answered, wanted)
        return bool(holds)

    def same(self, what, answered, wanted):
        return self.that(what, fits(answered, wanted), answered, describe(wanted))

    def shape(self, what, answer, /, **fields):
        """Compares the fields of an object. A field that is compared with None must exist."""
        if not isinstance(answer, dict):
            return self.deviates(what, answer, "an object")
        for name, wanted in fields.items():
            value = answer.get(name, MISSING)
            if value is MISSING:
                self.deviates(f"{what}: {name}", sorted(answer), f"{name}: {describe(wanted)}")
            elif not fits(value, wanted):
                self.deviates(f"{what}: {name}", value, describe(wanted))

    def both_casings(self, what, answer, **fields):
        """The fields, named in snake case, exist in both casings with the same value."""
        for name, wanted in fields.items():
            camel = re.sub(r"_(\w)", lambda match: match[1].upper(), name)
            self.shape(what, answer, **{name: wanted, camel: wanted})
            if isinstance(answer, dict) and name in answer and camel in answer:
                self.same(f"{what}: {name} equals {camel}", answer[camel], answer[name])

    async def answer(self, what, call, /, **fields):
        """Awaits a call of the client that must succeed, and returns its answer, or {} if it failed."""
        try:
            answer = await call
        except Exception as error:
            self.deviates(what, failure(error), "success")
            return {}
        if isinstance(answer, dict) and is_error(answer):
            self.deviates(what, answer, "success")
            return {}
        self.shape(what, answer, **fields)
        return answer if isinstance(answer, dict) else {}

    async def quiet(self, call):
        """Awaits a call for an answer that another line compares; returns {} if it failed."""
        try:
            answer = await call
        except Exception:
            return {}
        return answer if isinstance(answer, dict) else {}

    async def refusal(self, what, call, /, kind=ButtDialError, **attributes):
        """Awaits a call of the client that must raise an exception of this kind with these attributes, and returns it."""
        try:
            answer = await call
        except Exception as error:
            name = kind.__name__ if isinstance(kind, type) else " or ".join(one.__name__ for one in kind)
            if not isinstance(error, kind):
                self.deviates(what, failure(error), name)
            for attribute, wanted in attributes.items():
                self.same(f"{what}: {attribute}", getattr(error, attribute, MISSING), wanted)
            return error
        self.deviates(what, answer, f"a refusal {attributes}")
        return None

    async def envelope(self, what, call, /, **fields):
        """Awaits a tool or a route of an agent that must fail; the client returns the failure as an object."""
        try:
            answer = await call
        except Exception as error:
            self.deviates(what, failure(error), "an envelope")
            return {}
        if not isinstance(answer, dict) or not text(answer.get("error")):
            self.deviates(what, answer, "a string `error` in an object")
            return {}
        self.shape(what, answer, **{"code": text, **fields})
        return answer

    def report(self):
        return "\n".join(
            f"{one['what']}\n    answered {one['answered']}\n    wanted   {one['wanted']}" for one in self.found
        )


def is_error(answer):
    return bool(answer.get("error") or answer.get("errors")) or answer.get("status") in range(400, 600)


def failure(error):
    while getattr(error, "exceptions", None):
        error = error.exceptions[0]
    if isinstance(error, ButtDialError):
        return f"{type(error).__name__} {error.status_code} {error.code}: {error}"
    return f"{type(error).__name__}: {error}"
