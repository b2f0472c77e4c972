# pybench: makes the calls of the Python rows of nexus bench when `bench`, which counts the instructions, asks for them.

import array
import struct

import caps
import client
import contract
import nexus_sel
import server
from policy_sheets import SHEETS
from wire import Refuse

_ENTROPY = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, 32)


def _py_call():
    client.call(caps.PYECHO, contract.OP_PYECHO_ECHO, b"", client.deadline(contract.EDGE_DEADLINE_PYECHO_ALL))


def _rngd_request():
    client.call(caps.RNGD, contract.OP_RNGD_GET_ENTROPY, _ENTROPY, client.deadline(contract.EDGE_DEADLINE_RNGD_ALL))


# A child that is not bench's, of the number that bench takes it to have.
def _begin_child():
    until = client.deadline(contract.EDGE_DEADLINE_EXECD_ALL)
    answer = client.ask(caps.EXECD, contract.OP_EXECD_EXEC, b"\0selftest.stay", contract.REPLY_EXECD_EXEC, until)
    if answer[0] != contract.CHILD_OF_PYBENCH:
        raise Refuse(contract.STATUS_NOT_FOUND)


_FULL, _ONE = 1, 2  # of SHEETS


# One decision on the table of a sheet. What is asked makes no difference.
def _decision(number):
    table, subjects, actions, names, settings = SHEETS[number]
    rules, automaton, known, _ = nexus_sel.load(memoryview(array.array("H", table)))
    subject, action, gates = nexus_sel.subject(known, *subjects[0]), actions[0], settings[0]
    target, decide, asker = nexus_sel.target(automaton, names[0]), nexus_sel.decide, contract.POLICY_TABLE_SELF

    def once():
        decide(rules, asker, subject, -1, action, target, gates)

    return once


# What kind of target a name of so many bytes is.
def _target(count):
    _, automaton, _, _ = nexus_sel.load(memoryview(array.array("H", SHEETS[_ONE][0])))
    name, target = bytes([ord("a")] * count), nexus_sel.target

    def once():
        target(automaton, name)

    return once


ROWS = {
    contract.ROW_PY_CALL: _py_call,
    contract.ROW_RNGD_REQUEST: _rngd_request,
    contract.ROW_POLICY_DECIDE: _decision(_ONE),
    contract.ROW_POLICY_DECIDE_FULL: _decision(_FULL),
    contract.ROW_POLICY_TARGET_1: _target(1),
    contract.ROW_POLICY_TARGET_32: _target(32),
    contract.ROW_BEGIN_CHILD: _begin_child,
}


def on_run(row, rounds):
    once = ROWS.get(row)
    if once is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    for _ in range(rounds):
        once()


HANDLERS = {
    contract.OP_PYBENCH_RUN: (on_run, contract.REQUEST_PYBENCH_RUN, contract.BADGE_FACET_ANY),
}

server.serve(HANDLERS, contract.LINE_BENCH_UP)
