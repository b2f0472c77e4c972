# policyd's lines on the console. A decision's line is printed once the asker has its answer: what printing costs depends on
# the names in it, and an asker could count that. Used by policyd. Prints names of the contract and hex only.

import contract
import kernel

_ACTIONS = [contract.LINE_UNKNOWN] + contract.ACTION_NAMES.split()


class Lines:
    def __init__(self, subjects):
        self.subjects = subjects
        self.held = [0] * contract.LIMIT_DECISION_LINES
        self.count = 0

    # Hold back the line of one decision; action 0 for a question that is none.
    def decision(self, allowed, subject_index, action):
        if self.count == contract.LIMIT_DECISION_LINES:
            self.flush()
        self.held[self.count] = (action << 17) | (subject_index << 1) | (1 if allowed else 0)
        self.count += 1

    def flush(self):
        for at in range(self.count):
            kernel.console(self._text(self.held[at]))
        self.count = 0

    # Whether the console took the record as hex.
    def fallback(self, record):
        return kernel.console(contract.LINE_FALLBACK + record.hex())

    def _text(self, held):
        action = held >> 17
        name = _ACTIONS[action] if action < len(_ACTIONS) else contract.LINE_UNKNOWN
        opening = contract.LINE_ALLOW if held & 1 else contract.LINE_DENY
        return opening + self._subject(held >> 1 & 0xFFFF) + contract.LINE_ACTION + name + ")"

    def _subject(self, index):
        return contract.LINE_APP if index & contract.AUDIT_APP else self.subjects[index]
