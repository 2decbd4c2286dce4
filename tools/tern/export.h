/* tools/tern/export.h: `tern export` and `tern import`; see options.c for what they do.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_EXPORT_H
#define TERN_TOOLS_TERN_EXPORT_H

#include "tools/tern/options.h"

int export_run(const struct options *options);
int import_run(const struct options *options);

#endif
