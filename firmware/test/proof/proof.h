/*
 * What the parts of the kernel proof share. One program, many processes: the judge measures, runners attack or help as the
 * judge tells them, servers are there to be called. Included by every file of this folder; holds no expectation: what each
 * case has to end with is in recipes/proof/kernel.toml, and the host compares.
 */
#pragma once

#include "nexus.h"
#include "user.h"

enum { MS = LIMIT_TICK_HZ / 1000, PAGE = 4096, MAX_GIVEN = IPC_MAX_CAPS };
/* A deadline that is to pass, and one that must not, even if the emulator stands still for a while. */
enum { SOON = 5 * MS, PATIENCE = 1000 * MS };
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define UNLIKE 0xbad /* exit status: attempts that must end alike did not */
#define HANDLE_STEP (1u << HANDLE_SLOT_BITS) /* from one generation of a slot to the next */

/* Who takes part. The order is that of the judge's table of supervise handles. */
enum who { WHO_ATTACKER, WHO_EQUAL, WHO_CLIENT, WHO_HOLDER, WHO_PYTHON, WHO_QUIET, WHO_VICTIM, WHO_DEEP, WHO_COUNT, WHO_APP, WHO_NOBODY = 0xff };

/*
 * One case. `attack` runs twice in a process of its own, first without the right, then (right = true) with it, and its
 * value becomes the exit status, so that the kernel's record of the end says what the kernel had answered. `help` runs
 * beside it in another process. The rest runs in the judge: `arrange` before the start, `poll` again and again while it runs
 * and before each probe is answered, `at_done` when the attacker has told that it is through, `effect` after the end. `effect` says what happened, as the kernel or the party
 * attacked shows it: 0 nothing, 1 what the right allows.
 */
struct proof_case {
    const char *name;
    uint64_t (*attack)(uint32_t arg, bool right);
    uint32_t arg;
    uint8_t who;
    uint8_t twin_who; /* WHO_ATTACKER: the same as who */
    uint8_t helper;
    uint64_t (*help)(uint32_t arg, bool right);
    uint8_t second; /* another helper, or WHO_ATTACKER: none */
    uint64_t (*assist)(uint32_t arg, bool right);
    bool after_helper; /* the attacker gets its order when the helper waits in a call of its own */
    void (*arrange)(uint32_t arg, bool right);
    void (*poll)(uint32_t arg, bool right);
    void (*at_done)(uint32_t arg, bool right);
    int64_t (*effect)(uint32_t arg, bool right);
    bool quiet;       /* the judge sleeps meanwhile: its own deadlines would be ticks for everybody */
    const char *look; /* the host looks at the machine while the attacker waits in its DONE */
};

struct proof_group {
    const struct proof_case *cases;
    uint32_t count;
};
const struct proof_case *proof_case_at(uint32_t number);

/* The id name of the holder's child in the recipe, a bundle id that as "app:<id>" has the same FNV-1a-64, and two that share one. */
#define WARD_NAME "wywofflhydiovc"
#define WARD_TWIN "41pkbrxjpngnf"
#define ONE_ID "1r4osegpddz0c"
#define ONE_TWIN "tvjwr2brgkbkd"
enum { JUDGE_INDEX = 0 }; /* the root is the first row */
enum { JUDGE_REGIONS = 2, HOLDER_REGION = JUDGE_REGIONS, REGION_BYTES = 4 * PAGE }; /* regions are numbered through all rows */

/* --- messages to the judge (all fields little-endian, in the IPC page) --- */

enum { OP_ASK = 1, OP_DONE, OP_PROBE };
enum { ROLE_IDLE, ROLE_ATTACK, ROLE_HELP, ROLE_ASSIST, ROLE_SERVE };

struct message {
    uint32_t op;
    uint32_t number;
    uint64_t value;
    uint64_t data;
};

/* Answer to OP_ASK; at most four capabilities come with it. */
struct told {
    uint32_t role;
    uint32_t number; /* of the case */
    uint32_t right;
    uint32_t life;   /* 0: the first of this run; the judge may restart an attacker in the middle */
    uint64_t token;  /* of this run of the case, for console lines and badges */
    char name[24];   /* of the case, behind its group */
};

/* --- messages to a server --- */

enum {
    SERVE_COUNT = 16, /* count it, keep its capabilities, answer */
    SERVE_GIVE,       /* answer with `number` of the capabilities kept */
    SERVE_GRANT,      /* answer with its own endpoint: rights `number`, badge `value` */
    SERVE_ECHO,       /* answer with `number` bytes of the page that it came with */
    SERVE_HOLD,       /* keep the reply */
    SERVE_PUT_OFF,    /* keep the reply, receive again, call the next server for `number` ms of work; then answer */
    SERVE_ANSWER,     /* answer the call that is held, with `number` kept capabilities; counted if the kernel delivered it */
    SERVE_LET_GO,     /* drop the reply that is held */
    SERVE_EXIT,
    SERVE_FAULT,
    SERVE_SPIN,       /* for ever */
    SERVE_EVADE,      /* for ever, asleep whenever the tick comes */
    SERVE_BUSY,       /* `number` ms of work, then answer */
    SERVE_NEST,       /* call the next server, which holds it, with a deadline `number` ms away; answer with the status */
    SERVE_NEST_COUNT, /* let the next server count a call; answer with the status */
    SERVE_CALL,       /* call with the capability kept last; answer with the status */
    SERVE_WAIT,       /* wait for a notification that does not come, `number` ms; answer with the status */
    SERVE_FILL,       /* leave `number` free slots; SERVE_RESET empties them */
    SERVE_ACCEPT,     /* take at most `number` capabilities from now on */
    SERVE_RESET,      /* as after a start */
    SERVE_REPORT,     /* struct report */
};

