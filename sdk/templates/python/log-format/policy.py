"""One line for each event: its time, name and identity.

Nothing here knows WebAssembly, so that it is tested as it is; plugin.py is the door.
"""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Says in one sentence what it does"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "prefix": {
            "description": "What each line begins with.",
            "type": "string",
            "default": "",
        }
    },
}


class Format:
    def __init__(self, settings):
        self.prefix = settings.get("prefix", "")

    def line(self, event):
        """The line of this event, without its line feed."""
        seconds = event.time_unix_ns // 1_000_000_000
        return f"{self.prefix}{seconds} {event.name} {event.identity or '-'}"
