# What policyd has decided: three numbers for each subject, which it alone knows, so they lie in memory that outlives it.
# Used by policyd. How many decisions the trail holds is logd's number; only what logd never got is added to it here.

import contract

_ALLOWS, _DENIES, _FALLBACKS, _NUMBERS = range(4)
_SUBJECTS = contract.LIMIT_PROCESSES + contract.LIMIT_APP_SLOTS  # by dense index, an app's too
_EVERYBODY = (1 << _SUBJECTS) - 1


class Tally:
    # kept: words of 64 bits, zero at boot. in_trail: decisions that logd holds.
    def __init__(self, kept, in_trail):
        self.kept = kept
        self.resume(in_trail)

    def resume(self, in_trail):
        self.in_trail = in_trail
        self.unsure = False  # whether logd may have taken more than it could answer for

    def count(self, allowed, fallback, subject):
        at = subject * _NUMBERS
        self.kept[at if allowed else at + _DENIES] += 1
        if fallback:
            self.kept[at + _FALLBACKS] += 1
        else:
            self.in_trail += 1

    # Decisions, allows, denials with malformed questions, fallback lines.
    def numbers(self):
        _, allows, denies, fallbacks = self.of(_EVERYBODY)
        return self.in_trail + fallbacks, allows, denies, fallbacks

    # The same of decisions about these subjects, a bit for each.
    def of(self, subjects):
        sums = [0] * _NUMBERS
        for subject in range(_SUBJECTS):
            if subjects >> subject & 1:
                for number in range(_NUMBERS):
                    sums[number] += self.kept[subject * _NUMBERS + number]
        return sums[_ALLOWS] + sums[_DENIES], sums[_ALLOWS], sums[_DENIES], sums[_FALLBACKS]
