"""Memory of a machine that stands still, fetched in as few pieces as the last look at it shows to be needed.

Used by watch.py for each sample. Knows no emulator: whoever makes one says how a piece is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nexus.machine.kernelview import PAGE

Fetch = Callable[[int, int], bytes]
GAP_PAGES = 32  # so many that nobody wants are sooner fetched than asked for around


class Memory:
    """Physical memory of one moment, as a KernelView reads it. `ahead`: address and size of pieces that are fetched at once."""

    def __init__(self, fetch: Fetch, ahead: Iterable[tuple[int, int]]) -> None:
        self._fetch = fetch
        self._pages: dict[int, bytes] = {}
        self._touched: set[int] = set()
        for address, size in ahead:
            self._take(address, size)

    def __call__(self, address: int, size: int) -> bytes:
        first, last = address // PAGE, (address + max(size, 1) - 1) // PAGE
        missing = [page for page in range(first, last + 1) if page not in self._pages]
        if missing:
            self._take(missing[0] * PAGE, (missing[-1] - missing[0] + 1) * PAGE)
        self._touched.update(range(first, last + 1))
        if first == last:
            return self._pages[first][address % PAGE : address % PAGE + size]
        joined = b"".join(self._pages[page] for page in range(first, last + 1))
        return joined[address % PAGE : address % PAGE + size]

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """What has been read, for the next one to fetch ahead."""
        return pieces_of(sorted(self._touched))

    def _take(self, address: int, size: int) -> None:
        data = self._fetch(address, size)
        for offset in range(0, size, PAGE):
            self._pages[(address + offset) // PAGE] = data[offset : offset + PAGE]


def pieces_of(pages: Sequence[int]) -> list[tuple[int, int]]:
    """Address and size of runs that hold these pages, which are sorted; small gaps count as part of a run."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page - runs[-1][1] <= GAP_PAGES:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return [(first * PAGE, (last - first + 1) * PAGE) for first, last in runs]
