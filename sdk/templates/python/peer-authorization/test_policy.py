import unittest
from types import SimpleNamespace

from policy import Policy


class TestPolicy(unittest.TestCase):
    def test_only_the_suffix_comes_in(self):
        policy = Policy({"suffix": ".branch.example"})
        inside = SimpleNamespace(identity="n1.branch.example")
        outside = SimpleNamespace(identity="n1.elsewhere.example")
        self.assertIsNone(policy.authorize(inside))
        self.assertEqual(policy.authorize(outside)[0], "not-permitted")


if __name__ == "__main__":
    unittest.main()
