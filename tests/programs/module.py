"""Runs one of CPython's own test modules in this process: module.py MODULE [PART OF A TEST'S NAME TO LEAVE OUT]..."""

import sys
import unittest

from test import support

# Nothing of what regrtest calls a resource: no network beyond loopback, no large files, no long computations.
support.use_resources = []


def tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests(test)
        else:
            yield test


module, *left_out = sys.argv[1:]
loaded = list(tests(unittest.defaultTestLoader.loadTestsFromName("test." + module)))
chosen = [test for test in loaded if not any(part in test.id() for part in left_out)]
for part in left_out:
    if not any(part in test.id() for test in loaded):
        sys.exit(f"no test of {module} has {part!r} in its name")
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.TestSuite(chosen))
print(f"{module}: {len(chosen)} of {len(loaded)} tests, {len(result.skipped)} skipped")
sys.exit(not (result.wasSuccessful() and chosen))
