# One bundle on its way in: who brings it, as what, and how much of it is there. Used by main.py. Puts the bytes of a file where a
# bundle lies in a region; of what they say it believes nothing, but for where contents begin, which is judged with the rest.

import contract
import manifest


class Session:
    # owner: whose bundle it will be judged as; view: of the whole region, to write; began: when it came, with one that it gave up before.
    def __init__(self, owner, number, view, size, name, began, now):
        self.owner, self.number, self.view = owner, number, view
        self.size, self.name = size, name
        self.got = 0
        self.began, self.touched = began, now
        self.sealed = False

    def is_complete(self):
        return self.got == self.size

    # Whether whoever brings it has given up, by all that can be seen, or has had its time.
    def is_stale(self, now):
        return (
            now - self.touched > contract.LIMIT_BUNDLE_STAGE_TICKS
            or now - self.began > contract.LIMIT_BUNDLE_SESSION_TICKS
        )

    # The next bytes of the file; there are no more of them than are missing.
    def put(self, data, now):
        done = 0
        while done < len(data):
            place, room = self._next()
            count = min(room, len(data) - done)
            # A view of the piece alone: into one of the whole region, the interpreter would move all that comes after.
            piece = self.view[place : place + count]
            piece[:] = data[done : done + len(piece)]
            done += count
            self.got += count
        self.touched = now

    # Where in the region the next byte goes, and how many of the file's go there in a row. What would go beyond the region, with more
    # contents than any bundle has, is counted and goes nowhere.
    def _next(self):
        if self.got < manifest.OPENING:
            return self.got, manifest.OPENING - self.got
        start = manifest.contents_from(self.view)
        if self.got < start:
            return self.got, start - self.got
        return self.got - start + contract.BUNDLE_PAGE_BYTES, self.size - self.got
