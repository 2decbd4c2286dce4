#include "tests/sim/mutants.h"

#include <string.h>

#include "core/mutant.h"

#ifdef TERN_MUTANTS

enum mutant mutant_planted;

#define X(name, help) {#name, help},
static const struct { const char *name, *help; } mutants[] = {MUTANTS(X)};
#undef X

const char *mutant_name(uint32_t index, const char **ret_help) {
    if (index >= sizeof(mutants) / sizeof(mutants[0]))
        return NULL;
    *ret_help = mutants[index].help;
    return mutants[index].name;
}

bool mutant_plant(const char *name) {
    for (uint32_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        if (strcmp(mutants[i].name, name) == 0) {
            mutant_planted = (enum mutant)(i + 1);
            return true;
        }
    }
    return false;
}

#else

const char *mutant_name(uint32_t index, const char **ret_help) {
    (void)index;
    (void)ret_help;
    return NULL;
}

bool mutant_plant(const char *name) {
    (void)name;
    return false;
}

#endif
