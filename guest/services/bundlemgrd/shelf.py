# The bundles that are here, and what of a new one only their keeper can say: whether it is newer, its publisher's, under an identity of its
# own, and whether there is room. Used by keeper.py. Pure: asks nobody, maps nothing.

import struct

import book
import contract
import crypto
import manifest
from app_id import service_id


# A judged bundle and where it lies.
class Bundle:
    def __init__(self, number, view):
        self.number, self.view = number, view
        self.what = book.NOTHING
        self.emptied = False
        self.name = manifest.name_of(view)
        self.version = manifest.version_of(view)
        self.publisher = manifest.publisher_of(view)
        self.actions = manifest.actions_of(view)
        self.size = manifest.stated_size(view)
        self.head = manifest.contents_from(view)
        self.service_id = service_id(self.name)
        self.sums = self._sums()

    # Whether it is still what was judged.
    def is_intact(self):
        return self._sums() == self.sums

    # Of all that is signed, and of the signature.
    def _sums(self):
        start = contract.BUNDLE_PAGE_BYTES
        end = start + self.size - self.head
        return crypto.sha256(self.view[: self.head]), crypto.sha256(self.view[start:end])


# What was left behind in a region when bundlemgrd died, and is no bundle any more; nobody can ask for it, as it has no name.
class Remains:
    def __init__(self, number, service_id, publisher):
        self.number, self.service_id, self.publisher = number, service_id, publisher
        self.emptied = False
        self.name, self.version, self.actions, self.size = b"", (0, 0, 0), 0, 0


class Shelf:
    # services: their ids, 8 bytes each; rooms: regions, of which one stays free to stage in.
    def __init__(self, rooms, services):
        self.rooms, self.services = rooms, services
        self.bundles = []  # gone ones too, as long as they take room

    def installed(self, name):
        for bundle in self.bundles:
            if bundle.name == name and bundle.what == book.INSTALLED:
                return bundle
        return None

    # Number of a region that holds nothing; None if there is none.
    def free(self):
        held = [bundle.number for bundle in self.bundles]
        for number in range(self.rooms):
            if number not in held:
                return number
        return None

    # 0 if that bundle could be installed now, else BUNDLE_REFUSAL_*.
    def refusal(self, new):
        old = self.installed(new.name)
        if old is not None and new.version <= old.version:
            return contract.BUNDLE_REFUSAL_OLDER
        if old is not None and new.publisher != old.publisher:
            return contract.BUNDLE_REFUSAL_OTHER
        if self._is_taken(new):
            return contract.BUNDLE_REFUSAL_COLLISION
        return 0 if old is not None or self._has_room(new) else contract.BUNDLE_REFUSAL_QUOTA

    # Whether another name has the same service id.
    def _is_taken(self, new):
        for at in range(0, len(self.services), 8):
            if struct.unpack_from("<Q", self.services, at)[0] == new.service_id:
                return True
        return any(bundle.service_id == new.service_id and bundle.name != new.name for bundle in self.bundles)

    # An app that was uninstalled and still runs keeps its name, since what it stores goes with it.
    def _has_room(self, new):
        own = 0
        for bundle in self.bundles:
            if bundle.name == new.name and bundle.what == book.UNINSTALLED:
                return False
            if bundle.publisher == new.publisher and bundle.what == book.INSTALLED:
                own += 1
        return own < contract.LIMIT_BUNDLE_PUBLISHER and len(self.bundles) < self.rooms - 1
