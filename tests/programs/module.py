"""Runs one of CPython's own test modules in this process: module.py MODULE [PART OF A TEST'S NAME TO LEAVE OUT]..."""

import sys
import unittest

from test import support

# Nothing of what regrtest calls a resource: no network beyond loopback, no large files, no long computations.
support.use_resources = []

# Tests that fail when something took longer than they allow: natively too, on a machine that has other things to do.
MEASURE_TIME = tuple("""
    BaseEventLoopTests.test_time_and_call_at
    EventLoopTests.test_run_until_complete
    TimeoutTests.test_nested_timeouts
    TimeoutTests.test_nested_timeouts_loop_busy
    TimeoutTests.test_timeout_at_disabled
    TimeoutTests.test_timeout_disabled
    TimeoutTests.test_timeout_in_the_past_sleep_zero
    TimeoutTests.test_timeout_not_called
    TimeoutTests.test_timeout_zero
    TimeoutTests.test_timeout_zero_sleep_zero
    AsyncioWaitForTest.test_wait_for
    AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0
    AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0_coroutine_do_not_started
    AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0_future_done
    TestEPoll.test_control_and_wait
    TestEPoll.test_unregister_closed
    IntStrDigitLimitsTests.test_denial_of_service_prevented_int_to_str
    IntStrDigitLimitsTests.test_denial_of_service_prevented_str_to_int
    IntSubclassStrDigitLimitsTests.test_denial_of_service_prevented_int_to_str
    IntSubclassStrDigitLimitsTests.test_denial_of_service_prevented_str_to_int
    MinidomTest.testAppendChildNoQuadraticComplexity
    ReTests.test_search_anchor_at_beginning
    TestMaildir.test_reread
    SelectorTestCase.test_select_interrupt_exc
    SelectorTestCase.test_select_interrupt_noraise
    SelectorTestCase.test_timeout
    UtimeTests.test_utime_current
    UtimeTests.test_utime_current_old
    TimeTestCase.test_gmtime_without_arg
    TimeTestCase.test_localtime_without_arg
    TimeTestCase.test_process_time
    TimeTestCase.test_thread_time
""".split())


def tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests(test)
        else:
            yield test


module, *left_out = sys.argv[1:]
loaded = list(tests(unittest.defaultTestLoader.loadTestsFromName("test." + module)))
chosen = [test for test in loaded if not any(part in test.id() for part in left_out) and not test.id().endswith(MEASURE_TIME)]
for part in left_out:
    if not any(part in test.id() for test in loaded):
        sys.exit(f"no test of {module} has {part!r} in its name")
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.TestSuite(chosen))
print(f"{module}: {len(chosen)} of {len(loaded)} tests, {len(result.skipped)} skipped")
sys.exit(not (result.wasSuccessful() and chosen))
