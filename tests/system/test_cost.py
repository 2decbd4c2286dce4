"""What a message and a connection cost, in counts alone: a busy machine changes times, not these. The limits are what was
measured when this was written, a tenth more for instructions, which depend a little on how much gathers and on the libraries,
and more where gathering plays a larger part: they are there to notice a mistake; docs/BENCHMARKS.md has the targets."""
import json
import os
import shutil

from harness import RELEASE, Process, check, main, test

# Figure, limit.
LIMITS = [
    ("plaintext_instructions_per_message", 1650),
    ("encrypted_instructions_per_message", 4100),
    ("w1.enters_per_message", 0.5),
    ("w8.enters_per_message", 0.05),
    ("w64.enters_per_message", 0.05),
    ("w1.payload_copies_per_message", 0.25),
    ("w8.payload_copies_per_message", 0.25),
    ("w64.payload_copies_per_message", 0.5),
]
CONNECTIONS = 2000
# In user space, with a shard's buffers among so few; 750 and 560 when this was written.
BYTES_PER_CONNECTION = 1000
BYTES_PER_DEVICE = 750


def figure(place, name):
    for part in name.split("."):
        place = place[part]
    return place


def medians(world, *arguments):
    path = world.file("result.json")
    command = [os.path.join(RELEASE, "ternbench"), *arguments, "--json", path]
    Process(world, "ternbench", command).expect_code(0, 300)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    check(result["complete"], "it is not complete: %s", result)
    return result["median"]


@test(build="release")
def a_message_costs_no_more_than_it_did(world):
    # Else what a busy machine holds up is copied, too.
    found = medians(world, "cost", "--pairs", "100", "--switch-option=hold_ms=60000")
    for name, limit in LIMITS:
        if "instructions" in name and not shutil.which("valgrind"):
            continue
        check(figure(found, name) <= limit, "%s is %.4g, more than %.4g", name, figure(found, name), limit)


@test(build="release")
def an_idle_connection_takes_no_more_than_it_did(world):
    found = medians(world, "idle", "--connections", str(CONNECTIONS), "--seconds", "1")
    taken = figure(found, "switch_user_bytes_per_connection")
    # Less than a key and a socket's place is no memory of connections: then it was not measured.
    check(100 <= taken <= BYTES_PER_CONNECTION, "%.0f bytes in user space", taken)
    known = figure(found, "switch_user_bytes_per_device_known")
    check(100 <= known <= BYTES_PER_DEVICE, "%.0f bytes of a device and its account", known)


main("ternd", "ternbench")
