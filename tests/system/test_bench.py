"""ternbench checks what it measures: it ends with 0 only when every message came once and every receipt was
seen."""
import json
import os
import shutil
import time

from harness import RELEASE, Process, check, main, skip, test, until


def bench(world, switch, *arguments):
    return Process(
        world,
        "ternbench",
        [os.path.join(switch.build, "ternbench"), "pairs", "--admin", switch.admin]
        + [str(argument) for argument in arguments],
    )


@test(build="release")
def pairs_complete(world):
    switch = world.switch(shards=2)
    result = world.file("result.json")
    running = bench(
        world, switch, "--pairs", 50, "--window", 8, "--size", 200, "--seconds", 3, "--json", result
    )
    running.expect_code(0, 60)
    with open(result, encoding="utf-8") as file:
        text = json.dumps(json.load(file))
    check("latency" in text or "us" in text, "no latencies in %s", text)
    stats = switch.stats()
    check(stats["messages_accepted"] > 1000, "%d messages", stats["messages_accepted"])
    check(
        stats["closed_bad_frame"] == stats["closed_record_forged"] == 0,
        "a connection was closed for cause: %s",
        {name: value for name, value in stats.items() if name.startswith("closed_") and value},
    )


@test(build="release")
def a_switch_that_dies_makes_it_fail(world):
    switch = world.switch()
    running = bench(world, switch, "--pairs", 10, "--window", 8, "--size", 200, "--seconds", 20)
    until(lambda: switch.stat("messages_accepted") > 1000, 20, "the load")
    time.sleep(0.2)
    check(running.running(), "it ended early: %s", running.err())
    switch.kill()
    check(running.wait(60) != 0, "ternbench ended with 0 though the switch was killed: %s", running.out())
    check(running.err().strip(), "it does not say why")


def figures(world, switch_build, *arguments):
    """The medians of a command that starts what it needs itself."""
    path = world.file("result.json")
    command = [os.path.join(switch_build, "ternbench"), *arguments, "--json", path]
    Process(world, "ternbench", command).expect_code(0, 120)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    check(result["complete"], "it is not complete: %s", result)
    for name in ("name", "command", "machine", "versions", "settings", "runs"):
        check(result.get(name), "%s is missing in %s", name, result)
    return result["median"]


@test(build="release")
def every_message_of_crossing_crosses(world):
    found = figures(
        world, RELEASE, "crossing", "--pairs", "50", "--windows", "8", "--seconds", "1", "--repeat", "1"
    )["w8"]
    # A message that crosses is a note, and another when its memory comes home; one that does not cross is none.
    notes = found["two_shards_notes_per_message"]
    check(notes > 1.8, "%g notes a message", notes)
    check(found["ratio_crossing"] > 0, "no ratio in %s", found)


@test(build="release")
def pairs_takes_every_combination_of_its_lists(world):
    found = figures(
        world, RELEASE, "pairs", "--pairs", "1,20", "--window", "1,8", "--size", "32", "--seconds", "1", "--plaintext"
    )
    check(sorted(found) == ["pairs1_w1_32b", "pairs1_w8_32b", "pairs20_w1_32b", "pairs20_w8_32b"], "%s", sorted(found))
    for name, load in found.items():
        check(load["messages_per_s"] > 0 and load["delivered_p99_us"] > 0, "%s: %s", name, load)
    refused = Process(world, "ternbench", [os.path.join(RELEASE, "ternbench"), "ratio", "--pairs", "1,2"])
    refused.expect_code(2, 10)


@test(build="release")
def offline_keeps_every_message_beside_jetstream(world):
    found = figures(world, RELEASE, "offline", "--pairs", "20", "--messages", "300", "--window", "16")
    check(found["messages"] == 6000, "%s messages", found["messages"])
    check(found["fsyncs_per_message"] > 0 and found["durable_enqueues_per_s"] > 0, "nothing kept: %s", found)
    check(found["bytes_written_per_byte_queued"] > 1, "less written than queued: %s", found)
    if not shutil.which("nats-server", path=os.environ["PATH"] + ":/usr/sbin"):
        skip("nats-server is not there")
    for name in ("jetstream_enqueues_per_s", "jetstream_drained_per_s", "ratio_jetstream"):
        check(found.get(name, 0) > 0, "%s is missing in %s", name, found)


@test(build="release")
def peers_of_an_unknown_name_are_refused(world):
    asked = Process(world, "ternbench", [os.path.join(RELEASE, "ternbench"), "peers", "--only", "nobody"])
    asked.expect_code(2, 10)


@test(build="release")
def micro_runs_every_step(world):
    found = figures(world, RELEASE, "micro", "--messages", "1000")
    for step in ("frame_parse", "seal", "seal_and_open", "lane_hop", "route", "timer"):
        check(found.get(step + "_ns", 0) > 0, "no %s in %s", step, found)


@test(build="release")
def e2e_says_what_encryption_costs(world):
    found = figures(world, RELEASE, "e2e", "--messages", "200", "--size", "300")
    for name in ("messages_per_s", "stored_messages_per_s", "answers_per_s", "beginnings_per_s"):
        check(found[name] > 0, "%s is %s", name, found[name])
    check(found["sealed_bytes"] > 300, "sealed to %s bytes", found["sealed_bytes"])


main("ternd", "ternctl", "ternbench")
