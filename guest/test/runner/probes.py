# What the runner asks of everybody while a hostile app is at work: one ordinary request each, whose answer it knows, within LATE ticks.
# Counts what did not come or was not the answer, and how long the slowest took.

import struct

import caps
import client
import contract
import kernel
import route
import wire

LATE = contract.LIMIT_TICK_HZ // 20  # 50 ms, a few of them the host's own; deadlines are usually 1 s to 150 s
_KEY, _VALUE = b"runner", b"what nobody else may see or change"
_ways = {}


def rest(ticks):
    try:
        kernel.wait(caps.NOTIFICATION, client.deadline(ticks))
    except kernel.Error:
        return


# A handle to call that server with; asked for once.
def way(name):
    if name not in _ways:
        _ways[name] = route.get(name)
    return _ways[name]


# What has to be there afterwards.
def keep_value():
    until = client.deadline(contract.EDGE_DEADLINE_KEYSTORED_ALL)
    client.call(way(b"keystored"), contract.OP_KEYSTORED_PUT, bytes((len(_KEY),)) + _KEY + _VALUE, until)


# Decisions, allows, denials, fallback lines, as policyd counts them.
def counts():
    until, form = client.deadline(contract.EDGE_DEADLINE_POLICYD_ALL), contract.REPLY_POLICYD_STATS
    return client.ask(way(b"policyd:stats"), contract.OP_POLICYD_STATS, b"", form, until)


def _entropy(answer):
    return len(answer) == 16


def _value(answer):
    return bytes(answer) == _VALUE


def _anything(_answer):
    return True


def _check(action):
    return bytes((action & 0xFF, action >> 8)) + contract.POLICY_NO_TARGET.encode()


class Meter:
    def __init__(self):
        self.rounds = self.failed = self.slowest = 0

    # One request to each; of the app itself execd is asked.
    def round(self, number, name):
        self.rounds += 1
        self._ask(way(b"rngd"), contract.OP_RNGD_GET_ENTROPY, b"\x10\x00", _entropy)
        self._ask(way(b"keystored"), contract.OP_KEYSTORED_GET, _KEY, _value)
        self._ask(way(b"policyd"), contract.OP_POLICYD_CHECK, _check(contract.ACTION_RNG_ENTROPY), _anything)
        self._ask(caps.LOGD_APPEND, contract.OP_LOGD_APPEND, b"\x00at work", _anything)
        self._ask(caps.INIT, contract.OP_INIT_PS, b"\x00", _anything)
        self._ask(way(b"bundlemgrd"), contract.OP_BUNDLEMGRD_LIST, b"\x00", _anything)
        self._ask(way(b"execd"), contract.OP_EXECD_LIST, struct.pack("<I", number) + name, _anything)

    def _ask(self, handle, op, payload, is_right):
        begun = kernel.time()
        try:
            right = is_right(client.call(handle, op, payload, begun + LATE))
        except wire.Refuse:
            right = False
        self.slowest = max(self.slowest, kernel.time() - begun)
        self.failed += not right
