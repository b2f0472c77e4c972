# Takes bundles in and lets them go: regions, book and shelf together, and the one session of a bundle on its way in. Used by main.py,
# which has asked whether it may and records what comes of it. Order: a region is sealed, then judged, then it is a bundle. What is
# replaced or uninstalled can't be had any more at once; its region is emptied when its last user has gone.

import contract
import manifest
import regions
from book import INSTALLED, NOTHING, REPLACED, UNINSTALLED, Book
from shelf import Bundle, Remains, Shelf
from staging import Session


class Keeper:
    # memory: kept; purge(service id, publisher): delete what that app has stored, whether it was.
    def __init__(self, memory, publishers, services, purge):
        self.book = Book(memory)
        self.shelf = Shelf(regions.COUNT, services)
        self.publishers, self.purge = publishers, purge
        self.session = None

    # ---- on the way in ----

    # 0 or why not. One session at a time; another one's ends.
    def stage(self, owner, size, name, now):
        before = self.session
        began = before.began if before is not None and before.owner == owner and not before.is_stale(now) else now
        self.drop()
        if size > manifest.FILE_MOST:
            return contract.BUNDLE_REFUSAL_TOO_LARGE
        number = self.shelf.free()
        if number is None:
            return contract.BUNDLE_REFUSAL_QUOTA
        self.session = Session(owner, number, regions.open(number), size, name, began, now)
        return 0

    def drop(self):
        if self.session is not None:
            number, self.session = self.session.number, None
            regions.free(number)

    # (0, bundle) of what this owner has staged, or (why not, None). Without a name it may have any.
    def judge(self, owner, name):
        session = self.session
        if session is None or session.owner != owner or not session.is_complete():
            return contract.BUNDLE_REFUSAL_INCOMPLETE, None
        if not session.sealed:
            session.view = regions.seal(session.number)
            session.sealed = True
        reason = manifest.judge(session.view, session.size, self.publishers)
        if reason:
            return reason, None
        bundle = Bundle(session.number, session.view)
        if name is not None and not bundle.name == name == session.name:
            return contract.BUNDLE_REFUSAL_NAME, None
        return self.shelf.refusal(bundle), bundle

    # The judged one, in place of an older version if there is one.
    def install(self, bundle):
        old = self.shelf.installed(bundle.name)
        self.session = None
        self._keep(bundle)
        if old is not None:
            self._retire(old, REPLACED)
        self.sweep()

    def _keep(self, bundle):
        self.book.install(bundle.number, bundle.service_id, bundle.publisher)
        bundle.what = INSTALLED
        self.shelf.bundles.append(bundle)

    # ---- on the way out ----

    # Whether all that its app had stored until now is deleted.
    def uninstall(self, bundle):
        for other in self.shelf.bundles:
            if other.name == bundle.name:
                self._retire(other, UNINSTALLED)
        self.sweep()
        if bundle not in self.shelf.bundles:
            return True
        return not bundle.emptied and self.purge(bundle.service_id, bundle.publisher)

    def _retire(self, bundle, what):
        self.book.mark(bundle.number, what)
        bundle.what = what

    # Empty what nobody uses any more. After that nobody can store anything under an uninstalled name, so it is purged then. A keystored
    # that does not answer is waited for once, however many are to be purged.
    def sweep(self):
        answers = True
        for bundle in [one for one in self.shelf.bundles if one.what != INSTALLED]:
            bundle.emptied = bundle.emptied or regions.free(bundle.number)
            if bundle.emptied and bundle.what == UNINSTALLED:
                answers = answers and self.purge(bundle.service_id, bundle.publisher)
            if bundle.emptied and (answers or bundle.what == REPLACED):
                self.book.mark(bundle.number, NOTHING)
                self.shelf.bundles.remove(bundle)

    # ---- after a restart ----

    # What is sealed and right stays; (name, reason) of what was installed. Everything else is emptied.
    def recover(self):
        for number in range(regions.COUNT):
            service_id, publisher, what = self.book.read(number)
            if what == NOTHING:
                regions.free(number)
                continue
            view = regions.reopen(number)
            reason = self._reason(view)
            if reason:
                left = Remains(number, service_id, publisher)
                self._retire(left, UNINSTALLED if what == UNINSTALLED else REPLACED)
                self.shelf.bundles.append(left)
            else:
                self._found(Bundle(number, view), what)
            if what == INSTALLED:
                yield self.shelf.bundles[-1].name, reason
        self.sweep()

    def _reason(self, view):
        if view is None:
            return contract.BUNDLE_REFUSAL_INCOMPLETE
        return manifest.judge(view, manifest.stated_size(view), self.publishers)

    # Two of one name are there when it died between taking in the newer one and retiring the older one.
    def _found(self, bundle, what):
        old = self.shelf.installed(bundle.name) if what == INSTALLED else None
        bundle.what = what
        if old is not None:
            self._retire(min(old, bundle, key=_version), REPLACED)
        self.shelf.bundles.append(bundle)


def _version(bundle):
    return bundle.version
