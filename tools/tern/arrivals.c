#include "tools/tern/arrivals.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tern/terminal.h"

int arrivals_open(struct arrivals *arrivals, const char *path, enum arrivals_tell tell) {
    *arrivals = (struct arrivals){.path = path, .tell = tell, .version = UINT64_MAX};
    return folder_open(&arrivals->folder, path);
}

void arrivals_close(struct arrivals *arrivals) {
    folder_close(&arrivals->folder);
}

/* --- telling -------------------------------------------------------------------------------------------- */

/* A name that is no text of JSON: with escapes, as on a terminal, and besides as it is. */
static void add_name(cJSON *line, const char *name) {
    char *shown = NULL,
         whole[sodium_base64_ENCODED_LEN(FILES_NAME_BYTES_MAX, sodium_base64_VARIANT_ORIGINAL)];
    size_t bytes = strlen(name), shown_bytes;
    FILE *out = open_memstream(&shown, &shown_bytes);
    if (out) {
        terminal_write(out, (const uint8_t *)name, bytes);
        fclose(out);
    }
    sodium_bin2base64(whole, sizeof(whole), (const uint8_t *)name, bytes, sodium_base64_VARIANT_ORIGINAL);
    cJSON_AddStringToObject(line, "file", shown ? shown : "");
    cJSON_AddStringToObject(line, "file_base64", whole);
    free(shown);
}

void arrivals_add_json(cJSON *line, const char *name, uint64_t size) {
    if (terminal_is_utf8((const uint8_t *)name, strlen(name)))
        cJSON_AddStringToObject(line, "file", name);
    else
        add_name(line, name);
    cJSON_AddNumberToObject(line, "bytes", (double)size);
}

static void tell_json(const struct arrivals *arrivals, const struct transfer *transfer, const char *from,
                      const char *name) {
    cJSON *line = cJSON_CreateObject();
    char path[PATH_MAX + FOLDER_NAME_BYTES_MAX + 2];
    snprintf(path, sizeof(path), "%s/%s", arrivals->path, name);
    if (*from)
        cJSON_AddStringToObject(line, "from", from);
    cJSON_AddNumberToObject(line, "from_account", (double)transfer->from);
    cJSON_AddNumberToObject(line, "from_device", transfer->from_device);
    arrivals_add_json(line, transfer->name, transfer->size);
    cJSON_AddStringToObject(line, "path", path);
    cJSON_AddBoolToObject(line, "encrypted", true);
    char *text = cJSON_PrintUnformatted(line);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(line);
}

/* name: in the folder. */
static int tell(const struct arrivals *arrivals, const struct transfer *transfer, const char *from,
                const char *name) {
    if (arrivals->tell == ARRIVALS_SILENT)
        return 0;
    if (arrivals->tell == ARRIVALS_JSON) {
        tell_json(arrivals, transfer, from, name);
    } else {
        if (*from)
            printf("%s  ", from);
        printf("file %s/%s, %" PRIu64 " bytes\n", arrivals->path, name, transfer->size);
    }
    return fflush(stdout) == 0 ? 0 : -errno;
}

static int failed(const struct arrivals *arrivals, const struct transfer *transfer, int error) {
    fprintf(stderr, "tern: %s: file ", arrivals->path);
    terminal_write(stderr, (const uint8_t *)transfer->name, strlen(transfer->name));
    fprintf(stderr, ": %s\n",
            error == -EILSEQ ? "it is not the one that its sender named; it is not kept" : strerror(-error));
    return error;
}

/* --- taking --------------------------------------------------------------------------------------------- */

/* 1: there is none. */
static int place_next(struct arrivals *arrivals, struct state *state, struct transfer *transfer,
                      char ret_from[FRAME_NAME_BYTES_MAX + 1], char ret_name[FOLDER_NAME_BYTES_MAX + 1]) {
    int error = state_look(state);
    if (error)
        return error;
    arrivals->version = state_version(state);
    do
        error = files_next(state, transfer, transfer);
    while (error == 0 && !transfer->is_whole);
    if (error == -ENOENT) {
        state_end(state);
        return 1;
    }
    if (!error && state_find_name(state, transfer->from, ret_from) != 0)
        *ret_from = 0;
    if (!error)
        error = folder_place(&arrivals->folder, state, transfer, ret_name);
    state_end(state);
    return error;
}

static int forget(struct state *state, const struct transfer *transfer) {
    int error = state_begin(state);
    if (error)
        return error;
    files_delete(state, transfer);
    return state_commit(state);
}

int arrivals_take(struct arrivals *arrivals, struct client *client, uint64_t max, uint64_t *ret_taken) {
    struct state *state = client_state(client);
    struct transfer transfer = {0};
    char from[FRAME_NAME_BYTES_MAX + 1], name[FOLDER_NAME_BYTES_MAX + 1];
    if (state_version(state) == arrivals->version)
        return 0;
    while (*ret_taken < max) {
        int error = place_next(arrivals, state, &transfer, from, name);
        if (error > 0)
            return 0;
        bool is_wrong = error == -EILSEQ;
        if (error)
            failed(arrivals, &transfer, error);
        else
            error = tell(arrivals, &transfer, from, name);
        if (!error || is_wrong)
            error = forget(state, &transfer);
        if (error)
            return error;
        *ret_taken += !is_wrong;
    }
    return 0;
}
