# Names of what the system states as numbers: processes, apps, actions; and people's words for states, ends, objects. Used by the
# shell's modules to show answers. Asks nobody: an app that this prompt has not heard of is an app with a number.

import app_id
import caps
import contract

ACTIONS = contract.ACTION_NAMES.split()
PURPOSES = contract.PURPOSE_NAMES.split()
SERVICES = caps.SUBJECTS
_known = {}  # service id: name of an app

STATES = {
    contract.STATE_LOADING: "loading",
    contract.STATE_READY: "running",
    contract.STATE_RECEIVING: "serving",
    contract.STATE_CALLING: "asking",
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
