# A token bucket per caller: how much one may take at once, and how fast it gets that back.
# Used by services that hand out something scarce. Pure arithmetic on who the caller is and the clock; never asks the kernel.

import contract


class Buckets:
    # burst and per_second in the unit of what is handed out.
    def __init__(self, callers, burst, per_second):
        self.per_second = per_second
        self.full = burst * contract.LIMIT_TICK_HZ  # levels are in units per tick, so that nothing is lost by rounding
        self.levels = [self.full] * callers
        self.names = [0] * callers  # service ids: an app's index is another app's later on
        self.seen = [0] * callers  # when each level was last true

    # Whether this caller, by index and service id, may have so much now; it is charged only then.
    def take(self, caller, name, amount, now):
        level = self.full
        if self.names[caller] == name:
            level = min(level, self.levels[caller] + (now - self.seen[caller]) * self.per_second)
        self.names[caller], self.seen[caller] = name, now
        cost = amount * contract.LIMIT_TICK_HZ
        allowed = cost <= level
        self.levels[caller] = level - cost if allowed else level
        return allowed
