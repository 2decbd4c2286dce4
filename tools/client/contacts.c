#include "tools/client/contacts.h"

#include <errno.h>

#include "tools/client/state_keys.h"

#define STORED_VERSION 1
#define HEAD_BYTES 56
#define FORMER_BYTES 42
#define LIST_BYTES 50 /* without its devices */
#define DEVICE_BYTES 42
#define CONTACT_BYTES_MAX                                                                                    \
    (HEAD_BYTES + DEVICELIST_DEVICES_MAX * 2 + CONTACT_FORMER_MAX * FORMER_BYTES +                           \
     2 * (LIST_BYTES + DEVICELIST_DEVICES_MAX * DEVICE_BYTES))
_Static_assert(CONTACT_BYTES_MAX <= STATE_VALUE_BYTES_MAX, "room for what is stored");

enum { HAS_KEY = 1, IS_VERIFIED = 2, HAS_LIST = 4, HAS_OTHER = 8, IS_AWAITED = 16 };
#define ANSWERED_SHIFT 5 /* behind them */
#define NEWS_MASK 15     /* of the byte with the news ... */
#define IS_DOUBTED 16    /* ... which has room for this */

/* --- the stored contact --------------------------------------------------------------------------------- */

static uint8_t *write_list(uint8_t *at, const struct devicelist *list) {
    bytes_put64(at, list->version);
    bytes_put64(at + 8, list->created_s);
    memcpy(at + 16, list->account_key, IDENTITY_KEY_BYTES);
    bytes_put16(at + 48, list->count);
    at += LIST_BYTES;
    for (uint32_t i = 0; i < list->count; i++, at += DEVICE_BYTES) {
        bytes_put16(at, list->devices[i].number);
        bytes_put64(at + 2, list->devices[i].created_s);
        memcpy(at + 10, list->devices[i].identity, IDENTITY_KEY_BYTES);
    }
    return at;
}

static uint8_t flags_of(const struct contact *contact) {
    return (uint8_t)((contact->has_key ? HAS_KEY : 0) | (contact->is_verified ? IS_VERIFIED : 0) |
                     (contact->has_list ? HAS_LIST : 0) | (contact->has_other ? HAS_OTHER : 0) |
                     (contact->is_awaited ? IS_AWAITED : 0) | contact->answered << ANSWERED_SHIFT);
}

int contacts_put(struct state *state, const struct contact *contact) {
    struct key key = key_of(KEY_CONTACT);
    uint8_t *at = state->value;
    key_add64(&key, contact->account);
    bytes_put16(at, STORED_VERSION);
    at[2] = flags_of(contact);
    at[3] = (uint8_t)(contact->news | (contact->is_doubted ? IS_DOUBTED : 0));
    bytes_put16(at + 4, contact->refused);
    bytes_put16(at + 6, contact->strange);
    bytes_put64(at + 8, contact->answered_s);
    memcpy(at + 16, contact->account_key, IDENTITY_KEY_BYTES);
    bytes_put16(at + 48, contact->gone_count);
    bytes_put16(at + 50, contact->former_count);
    bytes_put16(at + 52, contact->bad);
    bytes_put16(at + 54, contact->named);
    at += HEAD_BYTES;
    for (uint32_t i = 0; i < contact->gone_count; i++, at += 2)
        bytes_put16(at, contact->gone[i]);
    for (uint32_t i = 0; i < contact->former_count; i++, at += FORMER_BYTES) {
        bytes_put16(at, contact->former[i].number);
        bytes_put64(at + 2, contact->former[i].until_s);
        memcpy(at + 10, contact->former[i].identity, IDENTITY_KEY_BYTES);
    }
    if (contact->has_list)
        at = write_list(at, &contact->list);
    if (contact->has_other)
        at = write_list(at, &contact->other);
    return state_put(state, &key, state->value, (size_t)(at - state->value));
}

/* Takes so many bytes off the view; NULL: there are fewer. */
static const uint8_t *take_off(struct disk_view *view, size_t bytes) {
    const uint8_t *at = view->at;
    if (view->bytes < bytes)
        return NULL;
    view->at += bytes;
    view->bytes -= bytes;
    return at;
}

