"""The door between the gateway and policy.py: numbers become words, and spans become text."""

import json
from types import SimpleNamespace

from wit_world import exports
from wit_world.exports.log import Value_Text
from wit_world.exports.plugin import Description

import policy

SEVERITIES = ["debug", "info", "notice", "warning", "error"]
TEXTS = ["tenant", "template", "identity", "local", "remote"]
running = None


def unpack(octets, fields, event):
    """The event as policy.py gets it: texts that are not there are None, fields are a dict."""

    def text(span):
        return octets[span.at : span.at + span.length].decode()

    def value(field):
        return text(field.value.value) if isinstance(field.value, Value_Text) else field.value.value

    own = fields[event.first_field : event.first_field + event.fields]
    return SimpleNamespace(
        time_unix_ns=event.time_unix_ns,
        sequence=event.sequence,
        device=event.device or None,
        shard=event.shard,
        severity=SEVERITIES[min(event.severity, 4)],
        name=text(event.name),
        fields={text(field.name): value(field) for field in own},
        **{name: text(getattr(event, name)) or None for name in TEXTS},
    )


class Plugin(exports.Plugin):
    def describe(self):
        schema = json.dumps(policy.SCHEMA)
        return Description(policy.NAME, policy.VERSION, policy.SUMMARY, schema)

    def init(self, settings):
        global running
        running = policy.Format(json.loads(settings))


class Log(exports.Log):
    def format(self, texts, fields, events):
        # Spans count octets.
        octets = texts.encode()
        lines = (running.line(unpack(octets, fields, event)) + "\n" for event in events)
        return "".join(lines).encode()
