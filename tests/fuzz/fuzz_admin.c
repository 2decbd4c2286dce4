/* Fuzzes the admin socket's lines: the first byte says in what slices the bytes come in. However they are
 * sliced, the lines are the same, and each is a request of the table or refused with a sentence. */
#include <stdint.h>
#include <string.h>

#include "core/must.h"
#include "tools/ternd/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_line(const char *line, size_t bytes) {
    char error[256] = "";
    cJSON *request = NULL;
    enum admin_command command = ADMIN_COMMAND_COUNT;
    if (lines_read_request(line, bytes, &command, &request, error, sizeof(error))) {
        must(error[0] != '\0' && !request);
        return;
    }
    must(command < ADMIN_COMMAND_COUNT && cJSON_IsObject(request));
    cJSON_Delete(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    size_t slice = data[0] ? data[0] : size, begun = 1;
    struct lines lines;
    lines_init(&lines);
    for (size_t at = 1; at < size; at += slice) {
        size_t bytes = size - at < slice ? size - at : slice;
        must(lines_add(&lines, (const char *)data + at, bytes) == 0);
        for (char *line; (line = lines_next(&lines, &bytes)); begun += bytes + 1) {
            must(begun + bytes < size && data[begun + bytes] == '\n' &&
                 memcmp(line, data + begun, bytes) == 0);
            read_line(line, bytes);
        }
    }
    must(begun <= size && !memchr(data + begun, '\n', size - begun));
    lines_fini(&lines);
    return 0;
}
