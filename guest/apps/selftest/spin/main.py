# spin: an endless loop, for tests of what that costs others. Started and killed by tests/os/test_exec.py.

while True:
    pass
