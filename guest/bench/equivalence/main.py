# The booted half of the exhaustive agreement: root process of system `equivalence`. Decides every point of every sheet with the
# evaluator that policyd has, and prints a digest per block, which tests/os/test_policy.py compares with the host's. When the
# launch's flags name a block (its number + 1, above the flags that the kernel knows), it prints that block's decisions instead.

import array

import caps
import contract
import crypto
import kernel
import micropython
import nexus_sel
from policy_sheets import SHEETS

BLOCK = 4096
PER_LINE = 16
DUMP_SHIFT = 8


def pause():
    try:
        kernel.wait(caps.NOTIFICATION, kernel.time() + contract.LIMIT_SLICE_TICKS)
    except kernel.Error as error:
        if error.args[0] != contract.E_DEADLINE:
            raise


# Whoever prints much gives the console time: a line that it refuses is gone.
def say(text):
    kernel.console(text)
    pause()


class Blocks:
    def __init__(self, wanted):
        self.decisions = array.array("i", bytes(4 * BLOCK))
        self.view = memoryview(self.decisions)
        self.wanted = wanted  # block to print whole, -1: none
        self.count = 0
        self.number = 0
        self.points = 0

    def take(self, decision):
        self.decisions[self.count] = decision
        self.count += 1
        if self.count == BLOCK:
            self.close()

    def close(self):
        if self.count == 0:
            return
        if self.wanted < 0:
            say("block %08x %s" % (self.number, crypto.sha256(self.view[: self.count]).hex()))
        elif self.wanted == self.number:
            for at in range(0, self.count, PER_LINE):
                line = self.decisions[at : min(at + PER_LINE, self.count)]
                say("said %08x %s" % (at, " ".join("%08x" % (one & 0xFFFFFFFF) for one in line)))
        self.points += self.count
        self.number += 1
        self.count = 0


# Any allocation while the heap is locked ends the process.
def decide_without_heap(sheet, rules, automaton, known):
    _, subjects, actions, names, settings = sheet
    kind, index, service_id = subjects[0]
    micropython.heap_lock()
    place = nexus_sel.subject(known, kind, index, service_id)
    for action in actions:
        for name in names:
            target = nexus_sel.target(automaton, name)
            nexus_sel.decide(rules, contract.POLICY_TABLE_SELF, place, -1, action, target, settings[0])
    micropython.heap_unlock()


def decide_all(sheet, blocks):
    table, subjects, actions, names, settings = sheet
    rules, automaton, known, _ = nexus_sel.load(memoryview(array.array("H", table)))
    decide_without_heap(sheet, rules, automaton, known)
    kinds = array.array("H", [nexus_sel.target(automaton, name) for name in names])
    decide = nexus_sel.decide
    for kind, index, service_id in subjects:
        place = nexus_sel.subject(known, kind, index, service_id)
        for action in actions:
            for target in kinds:
                for gates in settings:
                    blocks.take(decide(rules, contract.POLICY_TABLE_SELF, place, -1, action, target, gates))
    blocks.close()


blocks = Blocks((kernel.system(caps.SYSTEM, contract.SYSTEM_FLAGS) >> DUMP_SHIFT) - 1)
for sheet in SHEETS:
    decide_all(sheet, blocks)
say("points %08x" % blocks.points)
kernel.system(caps.SYSTEM, contract.SYSTEM_SHUTDOWN, contract.EXIT_OK)
