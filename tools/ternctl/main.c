/* ternctl: asks a running switch over its admin socket. */
#include "tools/ternctl/control.h"

int main(int count, char **arguments) {
    return control_run(count, arguments);
}
