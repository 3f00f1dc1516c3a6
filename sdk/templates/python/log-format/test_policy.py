import unittest
from types import SimpleNamespace

from policy import Format


class TestFormat(unittest.TestCase):
    def test_an_event_is_a_line(self):
        event = SimpleNamespace(time_unix_ns=1_699_410_963_634_000_000, name="peer_up", identity="test")
        self.assertEqual(Format({"prefix": "hq "}).line(event), "hq 1699410963 peer_up test")
        event.identity = None
        self.assertEqual(Format({}).line(event), "1699410963 peer_up -")


if __name__ == "__main__":
    unittest.main()