static bool read_list(struct disk_view *view, uint64_t account, struct devicelist *list) {
    const uint8_t *at = take_off(view, LIST_BYTES);
    if (!at)
        return false;
    list->account = account;
    list->version = bytes_get64(at);
    list->created_s = bytes_get64(at + 8);
    memcpy(list->account_key, at + 16, IDENTITY_KEY_BYTES);
    list->count = bytes_get16(at + 48);
    if (list->count > DEVICELIST_DEVICES_MAX)
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        at = take_off(view, DEVICE_BYTES);
        if (!at)
            return false;
        list->devices[i].number = bytes_get16(at);
        list->devices[i].created_s = bytes_get64(at + 2);
        memcpy(list->devices[i].identity, at + 10, IDENTITY_KEY_BYTES);
    }
    return true;
}

static bool read_devices(struct disk_view *view, struct contact *contact) {
    if (contact->gone_count > DEVICELIST_DEVICES_MAX || contact->former_count > CONTACT_FORMER_MAX)
        return false;
    for (uint32_t i = 0; i < contact->gone_count; i++) {
        const uint8_t *at = take_off(view, 2);
        if (!at)
            return false;
        contact->gone[i] = bytes_get16(at);
    }
    for (uint32_t i = 0; i < contact->former_count; i++) {
        const uint8_t *at = take_off(view, FORMER_BYTES);
        if (!at)
            return false;
        contact->former[i].number = bytes_get16(at);
        contact->former[i].until_s = bytes_get64(at + 2);
        memcpy(contact->former[i].identity, at + 10, IDENTITY_KEY_BYTES);
    }
    return true;
}

static bool read_contact(struct disk_view view, struct contact *contact) {
    const uint8_t *at = take_off(&view, HEAD_BYTES);
    if (!at || bytes_get16(at) != STORED_VERSION)
        return false;
    contact->has_key = at[2] & HAS_KEY;
    contact->is_verified = at[2] & IS_VERIFIED;
    contact->has_list = at[2] & HAS_LIST;
    contact->has_other = at[2] & HAS_OTHER;
    contact->is_awaited = at[2] & IS_AWAITED;
    contact->answered = at[2] >> ANSWERED_SHIFT;
    contact->news = at[3] & NEWS_MASK;
    contact->is_doubted = at[3] & IS_DOUBTED;
    contact->refused = bytes_get16(at + 4);
    contact->strange = bytes_get16(at + 6);
    contact->answered_s = bytes_get64(at + 8);
    memcpy(contact->account_key, at + 16, IDENTITY_KEY_BYTES);
    contact->gone_count = bytes_get16(at + 48);
    contact->former_count = bytes_get16(at + 50);
    contact->bad = bytes_get16(at + 52);
    contact->named = bytes_get16(at + 54);
    return read_devices(&view, contact) &&
           (!contact->has_list || read_list(&view, contact->account, &contact->list)) &&
           (!contact->has_other || read_list(&view, contact->account, &contact->other)) && view.bytes == 0;
}

int contacts_get(struct state *state, uint64_t account, struct contact *ret_contact) {
    struct key key = key_of(KEY_CONTACT);
    struct disk_view value;
    key_add64(&key, account);
    memset(ret_contact, 0, sizeof(*ret_contact));
    ret_contact->account = account;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    return read_contact(value, ret_contact) ? 0 : state_damaged(state);
}

/* --- what is believed ----------------------------------------------------------------------------------- */

int contacts_pin(struct state *state, uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES]) {
    struct contact contact;
    int error = contacts_get(state, account, &contact);
    if (error && error != -ENOENT)
        return error;
    if (contact.has_key)
        return primitive_equal(contact.account_key, account_key, IDENTITY_KEY_BYTES) ? 0 : -EEXIST;
    contact.has_key = true;
    memcpy(contact.account_key, account_key, IDENTITY_KEY_BYTES);
    return contacts_put(state, &contact);
}

