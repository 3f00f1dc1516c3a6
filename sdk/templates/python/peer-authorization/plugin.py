"""The door between the gateway and policy.py."""

import json

from wit_world import exports
from wit_world.exports.authorization import Denial, Grant, Verdict_Allow, Verdict_Deny
from wit_world.exports.plugin import Description

import policy

running = None


class Plugin(exports.Plugin):
    def describe(self):
        schema = json.dumps(policy.SCHEMA)
        return Description(policy.NAME, policy.VERSION, policy.SUMMARY, schema)

    def init(self, settings):
        global running
        running = policy.Policy(json.loads(settings))


class Authorization(exports.Authorization):
    def authorize(self, request):
        denied = running.authorize(request)
        if denied is None:
            return Verdict_Allow(Grant([], [], None, []))
        return Verdict_Deny(Denial(*denied))
