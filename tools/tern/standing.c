#include "tools/tern/standing.h"

#include "tools/client/contacts.h"
#include "tools/client/publishing.h"

enum standing standing_of(struct state *state, const struct identity *own) {
    struct contact self;
    contacts_get(state, own->account, &self);
    enum pairing_stand stand = pairing_stand(state);
    if (self.has_other)
        return STANDING_OTHER_KEY;
    if (publishing_is_listed(state, own, &self))
        return STANDING_LISTED;
    if (stand != PAIRING_NONE)
        return stand == PAIRING_REFUSED ? STANDING_REFUSED : STANDING_WAITS;
    return self.has_list ? STANDING_OFF : STANDING_UNKNOWN;
}

const char *standing_name(enum standing standing) {
    static const char *const names[] = {
        [STANDING_LISTED] = "listed",   [STANDING_UNKNOWN] = "unknown",     [STANDING_WAITS] = "waits",
        [STANDING_REFUSED] = "refused", [STANDING_OTHER_KEY] = "other_key", [STANDING_OFF] = "off",
    };
    return names[standing];
}

void standing_print(FILE *out, enum standing standing, uint16_t device, const char *before) {
    switch (standing) {
    case STANDING_WAITS:
        fprintf(out,
                "%sdevice %u, this one, is not on the account's signed list yet, so it gets nothing and can "
                "send nothing: the device that showed the URI has to be connected, and lets it in whenever "
                "a tern of it is\n",
                before, device);
        break;
    case STANDING_REFUSED:
        fprintf(
            out,
            "%sdevice %u, this one, is linked at the switch, but is not on the account's signed list, and "
            "will not be: the device that has the account's key knows of no invitation with the secret of "
            "this URI, or it is over. So it gets nothing and can send nothing. There, `tern device remove "
            "%u` takes it off and `tern device add` shows a new URI; here, that needs a new folder "
            "(--home)\n",
            before, device, device);
        break;
    case STANDING_OTHER_KEY:
        fprintf(out,
                "%sthe account's device list is signed by another account key than device %u, this one, "
                "believes: the account began anew, or the URI was another's, or somebody is in between. Link "
                "anew, with a new folder (--home)\n",
                before, device);
        break;
    case STANDING_OFF:
        fprintf(out,
                "%sdevice %u, this one, is not on the account's signed list: nobody encrypts for it, and it "
                "can send nothing. Link anew, with a new folder (--home)\n",
                before, device);
        break;
    default:
        break;
    }
}

/* --- strangers ------------------------------------------------------------------------------------------ */

void standing_print_stranger(FILE *out, uint16_t device, const char *before) {
    fprintf(out,
            "%sdevice %u is linked at the switch, but is not on the signed list: it knew no secret of an "
            "invitation, or came too late. It gets nothing. `tern device remove %u` takes it off; to let it "
            "in, `tern device add` shows a new URI\n",
            before, device, device);
}

void standing_print_strangers(FILE *out, struct state *state, const char *before) {
    uint16_t device;
    for (uint32_t from = 0; pairing_stranger(state, from, &device) == 0; from = device + 1u)
        standing_print_stranger(out, device, before);
}

void standing_add_strangers(cJSON *object, struct state *state) {
    cJSON *array = cJSON_AddArrayToObject(object, "strangers");
    uint16_t device;
    for (uint32_t from = 0; pairing_stranger(state, from, &device) == 0; from = device + 1u)
        cJSON_AddItemToArray(array, cJSON_CreateNumber(device));
}
