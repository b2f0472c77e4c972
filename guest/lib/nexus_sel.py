# The policy evaluator: who (row of subject) may do what (action) to which target while which gates are open. policyd decides with
# it on the compiled table, the host tool and its tests with this very file. Pure: no messages, no clock; nothing here allocates
# but load(). Must never branch on what a rule says: a refusal costs the same whatever the reason, and a table of one rule as
# much as a full one. The table's form is in recipes/contract/policy.toml.

import contract

# Why a decision is as it is: bits of reason(). All three make an allow.
RULE_ALLOWS = 1
IN_MASK = 2
MAY_ASK = 4

APP_WORDS = 5


# (rules, names, subjects, gates) of a compiled table, given as a view of 16-bit words; the first three are for the functions
# below, the last are the gates that the image opens. The sections are views too: no word is copied.
def load(table):
    magic = table[contract.POLICY_HEADER_MAGIC] | table[contract.POLICY_HEADER_MAGIC + 1] << 16
    if magic != contract.POLICY_TABLE_MAGIC or table[contract.POLICY_HEADER_VERSION] != contract.POLICY_TABLE_VERSION:
        raise ValueError("no policy table of this version")
    cells, askers, kinds, verdicts, delegates, symbols, states, apps = _sections(table)
    named = {}
    for at in range(0, len(apps), APP_WORDS):
        named[apps[at] | apps[at + 1] << 16 | apps[at + 2] << 32 | apps[at + 3] << 48] = apps[at + 4]
    services = table[contract.POLICY_HEADER_SERVICES]
    subjects = (services, contract.POLICY_TABLE_FIRST_SERVICE + (services << contract.POLICY_TABLE_ROW_SHIFT), named)
    return (cells, askers, kinds, verdicts, delegates), (symbols, states), subjects, table[contract.POLICY_HEADER_GATES]


def _sections(table):
    counts = [table[contract.POLICY_HEADER_CELLS]]
    counts += [table[field] for field in range(contract.POLICY_HEADER_CELLS, contract.POLICY_HEADER_STATES)]
    counts += [256, table[contract.POLICY_HEADER_STATES], APP_WORDS * table[contract.POLICY_HEADER_APPS]]
    at = contract.POLICY_HEADER_WORDS
    sections = []
    for count in counts:
        sections.append(table[at : at + count])
        at += count
    if at != len(table):
        raise ValueError("policy table of another length than it says")
    return sections


# Place of a subject or asker, by what the kernel states of it. An app that no rule names is any app.
def subject(subjects, kind, index, service_id):
    services, any_app, named = subjects
    if kind == contract.KIND_APP:
        return named.get(service_id, any_app)
    if kind != contract.KIND_SERVICE or index >= services:
        return 0
    return contract.POLICY_TABLE_FIRST_SERVICE + (index << contract.POLICY_TABLE_ROW_SHIFT)


# Kind of a target, by its name: bytes as they came. The cost depends on their number alone.
def target(names, name):
    symbols, states = names
    if len(name) > contract.POLICY_LIMIT_NAME_BYTES:
        return 0
    state = 0
    for byte in name:
        state = states[state + symbols[byte]]
    return states[state]


# Above 0: allowed, and which rule says so. Below 0: denied; reason(), rule() and so the audit tell why, nobody else.
# asker: place of who asks about another, POLICY_TABLE_SELF for a question about oneself. mask: of an app, cut to
# POLICY_LIMIT_ACTIONS bits; -1 for a service. No step depends on what the table holds: facts is the rule's number in 15 bits,
# above it one bit each for "the rule allows", "in the mask", "may ask", and all three set are 7.
def decide(rules, asker, subject, mask, action, target, gates):
    cells, askers, kinds, verdicts, delegates = rules
    action &= (action - contract.POLICY_LIMIT_ACTIONS) >> 16  # what is no action becomes 0, which nothing allows
    subject += action
    facts = verdicts[kinds[cells[subject] + target] + gates]
    facts |= (mask >> action & 1 | delegates[askers[subject] + (asker >> contract.POLICY_TABLE_ROW_SHIFT)]) << 16
    return facts ^ (((facts >> 15) + 1 >> 3) - 1)


# The rule that decided, 0 if there was none.
def rule(decision):
    return (decision if decision > 0 else ~decision) & (contract.POLICY_TABLE_VERDICT_ALLOW - 1)


# Why: RULE_ALLOWS, IN_MASK, MAY_ASK as far as they hold.
def reason(decision):
    return (decision if decision > 0 else ~decision) >> 15
