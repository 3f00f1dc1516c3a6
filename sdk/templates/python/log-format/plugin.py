"""The door between the gateway and policy.py."""

import json

from wit_world import exports
from wit_world.exports.plugin import Description

import policy

running = None


class Plugin(exports.Plugin):
    def describe(self):
        schema = json.dumps(policy.SCHEMA)
        return Description(policy.NAME, policy.VERSION, policy.SUMMARY, schema)

    def init(self, settings):
        global running
        running = policy.Format(json.loads(settings))


class Log(exports.Log):
    def format(self, events):
        return "".join(running.line(event) + "\n" for event in events).encode()
