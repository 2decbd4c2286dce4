#include "tools/client/ageing.h"

#include <errno.h>

#include "tools/client/contacts.h"
#include "tools/client/opening.h"
#include "tools/client/pairing.h"
#include "tools/client/state_channels.h"

#define AGED_LETTER 'g' /* counter: when the state was looked through, UTC, s */

/* What waits for a person's word may need any of its channels. */
static bool any_waits(struct state *state, uint64_t account) {
    uint64_t waiting;
    return opening_next_account(state, account, &waiting) == 0 && waiting == account;
}

static int wipe_channels(struct state *state, uint64_t now_s) {
    struct contact contact = {.account = 0};
    struct x3dh_address at = {.account = 0};
    uint64_t mark = state_mark(state);
    int error;
    while ((error = state_channels_next(state, at, &at)) == 0) {
        state_release(state, mark);
        if (at.account != contact.account)
            error = contacts_get(state, at.account, &contact);
        if (error == -ENOENT)
            error = 0;
        if (!error && contact_is_over(&contact, at.device, now_s) && !any_waits(state, at.account))
            error = state_channels_delete(state, at);
        if (error)
            return error;
        if (++at.device == 0 && ++at.account == 0)
            return 0;
    }
    return error == -ENOENT ? 0 : error;
}

int ageing_run(struct state *state, uint64_t now_s) {
    uint64_t last_s = state_counter(state, AGED_LETTER);
    if (last_s <= now_s && now_s - last_s < AGEING_S)
        return state->error;
    state_set_counter(state, AGED_LETTER, now_s);
    int error = wipe_channels(state, now_s);
    return error ? error : pairing_age(state, now_s);
}
