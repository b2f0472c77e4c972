# A token bucket per caller: how much one may take at once, and how fast it gets that back.
# Used by services that hand out something scarce. Pure arithmetic on the caller's index and clock; never asks the kernel.

import contract


class Buckets:
    # burst and per_second in the unit of what is handed out.
    def __init__(self, callers, burst, per_second):
        self.per_second = per_second
        self.full = burst * contract.LIMIT_TICK_HZ  # levels are in units per tick, so that nothing is lost by rounding
        self.levels = [self.full] * callers
        self.seen = [0] * callers  # when each level was last true

    # Whether this caller may have so much now; it is charged only then.
    def take(self, caller, amount, now):
        level = min(self.full, self.levels[caller] + (now - self.seen[caller]) * self.per_second)
        self.seen[caller] = now
        cost = amount * contract.LIMIT_TICK_HZ
        allowed = cost <= level
        self.levels[caller] = level - cost if allowed else level
        return allowed
