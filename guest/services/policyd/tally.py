# What policyd has decided: four numbers, of which it alone knows all but the first, so they lie in memory that outlives it.
# Used by policyd. The decisions in the trail are logd's number; only what logd never got is added to it here.

_ALLOWS, _DENIES, _FALLBACKS = 0, 1, 2


class Tally:
    # kept: words of 64 bits, zero at boot. in_trail: decisions that logd holds.
    def __init__(self, kept, in_trail):
        self.kept = kept
        self.resume(in_trail)

    def resume(self, in_trail):
        self.in_trail = in_trail
        self.unsure = False  # whether logd may have taken more than it could answer for

    def count(self, allowed, fallback):
        self.kept[_ALLOWS if allowed else _DENIES] += 1
        if fallback:
            self.kept[_FALLBACKS] += 1
        else:
            self.in_trail += 1

    # Decisions, allows, denials with malformed questions, fallback lines.
    def numbers(self):
        fallbacks = self.kept[_FALLBACKS]
        return self.in_trail + fallbacks, self.kept[_ALLOWS], self.kept[_DENIES], fallbacks
