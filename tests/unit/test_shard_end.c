/* The end of a shard: what others still had for it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/shard.h"
#include "core/stats.h"

TestSuite(shard_end);

/* The leak checker of the sanitizer sees what is not freed. */
Test(shard_end, answers_that_came_after_its_last_turn_are_freed) {
    static struct config config;
    static struct stats stats;
    const uint8_t secret[KEY_BYTES] = {1};
    struct lanes *lanes;
    struct shard *shard;
    struct note note;
    uint32_t from;
    config_defaults(&config);
    config.connections_max = 1;
    cr_assert_eq(lanes_create(2, 16, &lanes), 0);
    struct shard_setup setup = {.shards = 1,
                                .stores = 1,
                                .config = &config,
                                .lanes = lanes,
                                .stats = &stats,
                                .server_secret = secret};
    cr_assert_eq(shard_create(&setup, &shard), 0);
    for (int kind = REQUEST_FETCH; kind <= REQUEST_PURGE; kind++) {
        struct request *request = calloc(1, sizeof(*request));
        request->kind = (uint8_t)kind;
        request->entries = calloc(4, sizeof(*request->entries));
        note = (struct note){.kind = NOTE_REQUEST_DONE, .request = request};
        lanes_post(lanes, 1, 0, &note);
    }
    lanes_publish(lanes, 1, NULL, NULL);
    shard_destroy(shard);
    cr_assert_not(lanes_take(lanes, 0, &note, &from));
    lanes_destroy(lanes);
}
