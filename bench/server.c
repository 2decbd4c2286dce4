#include "bench/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bench/progress.h"
#include "bench/wire_tern.h"
#include "core/account.h"

bool server_is_switch(const struct server *server) {
    return server->kind->wire == &wire_tern;
}

pid_t server_pid(const struct server *server) {
    return server_is_switch(server) ? server->admin.switch_pid : server->process.pid;
}

int server_open(struct server *server, const struct server_kind *kind, const struct server_setup *setup,
                struct load *load) {
    *server = (struct server){.kind = kind, .setup = *setup, .admin.fd = -1};
    load->wire = kind->wire;
    load->plaintext = kind->plaintext;
    progress_show(true, "starting %s", kind->name);
    return kind->open(server, load);
}

int server_close(struct server *server) {
    int error = 0;
    if (server->setup.admin && server->accounts && admin_accounts_remove(&server->admin, server->prefix) < 0)
        fprintf(stderr, "ternbench: %u accounts %s* stay behind: %s\n", server->accounts, server->prefix,
                server->admin.error);
    if (server->is_found)
        admin_close(&server->admin);
    if (server->own.folder[0])
        error = own_switch_close(&server->own, stderr);
    process_close(&server->process);
    return error;
}

/* --- the switch ----------------------------------------------------------------------------------------- */

static struct own_switch_setup own_setup(const struct server *server) {
    return (struct own_switch_setup){
        .plaintext = server->kind->plaintext,
        .shards = server->setup.shards ? server->setup.shards : "1",
        .only = server->setup.cores,
        .options = server->setup.options,
        .under = server->setup.under,
    };
}

static int find_switch(struct server *server, const char *path) {
    int error = admin_open(&server->admin, path);
    server->is_found = error == 0;
    progress_clear();
    if (error)
        fprintf(stderr, "ternbench: %s\n", server->admin.error);
    return error;
}

static int open_switch(struct server *server, struct load *load) {
    (void)load;
    if (server->setup.admin)
        return find_switch(server, server->setup.admin);
    struct own_switch_setup setup = own_setup(server);
    int error = own_switch_open(&server->own, &setup, stderr);
    return error ? error : find_switch(server, server->own.admin);
}

int server_restart(struct server *server) {
    if (!server->own.folder[0])
        return -ENOTSUP;
    struct own_switch_setup setup = own_setup(server);
    if (server->is_found)
        admin_close(&server->admin);
    server->is_found = false;
    int error = own_switch_stop(&server->own, stderr);
    if (!error)
        error = own_switch_start(&server->own, &setup, stderr);
    return error ? error : find_switch(server, server->own.admin);
}

static struct end *end_at(struct worker *worker, uint32_t index) {
    while (index >= worker->end_count) {
        index -= worker->end_count;
        worker++;
    }
    return &worker->ends[index];
}

static int set_address(const struct admin_switch *found, struct load *load) {
    memcpy(load->server_key, found->key, NOISE_KEY_BYTES);
    load->address = load->plaintext ? found->plaintext : found->address;
    load->address_bytes = load->plaintext ? found->plaintext_bytes : found->address_bytes;
    if (load->address_bytes)
        return 0;
    fprintf(stderr,
            "ternbench: the switch takes no unencrypted connections (its setting plaintext_listen)\n");
    return -ECONNREFUSED;
}

/* Whose the account is to be: the next end's without one; where pairs have to cross, the next first one's of
 * a pair if it is at home on shard 0, the next second one's if on shard 1. NULL: nobody's, that side is
 * full.
 */
static struct end *owner_of(const struct server *server, uint64_t account, uint32_t filled[2],
                            struct worker *workers, uint32_t ends) {
    uint32_t side =
        server->setup.is_crossing ? (uint32_t)(account_hash(account) % 2) : (filled[0] + filled[1]) % 2;
    uint32_t index = 2 * filled[side] + side;
    if (index >= ends)
        return NULL;
    filled[side]++;
    return end_at(workers, index);
}

static int add_accounts(struct server *server, struct load *load, struct worker *workers, uint32_t count) {
    uint32_t ends = 0, filled[2] = {0};
    for (uint32_t i = 0; i < count; i++)
        ends += workers[i].end_count;
    uint32_t name = 0;
    if (getrandom(&name, sizeof(name), 0) < 0)
        return -errno;
    snprintf(server->prefix, sizeof(server->prefix), "bench-%08x-", name);
    struct admin_account *accounts = calloc(ADMIN_ACCOUNTS_MAX, sizeof(*accounts));
    struct admin_switch found = {0};
    int error = accounts ? 0 : -ENOMEM;
    while (!error && filled[0] + filled[1] < ends) {
        uint32_t left = ends - filled[0] - filled[1];
        uint32_t batch = left < ADMIN_ACCOUNTS_MAX ? left : ADMIN_ACCOUNTS_MAX;
        progress_show(false, "adding accounts: %u of %u", filled[0] + filled[1], ends);
        char prefix[SERVER_PREFIX_BYTES + 16]; /* the switch counts from 1 within a request */
        snprintf(prefix, sizeof(prefix), "%s%u-", server->prefix, server->accounts);
        error = admin_accounts_add(&server->admin, prefix, batch, accounts, &found);
        for (uint32_t i = 0; !error && i < batch; i++) {
            struct end *end = owner_of(server, accounts[i].account, filled, workers, ends);
            if (!end)
                continue;
            end->account = accounts[i].account;
            memcpy(end->code, accounts[i].code, FRAME_CODE_BYTES);
        }
        if (!error)
            server->accounts += batch;
    }
    free(accounts);
    progress_clear();
    if (error)
        fprintf(stderr, "ternbench: %s\n", server->admin.error[0] ? server->admin.error : strerror(-error));
    return error ? error : set_address(&found, load);
}

const struct server_kind server_tern = {
    .name = "switch",
    .settings = "ternd, its defaults but one shard on one core; encrypted (Noise IK)",
    .wire = &wire_tern,
    .open = open_switch,
    .prepare = add_accounts,
};

const struct server_kind server_tern_plaintext = {
    .name = "switch in plaintext",
    .settings = "ternd, its defaults but one shard on one core; without encryption",
    .wire = &wire_tern,
    .plaintext = true,
    .open = open_switch,
    .prepare = add_accounts,
};