int contacts_forget(struct state *state, uint64_t account) {
    struct key key = key_of(KEY_CONTACT);
    key_add64(&key, account);
    int error = state_delete(state, &key);
    return error == -ENOENT ? 0 : error;
}

int contacts_set_verified(struct state *state, uint64_t account, bool verified) {
    struct contact contact;
    int error = contacts_get(state, account, &contact);
    if (error)
        return error;
    if (!contact.has_key)
        return -ENOENT;
    contact.is_verified = verified;
    return contacts_put(state, &contact);
}

static struct key shown_key(uint64_t account) {
    struct key key = key_of(KEY_SHOWN);
    key_add64(&key, account);
    return key;
}

int contacts_set_shown(struct state *state, uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES]) {
    struct key key = shown_key(account);
    return state_put(state, &key, account_key, IDENTITY_KEY_BYTES);
}

bool contacts_was_shown(struct state *state, uint64_t account,
                        const uint8_t account_key[IDENTITY_KEY_BYTES]) {
    struct key key = shown_key(account);
    struct disk_view value;
    if (state_get(state, &key, &value) != 0)
        return false;
    if (value.bytes == IDENTITY_KEY_BYTES)
        return primitive_equal(value.at, account_key, IDENTITY_KEY_BYTES);
    state_damaged(state);
    return false;
}

/* --- lists ---------------------------------------------------------------------------------------------- */

static const struct contact_former *find_former(const struct contact *contact, uint16_t number) {
    for (uint32_t i = 0; i < contact->former_count; i++) {
        if (contact->former[i].number == number)
            return &contact->former[i];
    }
    return NULL;
}

static void drop_former(struct contact *contact, uint32_t index) {
    contact->former_count--;
    memmove(&contact->former[index], &contact->former[index + 1],
            (contact->former_count - index) * sizeof(contact->former[0]));
}

static void add_former(struct contact *contact, const struct devicelist_device *device, uint64_t until_s) {
    if (contact->former_count == CONTACT_FORMER_MAX)
        drop_former(contact, 0);
    struct contact_former *former = &contact->former[contact->former_count++];
    former->number = device->number;
    former->until_s = until_s;
    memcpy(former->identity, device->identity, IDENTITY_KEY_BYTES);
}

/* Who is on the new list is no former device; who is not any more is one from now on. */
static void update_former(struct contact *contact, const struct devicelist *list) {
    for (uint32_t i = contact->former_count; i-- > 0;) {
        if (devicelist_find(list, contact->former[i].number))
            drop_former(contact, i);
    }
    for (uint32_t i = 0; contact->has_list && i < contact->list.count; i++) {
        if (!devicelist_find(list, contact->list.devices[i].number))
            add_former(contact, &contact->list.devices[i], list->created_s);
    }
}

static void use_list(struct contact *contact, const struct devicelist *list) {
    update_former(contact, list);
    contact->list = *list;
    contact->has_list = true;
    contact->has_key = true;
    memcpy(contact->account_key, list->account_key, IDENTITY_KEY_BYTES);
    for (uint32_t i = contact->gone_count; i-- > 0;) {
        if (!devicelist_find(list, contact->gone[i]))
            contact->gone[i] = contact->gone[--contact->gone_count];
    }
    if (devicelist_find(list, contact->strange))
        contact->strange = 0;
}

/* A number is never given to another device: devicelist_follows sees that from one list to the next, this
 * from those before. */
static bool takes_a_former_number(const struct contact *contact, const struct devicelist *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        const struct contact_former *former = find_former(contact, list->devices[i].number);
        if (former && !primitive_equal(former->identity, list->devices[i].identity, IDENTITY_KEY_BYTES))
            return true;
    }
    return false;
}

static enum contact_news take_other(struct contact *contact, const uint8_t *bytes, size_t count) {
    struct devicelist list;
    if (devicelist_read(&list, contact->account, NULL, bytes, count) < 0)
        return CONTACT_FORGED;
    bool is_known = contact->has_other &&
                    primitive_equal(contact->other.account_key, list.account_key, IDENTITY_KEY_BYTES);
    if (!is_known || devicelist_follows(&contact->other, &list) == 0)
        contact->other = list;
    contact->has_other = true;
    return CONTACT_OTHER_KEY;
}

