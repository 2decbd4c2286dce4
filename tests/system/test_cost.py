"""What a message costs, in counts alone: a busy machine changes times, not these. The limits are what was measured when
this was written, and half as much again where gathering plays a part: they are there to notice a mistake, not to say
what is good; docs/BENCHMARKS.md has the targets."""
import json
import os
import shutil

from harness import RELEASE, Process, check, main, test

# Figure, limit.
LIMITS = [
    ("plaintext_instructions_per_message", 2700),
    ("encrypted_instructions_per_message", 6600),
    ("w1.enters_per_message", 0.5),
    ("w8.enters_per_message", 0.05),
    ("w64.enters_per_message", 0.05),
    ("w1.payload_copies_per_message", 1.5),
    ("w8.payload_copies_per_message", 1.5),
    ("w64.payload_copies_per_message", 1.5),
]


def figure(result, name):
    place = result["median"]
    for part in name.split("."):
        place = place[part]
    return place


@test(build="release")
def a_message_costs_no_more_than_it_did(world):
    path = world.file("cost.json")
    command = [os.path.join(RELEASE, "ternbench"), "cost", "--pairs", "100", "--json", path]
    Process(world, "ternbench", command).expect_code(0, 300)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    check(result["complete"], "it is not complete: %s", result)
    for name, limit in LIMITS:
        if "instructions" in name and not shutil.which("valgrind"):
            continue
        check(figure(result, name) <= limit, "%s is %.4g, more than %.4g", name, figure(result, name), limit)


main("ternd", "ternbench")
