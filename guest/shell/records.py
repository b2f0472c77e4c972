# Commands that show what was written down: audit, log. Texts in both come from others and are shown as such.

import commands
import contract
import names
import shown

import nexus

_MOST = 250  # at once: what the heap holds of them
_USUAL = 20


def audit(words):
    """The newest decisions about the shell, or about everybody.

    audit [all] [COUNT]
    audit 5
    """
    everybody = words[:1] == ["all"]
    found = nexus.audit(_count(words[1:] if everybody else words), everybody)
    rows = [(one.seq, shown.seconds(one.time), one.subject, _what(one), _about(one)) for one in found]
    shown.print_table((">seq", ">time s", "subject", "what", "action and target"), rows)


def _what(one):
    if one.kind in names.KINDS and one.verdict != contract.AUDIT_VERDICT_DENY:
        return names.KINDS[one.kind]
    return names.VERDICTS.get(one.verdict, "?")


def _about(one):
    said = [one.action] if one.action else []
    if one.target and one.target != contract.POLICY_NO_TARGET.encode():
        said.append(shown.text(one.target))
    if one.via:
        said.append("by " + one.via)
    if one.count > 1:
        said.append("x%d" % one.count)
    return " ".join(said)


def log(words):
    """The newest lines of the system's log; write puts one there.

    log [LEVEL] [COUNT] | log write TEXT
    log warning 5
    """
    if words[:1] == ["write"]:
        if len(words) < 2:
            raise commands.Usage()
        nexus.log(" ".join(words[1:]))
        return
    level = names.LEVELS.index(words[0]) if words and words[0] in names.LEVELS else None
    found = nexus.read_log(_count(words if level is None else words[1:]), level or 0)
    rows = [
        (shown.seconds(one.time), one.sender, names.LEVELS[one.level] if one.level < 4 else "?", shown.text(one.text))
        for one in found
    ]
    shown.print_table((">time s", "from", "level", "text"), rows)


def _count(words):
    if len(words) > 1:
        raise commands.Usage()
    return commands.number(words[0], 1, _MOST) if words else _USUAL
