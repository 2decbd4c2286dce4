#include "bench/callgrind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double callgrind_total(const char *log_path) {
    static const char key[] = "Collected :";
    char line[256];
    double total = -1;
    FILE *file = fopen(log_path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        const char *at = strstr(line, key);
        if (at)
            total = strtod(at + sizeof(key) - 1, NULL);
    }
    if (file)
        fclose(file);
    return total;
}
