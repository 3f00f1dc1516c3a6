"""The door between the gateway and policy.py: numbers become words, and spans become text."""

import json
from types import SimpleNamespace

from wit_world import exports
from wit_world.exports.dpd import Action_GiveUp, Action_Probe, Action_Wait, Action_WaitUntil, Decision
from wit_world.exports.plugin import Description

import policy

ACTIONS = {
    "wait": Action_Wait,
    "wait-until": Action_WaitUntil,
    "probe": Action_Probe,
    "give-up": Action_GiveUp,
}
MODES = ["off", "on-demand", "periodic"]
TRIGGERS = ["established", "timer", "before-send", "answered", "unanswered", "moved"]
TEXTS = ["tenant", "template", "identity", "endpoint"]
running = None


def word(words, number):
    return words[number] if number < len(words) else "other"


def unpack(octets, piece):
    """The evidence as policy.py gets it."""

    def part(span):
        return octets[span.at : span.at + span.length]

    evidence = SimpleNamespace(**vars(piece))
    evidence.mode = word(MODES, piece.mode)
    evidence.trigger = word(TRIGGERS, piece.trigger)
    for name in TEXTS:
        setattr(evidence, name, part(getattr(piece, name)).decode())
    evidence.memo = part(piece.memo)
    return evidence


class Plugin(exports.Plugin):
    def describe(self):
        schema = json.dumps(policy.SCHEMA)
        return Description(policy.NAME, policy.VERSION, policy.SUMMARY, schema)

    def init(self, settings):
        global running
        running = policy.Policy(json.loads(settings))


class Dpd(exports.Dpd):
    def decide(self, octets, evidence):
        decisions = []
        for piece in evidence:
            action, *value = running.decide(unpack(octets, piece))
            decisions.append(Decision(ACTIONS[action](*value), None, []))
        return decisions
