/* Fills the queues of a store whose switch is stopped, faster than clients could, for tests of what a long
 * absence leaves behind.
 *
 *     store_fill --data FOLDER --from ACCOUNT --to ACCOUNT [--entries N] [--queues N] [--payload N]
 *                [--ttl-s N]
 *
 * Messages from device 1 of one account to device 1 of the other, both of which exist; with more than one
 * queue, the others are of accounts it adds, fill-1, fill-2, ... The entries are put in turn, one to each
 * queue, as they would come in life. The payload is the message's number, filled up with dots. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/stats.h"
#include "storage/environment.h"

#define SHARDS 1
#define TXN_ENTRIES 100000
#define EPOCH 1

struct fill {
    const char *data;
    uint64_t from, to, first_added;
    uint64_t entries, queues;
    size_t payload_bytes;
    uint32_t ttl_s;
    struct store *store;
    struct map_txn *txns[ENVIRONMENTS_MAX]; /* NULL: none open */
};

static void check(int error, const char *what) {
    if (error == 0)
        return;
    fprintf(stderr, "store_fill: %s: %s\n", what, strerror(-error));
    exit(EXIT_FAILURE);
}

static void ring(void *context, uint32_t party) {
    (void)context;
    (void)party;
}

static void open_store(struct fill *fill) {
    static struct config config;
    static struct stats stats[ENVIRONMENTS_MAX];
    struct lanes *lanes;
    char error[256];
    config_defaults(&config);
    int count = store_environments(fill->data, &config);
    check(count < 0 ? count : 0, fill->data);
    check(lanes_create(SHARDS + (uint32_t)count + 1, 64, &lanes), "lanes");
    struct store_setup setup = {.folder = fill->data,
                                .config = &config,
                                .lanes = lanes,
                                .shards = SHARDS,
                                .stats = stats,
                                .ring = ring};
    if (store_open(&setup, &fill->store, error, sizeof(error))) {
        fprintf(stderr, "store_fill: %s\n", error);
        exit(EXIT_FAILURE);
    }
}

static struct map_txn *txn_of(struct fill *fill, uint32_t environment) {
    struct map_txn **txn = &fill->txns[environment];
    if (!*txn)
        check(map_begin(fill->store->environments[environment].map, txn), "begin");
    return *txn;
}

static void commit(struct fill *fill) {
    for (uint32_t i = 0; i < fill->store->count; i++) {
        if (fill->txns[i])
            check(map_commit(fill->txns[i]), "commit");
        fill->txns[i] = NULL;
    }
}

static void add_accounts(struct fill *fill) {
    struct map_txn *txn = txn_of(fill, 0);
    struct value_key counter = value_key_single(VALUE_COUNTER);
    struct map_view value;
    check(map_get(txn, value_key_view(&counter), &value), "account counter");
    check(value_read_number(value_key_view(&counter), value, VALUE_COUNTER, &fill->first_added), "counter");
    for (uint64_t i = 1; i < fill->queues; i++) {
        uint64_t number = fill->first_added + i - 1;
        struct account_record account = {.account = number, .created_ms = store_utc_ms(), .device_next = 2};
        struct device_record device = {.account = number, .device = 1, .created_ms = store_utc_ms()};
        snprintf(account.name, sizeof(account.name), "fill-%llu", (unsigned long long)i);
        port_entropy(device.key, sizeof(device.key));
        check(value_put_account(txn, &account), "account");
        check(value_put_name(txn, account.name, number), "name");
        check(value_put_device(txn, &device), "device");
    }
    check(value_put_counter(txn, fill->first_added + fill->queues - 1), "account counter");
    commit(fill);
}

/* Behind what is there already. */
static uint64_t next_seq(struct fill *fill) {
    uint32_t index = store_environment_of(fill->store, fill->to);
    const struct counts *counts = &fill->store->environments[index].counts;
    for (uint32_t i = 0; i < counts->expected_count; i++) {
        if (counts->expected[i].account == fill->to && counts->expected[i].device == 1)
            return counts->expected[i].last + 1;
    }
    return 1;
}

static void put(struct fill *fill, uint64_t account, uint64_t seq, uint64_t number) {
    static uint8_t payload[FRAME_BYTES_MAX], frame[FRAME_BYTES_MAX];
    memset(payload, '.', fill->payload_bytes);
    int digits = snprintf((char *)payload, sizeof(payload), "%llu", (unsigned long long)number);
    payload[digits] = '.';
    uint64_t utc_ms = store_utc_ms();
    struct frame_message message = {
        .id = {.from = fill->from, .to = account, .epoch = EPOCH, .number = number, .from_device = 1},
        .accepted_ms = utc_ms,
        .ttl_s = fill->ttl_s,
        .payload = payload,
        .payload_bytes = (uint32_t)fill->payload_bytes};
    struct value_queue entry = {.expires_ms = utc_ms + fill->ttl_s * UINT64_C(1000), .frame = frame};
    entry.frame_bytes = (uint32_t)frame_write_message(frame, &message);
    struct value_key key = value_key_queue(account, 1, seq);
    check(value_put_queue(txn_of(fill, store_environment_of(fill->store, account)), &key, &entry), "put");
}

static void fill_queues(struct fill *fill) {
    uint64_t first = next_seq(fill);
    for (uint64_t i = 0; i < fill->entries; i++) {
        uint64_t queue = i % fill->queues, number = i / fill->queues + 1;
        uint64_t account = queue ? fill->first_added + queue - 1 : fill->to;
        put(fill, account, queue ? number : first + number - 1, number);
        if ((i + 1) % TXN_ENTRIES == 0)
            commit(fill);
    }
    commit(fill);
}

static void parse(struct fill *fill, int argc, char **argv) {
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},   {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},     {"entries", required_argument, NULL, 'e'},
        {"queues", required_argument, NULL, 'q'}, {"payload", required_argument, NULL, 'p'},
        {"ttl-s", required_argument, NULL, 'l'},  {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t number = option == 'd' || option == '?' ? 0 : strtoull(optarg, NULL, 10);
        switch (option) {
        case 'd':
            fill->data = optarg;
            break;
        case 'f':
            fill->from = number;
            break;
        case 't':
            fill->to = number;
            break;
        case 'e':
            fill->entries = number;
            break;
        case 'q':
            fill->queues = number;
            break;
        case 'l':
            fill->ttl_s = (uint32_t)number;
            break;
        case 'p':
            fill->payload_bytes = number;
            break;
        default:
            exit(2);
        }
    }
    if (!fill->data || !fill->from || !fill->to || !fill->queues ||
        fill->payload_bytes > FRAME_PAYLOAD_BYTES_MAX) {
        fprintf(stderr, "store_fill: --data, --from and --to are needed\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    struct fill fill = {.entries = 1000, .queues = 1, .payload_bytes = 100, .ttl_s = 86400};
    parse(&fill, argc, argv);
    open_store(&fill);
    if (fill.queues > 1)
        add_accounts(&fill);
    fill_queues(&fill);
    store_close(fill.store);
    return 0;
}
