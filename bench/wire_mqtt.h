/* bench/wire_mqtt.h: an end as a client of an MQTT 3.1.1 broker, at most once (QoS 0) or at least once (QoS
 * 1). Each end subscribes to a topic of its own; a receipt is a message back.
 *
 * Threads: the end's worker's.  Memory: as of plain wires. */
#ifndef TERN_BENCH_WIRE_MQTT_H
#define TERN_BENCH_WIRE_MQTT_H

#include "bench/wire.h"

extern const struct wire wire_mqtt_qos0, wire_mqtt_qos1;

#endif
