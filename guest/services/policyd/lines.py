# policyd's lines on the console. A decision's line is printed once the asker has its answer: what printing costs depends on
# the names in it, and an asker could count that. Used by policyd. Prints names of the contract and hex only.

import contract
import kernel

_ACTIONS = [name.encode() + b")" for name in [contract.LINE_UNKNOWN] + contract.ACTION_NAMES.split()]


class Lines:
    # subjects: names of processes by dense index.
    def __init__(self, subjects):
        names = [name.encode() for name in subjects]
        self.denials = self._openings(contract.LINE_DENY, names)
        self.allows = self._openings(contract.LINE_ALLOW, names)
        self.held = [0] * contract.LIMIT_DECISION_LINES
        self.count = 0
        self.holding = False  # whoever told the number of lines so far has not printed it yet

    # What lines begin with, by the subject; the last is that of any app. Bytes: the interpreter looks each new text up among its names.
    def _openings(self, verdict, names):
        return [
            verdict.encode() + name + contract.LINE_ACTION.encode() for name in names + [contract.LINE_APP.encode()]
        ]

    # Hold back the line of one decision; action 0 for a question that is none. Whoever finds no room pays for a few that are printed.
    def decision(self, allowed, subject_index, action):
        if self.count == contract.LIMIT_DECISION_LINES:
            self._print(contract.LIMIT_DECISION_LINES_AT_ONCE)
        self.held[self.count] = (action << 17) | (subject_index << 1) | (1 if allowed else 0)
        self.count += 1

    def flush(self):
        if not self.holding:
            self._print(self.count)

    # Print the oldest.
    def _print(self, lines):
        for at in range(lines):
            kernel.console(self._text(self.held[at]))
        for at in range(lines, self.count):
            self.held[at - lines] = self.held[at]
        self.count -= lines

    # Whether the console took the record as hex.
    def fallback(self, record):
        return kernel.console(contract.LINE_FALLBACK + record.hex())

    def _text(self, held):
        action, index = held >> 17, held >> 1 & 0xFFFF
        openings = self.allows if held & 1 else self.denials
        opening = openings[-1 if index & contract.AUDIT_APP else index]
        return opening + _ACTIONS[action if action < len(_ACTIONS) else 0]