static enum contact_news judge(const struct contact *contact, const struct devicelist *list) {
    if (takes_a_former_number(contact, list))
        return CONTACT_FORGED;
    if (!contact->has_list)
        return CONTACT_FIRST;
    int error = devicelist_follows(&contact->list, list);
    if (error)
        return error == -ESTALE ? CONTACT_OLDER : CONTACT_FORGED;
    return list->version == contact->list.version ? CONTACT_SAME : CONTACT_NEWER;
}

enum contact_news contact_take(struct contact *contact, const uint8_t *list, size_t count) {
    struct devicelist read;
    if (count == 0)
        return contact->has_list ? CONTACT_OLDER : CONTACT_NONE;
    int error =
        devicelist_read(&read, contact->account, contact->has_key ? contact->account_key : NULL, list, count);
    if (error == -EKEYREVOKED)
        return take_other(contact, list, count);
    if (error)
        return error == -EPROTO ? CONTACT_UNREADABLE : CONTACT_FORGED;
    enum contact_news news = judge(contact, &read);
    if (news == CONTACT_FIRST || news == CONTACT_NEWER)
        use_list(contact, &read);
    if (news == CONTACT_FIRST || news == CONTACT_NEWER || news == CONTACT_SAME)
        contact->has_other = false; /* the account's own key still signs */
    return news;
}

int contact_accept(struct contact *contact) {
    struct devicelist list = contact->other;
    if (!contact_is_changed(contact))
        return -ENOENT;
    contact->is_doubted = contact->is_verified = false;
    if (!contact->has_other)
        return 0;
    contact->has_list = contact->has_other = false;
    contact->former_count = contact->gone_count = 0;
    contact->strange = contact->bad = contact->named = 0;
    use_list(contact, &list);
    return 0;
}

/* --- devices -------------------------------------------------------------------------------------------- */

bool contact_is_gone(const struct contact *contact, uint16_t device) {
    for (uint32_t i = 0; i < contact->gone_count; i++) {
        if (contact->gone[i] == device)
            return true;
    }
    return false;
}

bool contact_set_gone(struct contact *contact, uint16_t device, bool gone) {
    if (contact_is_gone(contact, device) == gone || !devicelist_find(&contact->list, device))
        return false;
    if (gone) {
        contact->gone[contact->gone_count++] = device;
        return true;
    }
    for (uint32_t i = contact->gone_count; i-- > 0;) {
        if (contact->gone[i] == device)
            contact->gone[i] = contact->gone[--contact->gone_count];
    }
    return true;
}

uint32_t contact_targets(const struct contact *contact, uint16_t self,
                         const struct devicelist_device *ret_devices[DEVICELIST_DEVICES_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; contact->has_list && i < contact->list.count; i++) {
        const struct devicelist_device *device = &contact->list.devices[i];
        if (device->number != self && !contact_is_gone(contact, device->number))
            ret_devices[count++] = device;
    }
    return count;
}

const uint8_t *contact_sender(const struct contact *contact, uint16_t device, uint64_t accepted_ms) {
    const struct devicelist_device *listed =
        contact->has_list ? devicelist_find(&contact->list, device) : NULL;
    if (listed)
        return listed->identity;
    const struct contact_former *former = find_former(contact, device);
    bool is_in_time = former && accepted_ms / 1000 <= former->until_s + CONTACT_FORMER_SLACK_S;
    return is_in_time ? former->identity : NULL;
}

bool contact_is_over(const struct contact *contact, uint16_t device, uint64_t now_s) {
    if (contact->has_list && devicelist_find(&contact->list, device))
        return false;
    const struct contact_former *former = find_former(contact, device);
    return !former || (now_s > former->until_s &&
                       now_s - former->until_s > CONTACT_FORMER_SLACK_S + STATE_KEYS_TTL_S_MAX);
}
