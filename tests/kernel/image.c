/*
 * The system that the host tests boot: a root that supervises, two clients of one rank and one below, a server that is a client
 * too and spawns apps, and a server with a device. What image_table.c is to a real image.
 */
#include "host.h"

enum { TEXT_AT = 0, READ_AT = 4096, ROMFS_AT = 16384, PROGRAM_VA = VA_IMAGE };

static const uint8_t contract[IMAGE_DIGEST_BYTES] = CONTRACT_DIGEST_BYTES;

static const struct image_segment segments[] = {
    {PROGRAM_VA, ld_payload_start + TEXT_AT, 4096, 4096, IMAGE_R | IMAGE_X},
    {PROGRAM_VA + 0x1000, ld_payload_start + READ_AT, 4096, 4096, IMAGE_R},
    {PROGRAM_VA + 0x2000, ld_payload_start + DATA_AT, DATA_BYTES, 9000, IMAGE_R | IMAGE_W},
};
static const struct image_program program = {"program", PROGRAM_VA, segments, 3, contract};

#define CONSOLE_AND_NOTE(index) {OBJ_CONSOLE, RIGHT_USE, index, 0}, {OBJ_NOTIFICATION, RIGHT_USE, index, 0}
#define CALL_MIDDLE(index) {OBJ_ENDPOINT, RIGHT_CALL, MIDDLE_ENDPOINT, BADGE_STEP + index}
#define CALL_SERVER(index) {OBJ_ENDPOINT, RIGHT_CALL, SERVER_ENDPOINT, 2 * BADGE_STEP + index}
#define GIFTS(index) {OBJ_ENDPOINT, RIGHT_CALL | RIGHT_GRANT, SERVER_ENDPOINT, GIFT_BADGE + index}, \
                     {OBJ_REGION, RIGHT_MAP_R | RIGHT_GRANT, GIFT_REGION, 0}
#define SUPERVISE(index) {OBJ_SUPERVISE, RIGHT_USE, index, 0}

static const struct image_cap root_caps[] = {
    CONSOLE_AND_NOTE(ROOT), CALL_MIDDLE(ROOT), CALL_SERVER(ROOT), {OBJ_SYSTEM, RIGHT_USE, 0, 0},
    SUPERVISE(CLIENT), SUPERVISE(TWIN), SUPERVISE(LOW), SUPERVISE(MIDDLE), SUPERVISE(SERVER),
};
static const struct image_cap client_caps[] = {CONSOLE_AND_NOTE(CLIENT), CALL_MIDDLE(CLIENT), CALL_SERVER(CLIENT), GIFTS(CLIENT)};
static const struct image_cap twin_caps[] = {CONSOLE_AND_NOTE(TWIN), CALL_MIDDLE(TWIN), CALL_SERVER(TWIN), GIFTS(TWIN)};
static const struct image_cap low_caps[] = {CONSOLE_AND_NOTE(LOW), CALL_MIDDLE(LOW), CALL_SERVER(LOW), GIFTS(LOW)};
static const struct image_cap middle_caps[] = {
    CONSOLE_AND_NOTE(MIDDLE), {OBJ_ENDPOINT, RIGHT_RECV | RIGHT_GRANT, MIDDLE_ENDPOINT, 0}, CALL_SERVER(MIDDLE), GIFTS(MIDDLE),
    {OBJ_SPAWN, RIGHT_USE, 0, 0}, {OBJ_REGION, RIGHT_MAP_R | RIGHT_MAP_W | RIGHT_GRANT, WORK_REGION, 0},
};
static const struct image_cap server_caps[] = {
    CONSOLE_AND_NOTE(SERVER), {OBJ_ENDPOINT, RIGHT_RECV | RIGHT_GRANT, SERVER_ENDPOINT, 0},
    {OBJ_DEVICE, RIGHT_USE, 0, 0}, {OBJ_QUEUE, RIGHT_USE, 0, 0}, {OBJ_DMA, RIGHT_USE, 0, 0}, {OBJ_IRQ, RIGHT_USE, 0, 0},
    {OBJ_QUEUE, RIGHT_USE, 1, 0},
};

#define ROW(name, number, capabilities) \
    .label = name, .id_name = name, .service_id = 0x5e1f0000 + number, .program = &program, \
    .romfs = {ld_payload_start + ROMFS_AT, 5000}, .heap_pages = 2, .stack_pages = 1, \
    .caps = capabilities, .cap_count = sizeof capabilities / sizeof *capabilities

static const struct image_process rows[] = {
    [ROOT] = {ROW("root", ROOT, root_caps), .rank = 3, .supervisor = ROOT, .flags = IMAGE_ROOT},
    [CLIENT] = {ROW("client", CLIENT, client_caps), .rank = 2, .supervisor = ROOT},
    [TWIN] = {ROW("twin", TWIN, twin_caps), .rank = 2, .supervisor = ROOT, .flags = IMAGE_QUIET_FAULT},
    [LOW] = {ROW("low", LOW, low_caps), .rank = 1, .supervisor = ROOT, .share = TEST_SHARE},
    [MIDDLE] = {ROW("middle", MIDDLE, middle_caps), .rank = 5, .supervisor = ROOT, .request_budget = TEST_BUDGET, .kept_pages = 1},
    [SERVER] = {ROW("server", SERVER, server_caps), .rank = 7, .supervisor = ROOT, .flags = IMAGE_CONSOLE_RESERVED},
};

static const struct image_endpoint owners[] = {[MIDDLE_ENDPOINT] = {MIDDLE}, [SERVER_ENDPOINT] = {SERVER}};
static const struct image_device windows[] = {{VIRTIO_RNG, SERVER, QUEUES, 0, DMA_BYTES / 4096, 1ull << TEST_FEATURE}};
static const struct image_region areas[] = {[WORK_REGION] = {MIDDLE, WORK_PAGES}, [GIFT_REGION] = {ROOT, 1}};

const struct image image = {
    .ram_bytes = HOST_RAM_BYTES,
    .contract_digest = contract,
    .policy_digest = contract,
    .processes = rows,
    .process_count = SYSTEM_PROCESSES,
    .endpoints = owners,
    .endpoint_count = 2,
    .devices = windows,
    .device_count = 1,
    .queue_count = QUEUES,
    .regions = areas,
    .region_count = 2,
    .app_program = &program,
};
