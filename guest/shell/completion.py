# What Tab can put in place of the word before the cursor. Used by the prompt's editor. Asks a service only for ids of bundles, once, and
# takes a refusal for an answer.

import commands
import names

import nexus

_asked = []  # not empty once bundlemgrd was asked


# (where the word begins, what could stand there).
def complete(text):
    start = text.rfind(" ") + 1
    before, word = text[:start].split(), text[start:]
    return start, [one for one in _words(before) if one.startswith(word)]


def _words(before):
    if not before:
        return [name for name, _ in commands.TABLE]
    rule = _RULES.get(before[0])
    return rule(before[1:]) if rule is not None else ()


def _help(before):
    return () if before else [name for name, _ in commands.TABLE]


def _policy(before):
    if len(before) == 1:
        return names.ACTIONS
    if len(before) == 2:
        return _targets(before[1])
    return () if before else ("check",)


def _targets(action):
    if action == "route":
        return [name for name, _ in nexus.routes()]
    if action == "crypto.sign":
        return names.PURPOSES
    return _ids() if action == "proc.exec" or action.startswith("bundle.") else ()


def _ids():
    if not _asked:
        _asked.append(True)
        try:
            nexus.bundles()
        except nexus.Error:
            return ()
    return names.learnt()


_RULES = {
    "help": _help,
    "policy": _policy,
    "audit": lambda before: () if before else ("all",),
    "log": lambda before: () if before else names.LEVELS,
    "key": lambda before: () if before else ("make", "destroy"),
    "sign": lambda before: () if before else names.PURPOSES,
    "caps": lambda before: () if before else names.SERVICES,
    "exec": lambda before: () if before else _ids(),
    "kill": lambda before: () if before else _ids(),
}
