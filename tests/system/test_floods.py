"""The short form of `ternbench hostile`: beside some attacks the good pairs lose, double and reorder nothing, and the
switch takes no more memory than its limits add up to. How long they take is shown, not judged."""
import json
import os

from harness import Process, check, main, test


ATTACKS = ("stalled_readers", "slow_handshakes", "ping_flood", "resend", "largest_records")


@test(build="release")
def pairs_and_memory_stand_attacks(world):
    result = world.file("hostile.json")
    bench = os.path.join(world.build, "ternbench")
    arguments = ["hostile", "--pairs", "10", "--rate", "500", "--seconds", "1", "--connections", "60"]
    arguments += ["--only", ",".join(ATTACKS), "--json", result]
    running = Process(world, "ternbench", [bench] + arguments)
    running.expect_code(0, 180)
    with open(result, encoding="utf-8") as file:
        text = json.dumps(json.load(file))
    for attack in ATTACKS:
        check(attack in text, "no figures of %s in %s", attack, text)


main("ternd", "ternctl", "ternbench")
