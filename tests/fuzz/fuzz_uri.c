/* Fuzzes the reader of link URIs: what it takes is what it says it takes, and a refusal has a sentence. */
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "tools/client/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    struct uri uri;
    const char *problem = NULL;
    if (uri_parse(text, &uri, &problem) == 0) {
        must(uri.port != 0 && uri.account != 0);
        must(strlen(uri.host) > 0 && strstr(text, uri.host));
        must(uri_name_is_valid(uri.name) && strstr(text, uri.name));
    } else {
        must(problem && *problem);
    }
    free(text);
    return 0;
}
