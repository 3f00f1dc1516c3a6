"""The door between the gateway and policy.py."""

import json

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
running = None


class Plugin(exports.Plugin):
    def describe(self):
        schema = json.dumps(policy.SCHEMA)
        return Description(policy.NAME, policy.VERSION, policy.SUMMARY, schema)

    def init(self, settings):
        global running
        running = policy.Policy(json.loads(settings))


class Dpd(exports.Dpd):
    def decide(self, evidence):
        decisions = []
        for piece in evidence:
            action, *value = running.decide(piece)
            decisions.append(Decision(ACTIONS[action](*value), None, []))
        return decisions
