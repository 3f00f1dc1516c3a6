import unittest
from types import SimpleNamespace

from policy import Policy


def evidence(trigger, now_ms, transmissions=0, esp_in_ms=0):
    return SimpleNamespace(
        trigger=trigger,
        now_ms=now_ms,
        established_ms=0,
        ike_in_ms=0,
        esp_in_ms=esp_in_ms,
        transmissions=transmissions,
        retry_ms=5000,
        retries=5,
    )


class TestPolicy(unittest.TestCase):
    def test_a_quiet_device_is_probed_before_a_packet(self):
        policy = Policy({"quiet-ms": 30000})
        self.assertEqual(policy.decide(evidence("before-send", 30001)), ("probe", 5000))
        self.assertEqual(policy.decide(evidence("before-send", 30000)), ("wait",))
        self.assertEqual(policy.decide(evidence("before-send", 30001, esp_in_ms=1)), ("wait",))

    def test_silence_ends_in_giving_up(self):
        policy = Policy({})
        self.assertEqual(policy.decide(evidence("unanswered", 1, 5)), ("probe", 5000))
        self.assertEqual(policy.decide(evidence("unanswered", 1, 6))[0], "give-up")


if __name__ == "__main__":
    unittest.main()
