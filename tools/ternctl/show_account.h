/* tools/ternctl/show_account.h: the answers about accounts, and the link URIs made of them.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_ACCOUNT_H
#define TERN_TOOLS_TERNCTL_SHOW_ACCOUNT_H

#include "tools/ternctl/show.h"

/* Adds "uri" to each entry of an answer of account add or account code. `address`: where devices reach the
 * switch (HOST or HOST:PORT), NULL: where it says it listens. 0; -EINVAL: `address` is none; -EPROTO: the
 * answer lacks something; -ENOMEM. */
int show_account_add_uris(cJSON *answer, const char *address);

show_answer show_account_uris; /* account add, account code: the URI alone */
show_answer show_account_list;
show_answer show_account_show;
show_answer show_account_suspend;
show_answer show_account_resume;
show_answer show_account_remove;

#endif
