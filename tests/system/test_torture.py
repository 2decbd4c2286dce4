"""P1, P3, P4, P5, P6, P7 under kill -9: `ternbench torture` kills a switch and its devices, which encrypt, again and again,
and compares. Here a short run of the release, two accounts with three devices each; `make torture` runs the build that
has crash points."""
import json
import os

from harness import RELEASE, Process, check, check_equal, main, test

KILLS = os.environ.get("TERN_KILLS", "20")


def torture(world, *arguments):
    result = world.file("result.json")
    command = [os.path.join(RELEASE, "ternbench"), "torture", "--json", result] + list(arguments)
    running = Process(world, "ternbench", command)
    code = running.wait(1000)
    check(code == 0, "torture ended with %d\n%s\n%s", code, running.out().decode(), running.err())
    with open(result, encoding="utf-8") as file:
        return json.load(file)["results"]


@test(build=RELEASE)
def every_message_is_once_in_order_and_readable_at_each_of_six_devices(world):
    results = torture(world, "--kills", KILLS, "--accounts", "2", "--devices", "3")
    check(results["kills"] >= int(KILLS), "%d kills", results["kills"])
    # To three devices and two own others, or to two own others.
    check(results["sent"] > 100 and results["deliveries"] > 2 * results["sent"], "too little traffic: %s", results)
    for name in ("lost", "doubled", "reordered", "forged", "unopened", "alarms", "clear", "unticked", "undelivered", "unread",
                 "failed", "untrue", "unconfirmed", "entries_left"):
        check_equal(results[name], 0, name)
    check(results["devices_killed"] > 0 and results["records"] > 0, "what was to be tried was not: %s", results)


@test(build=RELEASE)
def its_command_line_says_what_is_wrong(world):
    ternbench = os.path.join(RELEASE, "ternbench")
    Process(world, "ternbench", [ternbench, "torture", "--help"]).expect_code(0)
    for wrong in (["--kills", "no"], ["--point", "nowhere"], ["more"], ["--accounts", "40", "--devices", "10"],
                  ["--accounts", "1", "--devices", "1"], ["--size", "60000"]):
        running = Process(world, "ternbench", [ternbench, "torture"] + wrong)
        running.expect_code(2)
        check(running.err().startswith("ternbench torture: "), "it says %s", running.err())


main("ternd", "ternctl", "ternbench")
