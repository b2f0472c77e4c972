# Names of what the system states as numbers: processes, apps, actions; and people's words for states, ends, objects. Used by the
# shell's modules to show answers. Asks nobody: an app that this prompt has not heard of is an app with a number.

import app_id
import caps
import contract

ACTIONS = contract.ACTION_NAMES.split()
PURPOSES = contract.PURPOSE_NAMES.split()
SERVICES = caps.SUBJECTS
ROUTES = caps.ROUTE_NAMES
OWN = caps.INDEX
_known = {}  # service id: name of an app

STATES = {
    contract.STATE_LOADING: "loading",
    contract.STATE_READY: "running",
    contract.STATE_RECEIVING: "idle",
    contract.STATE_CALLING: "calling",
    contract.STATE_WAITING: "waiting",
    contract.STATE_STOPPED: "stopped",
    contract.STATE_SUSPENDED: "not started",
}

FAULTS = {
    contract.FAULT_EXIT: "ended",
    contract.FAULT_MEMORY: "memory fault",
    contract.FAULT_INSTRUCTION: "illegal instruction",
    contract.FAULT_MISALIGNED: "misaligned access",
    contract.FAULT_HUNG: "took too long",
    contract.FAULT_KILLED: "killed",
    contract.FAULT_SYSCALL: "unknown system call",
}

OBJECTS = {
    contract.OBJ_ENDPOINT: "endpoint",
    contract.OBJ_REPLY: "reply",
    contract.OBJ_NOTIFICATION: "notification",
    contract.OBJ_DEVICE: "device registers",
    contract.OBJ_QUEUE: "device queue",
    contract.OBJ_DMA: "device memory",
    contract.OBJ_REGION: "memory region",
    contract.OBJ_IRQ: "interrupt",
    contract.OBJ_CONSOLE: "console",
    contract.OBJ_SPAWN: "making apps",
    contract.OBJ_SUPERVISE: "supervision",
    contract.OBJ_SYSTEM: "the machine",
}

_OF_PROCESSES = (contract.OBJ_REPLY, contract.OBJ_NOTIFICATION, contract.OBJ_SUPERVISE)
_OF_DEVICES = (contract.OBJ_DEVICE, contract.OBJ_DMA, contract.OBJ_IRQ)
_OF_NOTHING = (contract.OBJ_CONSOLE, contract.OBJ_SPAWN, contract.OBJ_SYSTEM)  # there is one

RIGHTS = (
    (contract.RIGHT_CALL, "call"),
    (contract.RIGHT_RECV, "serve"),
    (contract.RIGHT_GRANT, "pass on"),
    (contract.RIGHT_MAP_R, "read"),
    (contract.RIGHT_MAP_W, "write"),
    (contract.RIGHT_USE, "use"),
)

LEVELS = ("debug", "info", "warning", "error")

VERDICTS = {
    contract.AUDIT_VERDICT_ALLOW: "allow",
    contract.AUDIT_VERDICT_DENY: "DENY",
    contract.AUDIT_VERDICT_MALFORMED: "malformed",
}

KINDS = {
    contract.AUDIT_KIND_GAP: "gap",
    contract.AUDIT_KIND_RESTART: "restart",
    contract.AUDIT_KIND_BOOT_GRANT: "boot grant",
    contract.AUDIT_KIND_UNDELIVERED: "undelivered",
    contract.AUDIT_KIND_ENFORCE_DENY: "enforcer's own",
    contract.AUDIT_KIND_LATCH: "latch closed",
    contract.AUDIT_KIND_BUNDLE: "bundle",
}


# Remember an app by the id of its bundle, as bytes.
def learn(bundle):
    _known[app_id.service_id(bundle)] = "app:" + bundle.decode()


def learnt():
    return sorted([name[4:] for name in _known.values()])


def app(ident):
    return _known.get(ident) or "app %016x" % ident


# By dense index, of a process that there is now.
def process(index, ident):
    return caps.SUBJECTS[index] if index < caps.PROCESS_COUNT else app(ident)


# Who wrote a line of the log.
def sender(index, kind):
    return "app" if kind == contract.KIND_APP or index >= caps.PROCESS_COUNT else caps.SUBJECTS[index]


# What a capability is to: a server and its facet, a process, a device, or a number.
def object(cap):
    if cap.type == contract.OBJ_ENDPOINT:
        place = cap.object, cap.badge >> contract.BADGE_FACET_SHIFT
        return caps.ENDPOINTS.get(place) or caps.ENDPOINTS.get((cap.object, 0)) or str(cap.object)
    if cap.type in _OF_PROCESSES and cap.object < caps.PROCESS_COUNT:
        return caps.SUBJECTS[cap.object]
    if cap.type in _OF_DEVICES and cap.object < len(caps.DEVICES):
        return caps.DEVICES[cap.object]
    return "" if cap.type in _OF_NOTHING else str(cap.object)


# Whom a badge names as the one who may use it.
def holder(index):
    if index == contract.BADGE_ANY_APP:
        return "any app"
    return caps.SUBJECTS[index] if index < caps.PROCESS_COUNT else "app"


# As audit records state it; "" for nobody.
def recorded(index, ident):
    if index == contract.AUDIT_NOBODY:
        return ""
    if index == contract.AUDIT_APP | contract.AUDIT_NOBODY:
        return "apps"
    return app(ident) if index >= caps.PROCESS_COUNT else caps.SUBJECTS[index]


# "" for a number that is no action.
def action(number):
    return ACTIONS[number - 1] if 0 < number <= len(ACTIONS) else ""
