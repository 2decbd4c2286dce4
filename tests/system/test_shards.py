"""Devices on different shards reach each other, connections move home, and a message that both ends are there
for costs no system call but the ring's."""
import re
import shutil
import signal
import subprocess

import wire
from harness import Process, check, check_equal, main, skip, test, until

RING_CALLS = {"io_uring_enter"}
ACCOUNTS = 8


@test
def devices_on_either_shard_reach_each_other(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(shards=2)
    devices = [wire.Device(switch.account("a%d" % index)) for index in range(ACCOUNTS)]
    sessions = [wire.Session(device, link=True) for device in devices]
    # The kernel spreads connections over the shards' listeners as it likes: come again until some had to
    # move.
    for _ in range(10):
        if switch.stat("connections_moved"):
            break
        for index, device in enumerate(devices):
            sessions[index].close()
            sessions[index] = wire.Session(device)
    moved, logins = switch.stat("connections_moved"), switch.stat("logins") + switch.stat("links")
    check(0 < moved < logins, "%d of %d connections moved home", moved, logins)
    for at, session in zip(devices, sessions):
        for to in devices:
            if to is not at:
                session.send(to.account, b"%d to %d" % (at.account, to.account))
    for to, session in zip(devices, sessions):
        session.wait_inbox(ACCOUNTS - 1)
        check_equal(
            sorted(one.fields["payload"] for one in to.inbox),
            sorted(b"%d to %d" % (at.account, to.account) for at in devices if at is not to),
            "what arrived",
        )
    for at, session in zip(devices, sessions):
        for to in devices:
            if to is not at:
                session.wait_tick(to.account, 1, wire.SENT | wire.DELIVERED)


def calls_of(summary):
    """The table of `strace -c`: calls by name."""
    calls = {}
    for line in summary.splitlines():
        match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if match and match.group(2) != "total":
            calls[match.group(2)] = int(match.group(1))
    return calls


@test(build="release")
def a_message_costs_no_system_call_but_the_rings(world):
    if not shutil.which("strace"):
        skip("strace is not there")
    if subprocess.run(
        ["strace", "-c", "-f", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).returncode:
        skip("the kernel does not let us trace here")
    count = 3000
    # Nothing may be put away because a tracer makes everything slow.
    switch = world.switch(shards=2, spill_ms=60000)
    alice, bob = world.linked(switch, "alice", "bob")
    listening = bob.start("listen", "--output", world.file("received"))
    alice.run("send", "bob", "the first", "--wait", "delivered", "--timeout", 20)
    before = switch.stats()
    summary = world.file("strace")
    tracing = Process(world, "strace", ["strace", "-c", "-f", "-o", summary, "-p", str(switch.pid)])
    until(lambda: "attached" in tracing.err(), 10, lambda: "strace to attach: " + tracing.err())
    lines = b"".join(b"message %d\n" % number for number in range(count))
    with open(world.file("lines", lines), "rb") as file:
        alice.run("send", "bob", "-", "--wait", "delivered", "--timeout", 60, stdin=file, seconds=90)
    tracing.send_signal(signal.SIGINT)
    tracing.wait()
    after = switch.stats()
    with open(summary, encoding="utf-8") as file:
        calls = calls_of(file.read())
    check(calls.get("io_uring_enter", 0) > 0, "no call of the ring in %s", calls)
    grown = {name: after[name] - before[name] for name in after}
    check_equal(grown["messages_accepted"], count, "messages accepted")
    check_equal(grown["messages_delivered"], count, "messages delivered")
    check_equal(grown["messages_spilled"], 0, "messages spilled")
    others = {name: number for name, number in calls.items() if name not in RING_CALLS}
    check(
        sum(others.values()) < count / 20, "%d calls for %d messages: %s", sum(others.values()), count, others
    )
    listening.stop()


main()
