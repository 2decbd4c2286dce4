#include "tools/client/naming.h"

#include <errno.h>
#include <stdio.h>

#include "tools/client/contacts.h"
#include "tools/client/sealing.h"
#include "tools/client/state_inbox.h"
#include "tools/client/uri.h"

#define SENTENCE_BYTES 320 /* two names, and what is said of them */

/* One that was never believed to be anybody's can't be taken for another. */
static bool is_believed(struct state *state, uint64_t account) {
    struct contact contact;
    return contacts_get(state, account, &contact) == 0 && (contact.has_key || contact.is_doubted);
}

/* What is sealed for it, and was not sent yet, is held, too. */
static int doubt(struct state *state, const struct identity *own, uint64_t account, const char *sentence) {
    struct contact contact;
    int error = contacts_get(state, account, &contact);
    if (error && error != -ENOENT)
        return error;
    contact.is_doubted = true;
    contacts_put(state, &contact);
    state_inbox_notice(state, account, 0, sentence);
    return sealing_drop(state, own, account);
}

int naming_take_own(struct state *state, struct identity *own, const char *name, size_t bytes) {
    char text[FRAME_NAME_BYTES_MAX + 1] = {0};
    if (bytes > FRAME_NAME_BYTES_MAX)
        return 0;
    memcpy(text, name, bytes);
    if (!own->name[0] && strlen(text) == bytes && uri_name_is_valid(text))
        memcpy(own->name, text, sizeof(own->name));
    return own->name[0] ? state_learn_name(state, own->account, own->name, strlen(own->name)) : 0;
}

int naming_take(struct state *state, const struct identity *own, uint64_t account, const char *name) {
    char before[FRAME_NAME_BYTES_MAX + 1], sentence[SENTENCE_BYTES];
    uint64_t holder = account;
    state_find_holder(state, name, &holder);
    bool is_another = holder != account && is_believed(state, holder);
    bool has_other_name = state_find_name(state, account, before) == 0 && strcmp(before, name) != 0;
    if (has_other_name) /* whose that is by now has to be asked, too */
        state_forget_account(state, account);
    state_learn_name(state, account, name, strlen(name));
    if (account == own->account)
        return state->error;
    if (has_other_name && is_believed(state, account))
        snprintf(
            sentence, sizeof(sentence),
            "the switch calls this account %s now, and %s before: a store that was restored, or somebody "
            "in between; compare safety numbers",
            name, before);
    else if (is_another)
        snprintf(sentence, sizeof(sentence),
                 "the name %s was another account's before: one that was removed, or somebody is in between; "
                 "compare safety numbers",
                 name);
    else
        return state->error;
    return doubt(state, own, account, sentence);
}