/* What a server saw since its last SERVE_RESET; told to the judge alone. */
struct report {
    uint32_t count;   /* SERVE_COUNT calls */
    uint32_t kept;    /* capabilities kept */
    uint64_t badge;   /* of the last SERVE_COUNT */
    uint64_t sender_id;
    uint64_t status;  /* of the last reply, SERVE_ANSWER's too */
    uint64_t ticks;   /* that the last SERVE_NEST or SERVE_WAIT took */
    uint64_t value;   /* of the last SERVE_COUNT; status of the last SERVE_PUT_OFF's own call */
};

/* FNV-1a-64, as the builder and the kernel form identities. */
uint64_t service_id_of(const char *name);

enum { SHORT_BYTES = 69 }; /* longer than every structure here, and no whole number of words */

/* --- runner.c: in processes that attack or help --- */

extern struct told told;
extern uint64_t given[MAX_GIVEN]; /* handles that came with the order */
extern uint32_t given_count;
extern uint64_t done_data;        /* what OP_DONE tells besides the status */
extern uint64_t judge_handle;
extern uint64_t latch_at_start;   /* what the kernel said of bring_up */

int run_as_told(uint64_t whom);
int serve(uint64_t next);
int judge(void);

uint64_t deadline_in(uint64_t ticks);
uint64_t probe_with(uint64_t handle, uint64_t value, uint32_t caps, uint64_t behalf);
uint64_t probe(uint64_t value);
uint64_t tell_server(uint64_t handle, uint32_t op, uint32_t number, uint64_t value, uint32_t accept);
uint64_t mint(uint64_t badge, uint64_t rights);
void set_cap(uint32_t place, uint64_t handle);
uint64_t cap_at(uint32_t place);
void spin(uint64_t ticks);
uint64_t one_of(uint64_t seen, uint64_t status);
uint64_t last_badge(uint64_t system, uint32_t index, uint64_t *badge);

static inline volatile struct message *outgoing(void) { return (volatile struct message *)NEXUS_BUFFER; }

/* --- judge.c and measure.c: in the judge --- */

struct seen {
    uint64_t token;                    /* of this run of the case: told to who takes part */
    uint8_t who;                       /* who attacks */
    bool asked, helper_asked, done, late;
    uint32_t lives;                    /* restarts in the middle of the run */
    struct process_status at_ask, at_done, end, helper_end;
    uint64_t status;                   /* told with OP_DONE: never believed, only timing and data are used */
    uint64_t data, helper_data;        /* told with it by attacker and helper */
    uint32_t probes;
    uint32_t behalf;                   /* probes that were made on behalf of the helper */
    uint64_t probe_value, probe_badge;
    uint64_t probe_flags;              /* DELIVER_* */
    uint64_t probe_mask, probe_publisher;
    bool beyond;                       /* of the last probe: some of the token lay in the judge's page behind SHORT_BYTES */
    uint64_t kept[8];                  /* capabilities that came with probes */
    uint32_t kept_count;
    uint64_t bits;                     /* of the judge's notification, children's deaths left out */
    uint64_t begun;
    int64_t measured;                  /* by at_done or poll, for effect */
};
extern struct seen seen;
extern uint64_t secret; /* of this run of a case; no attacker is told */

void let_host_look(const char *what);
void give_endpoint(uint32_t rights, uint64_t badge);
void give_notification(uint64_t bits);
void give_region(uint32_t number, uint32_t rights);
bool victim_answers_beyond(uint32_t bytes);
struct report victim_report(void);
struct report deep_report(void);
uint64_t order_victim(uint32_t op, uint32_t number);
struct process_status status_of(enum who who);
struct process_status ward_status(void);
uint32_t live_apps(void);
struct process_status first_app(void);
uint64_t first_app_bit(void);
uint64_t restart(enum who who);
uint64_t kill(enum who who);
void restart_attacker(void);
void restart_one_step(enum who who);
void repair_victim(void);
void judge_pause(uint64_t ticks);
bool waits_in_call(enum who who);
uint64_t judge_region(uint32_t number);
uint64_t judge_frees(uint32_t number);
uint64_t judge_revoke(uint64_t badge);
uint64_t judge_notify(uint64_t handle);
uint64_t system_phase(void);
