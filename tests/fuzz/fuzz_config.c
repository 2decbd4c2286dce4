/* Fuzzes the configuration file: whatever the bytes are, they are settings or a sentence; and settings that
 * pass the checks pass them again after a reload into the defaults. */
#include <string.h>

#include "core/must.h"
#include "tools/ternd/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct config config, other;
    char error[512] = "", names[64];
    config_defaults(&config);
    config_defaults(&other);
    if (file_read_text("file", (const char *)data, size, &config, error, sizeof(error))) {
        must(error[0] != '\0' && strlen(error) < sizeof(error));
        return 0;
    }
    if (config_check(&config, error, sizeof(error))) {
        must(error[0] != '\0');
        return 0;
    }
    config_reload(&other, &config);
    must(config_differences(&other, &config, true, names, sizeof(names)) == 0);
    must(strlen(names) < sizeof(names));
    return 0;
}
