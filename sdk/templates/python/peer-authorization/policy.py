"""Lets in the identities that end as the settings say.

Nothing here knows WebAssembly, so that it is tested as it is; plugin.py is the door.
"""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Says in one sentence what it does"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["suffix"],
    "properties": {
        "suffix": {
            "description": "Identities that end so are let in.",
            "type": "string",
            "minLength": 1,
        }
    },
}


class Policy:
    def __init__(self, settings):
        self.suffix = settings["suffix"]

    def authorize(self, request):
        """None lets the peer in; (code, detail) does not."""
        if request.identity.endswith(self.suffix):
            return None
        return ("not-permitted", f"{request.identity} is none of {self.suffix}")
