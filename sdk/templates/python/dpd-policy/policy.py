"""Probes a device when a packet goes out to it and it has been quiet.

Nothing here knows WebAssembly, so that it is tested as it is; plugin.py is the door.
"""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Says in one sentence what it does"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "quiet-ms": {
            "description": "ESP goes out and nothing has come in for so long: probe.",
            "type": "integer",
            "minimum": 1000,
            "maximum": 3600000,
            "default": 20000,
        }
    },
}


class Policy:
    def __init__(self, settings):
        self.quiet_ms = settings.get("quiet-ms", 20000)

    def decide(self, evidence):
        """("wait",), ("wait-until", ms), ("probe", ms) or ("give-up", reason)."""
        if evidence.trigger == "unanswered":
            if evidence.transmissions > evidence.retries:
                return ("give-up", "no probe was answered")
            return ("probe", evidence.retry_ms)
        if evidence.trigger == "before-send" and evidence.transmissions == 0:
            heard = max(evidence.established_ms, evidence.ike_in_ms, evidence.esp_in_ms)
            if evidence.now_ms - heard > self.quiet_ms:
                return ("probe", evidence.retry_ms)
        return ("wait",)
