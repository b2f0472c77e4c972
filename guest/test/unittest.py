"""As much of unittest as MicroPython's own tests use: cases, assertions, skips, and a summary in the form that their runner reads.

In the ROMFS of system `micropython`, and frozen into the bare build. Upstream's own is a package of another repository, which the
pinned archive does not hold. Never catches what ends the interpreter: SystemExit and KeyboardInterrupt go through.
"""

import sys


class SkipTest(Exception):
    """Raised by a test that does not apply here."""


class _Raises:
    """What assertRaises is when it is given nothing to call."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.exception = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            raise AssertionError("%r was not raised" % self.wanted)
        self.exception = value
        return issubclass(kind, self.wanted)


class TestCase:
    """A class of tests: each method whose name begins with test, between setUp and tearDown."""

    def setUp(self):
        pass

    def tearDown(self):
        pass

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def fail(self, message="failed"):
        raise AssertionError(message)

    def skipTest(self, reason):
        raise SkipTest(reason)

    def _hold(self, holds, message, *values):
        if not holds:
            raise AssertionError(message or "not so: " + ", ".join([repr(value) for value in values]))

    def assertEqual(self, one, other, message=""):
        self._hold(one == other, message, one, other)

    def assertNotEqual(self, one, other, message=""):
        self._hold(one != other, message, one, other)

    def assertTrue(self, value, message=""):
        self._hold(value, message, value)

    def assertFalse(self, value, message=""):
        self._hold(not value, message, value)

    def assertIs(self, one, other, message=""):
        self._hold(one is other, message, one, other)

    def assertIsNot(self, one, other, message=""):
        self._hold(one is not other, message, one, other)

    def assertIsNone(self, value, message=""):
        self._hold(value is None, message, value)

    def assertIsNotNone(self, value, message=""):
        self._hold(value is not None, message, value)

    def assertIn(self, one, many, message=""):
        self._hold(one in many, message, one, many)

    def assertNotIn(self, one, many, message=""):
        self._hold(one not in many, message, one, many)

    def assertIsInstance(self, value, kind, message=""):
        self._hold(isinstance(value, kind), message, value, kind)

    def assertRaises(self, wanted, call=None, *arguments, **named):
        context = _Raises(wanted)
        if call is None:
            return context
        with context:
            call(*arguments, **named)
        return None


def skip(reason):
    """Leave a method or a class out."""

    def decorate(test):
        if isinstance(test, type):
            test.setUpClass = classmethod(lambda _cls: _skip(reason))
            return test
        return lambda *_: _skip(reason)

    return decorate


def skipIf(condition, reason):
    return skip(reason) if condition else lambda test: test


def skipUnless(condition, reason):
    return skipIf(not condition, reason)


def _skip(reason):
    raise SkipTest(reason)


class TestResult:
    """How many tests came to what end."""

    def __init__(self):
        self.testsRun = self.skippedNum = self.failuresNum = self.errorsNum = 0

    def wasSuccessful(self):
        return not self.failuresNum and not self.errorsNum

    def _run(self, title, test):
        try:
            test()
        except SkipTest as reason:
            self.skippedNum += 1
            print(title, "... skipped:", reason.args[0])
        except AssertionError as error:
            self.failuresNum += 1
            print(title, "... FAIL")
            sys.print_exception(error)
        except Exception as error:  # noqa: BLE001 - what a test raises is its result
            self.errorsNum += 1
            print(title, "... ERROR")
            sys.print_exception(error)
        else:
            print(title, "... ok")

    def run_class(self, kind):
        names = sorted([name for name in dir(kind) if name.startswith("test")])
        try:
            kind.setUpClass()
        except SkipTest as reason:
            self.testsRun += len(names)
            self.skippedNum += len(names)
            print(kind.__name__, "... skipped:", reason.args[0])
            return
        for name in names:
            self.testsRun += 1
            self._run_one(kind, name)
        kind.tearDownClass()

    def _run_one(self, kind, name):
        case = kind()

        def test():
            case.setUp()
            try:
                getattr(case, name)()
            finally:
                case.tearDown()

        self._run("%s (%s)" % (name, kind.__name__), test)

    def show(self):
        """The last four lines are what run-tests.py knows a unittest by."""
        print("-" * 70)
        print("Ran %d tests\n" % self.testsRun)
        if self.wasSuccessful():
            print("OK (skipped=%d)" % self.skippedNum if self.skippedNum else "OK")
        else:
            print("FAILED (failures=%d, errors=%d)" % (self.failuresNum, self.errorsNum))


def main(module="__main__"):
    """Run every case of a module, in the order of names."""
    space = __import__(module) if isinstance(module, str) else module
    result = TestResult()
    for name in sorted(dir(space)):
        kind = getattr(space, name)
        if isinstance(kind, type) and issubclass(kind, TestCase) and kind is not TestCase:
            result.run_class(kind)
    result.show()
    return result
