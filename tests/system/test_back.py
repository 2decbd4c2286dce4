"""Coming back: what a long absence left in the store is served soon after a start, and in order.

The figures of docs/BENCHMARKS.md are of TERN_BACK_ENTRIES=10000000, with TERN_BACK_QUEUES=1000 and 1, and of
TERN_BACK_DRAINED=100000 with TERN_BACK_PAIRS_S=5."""
import collections
import copy
import json
import os
import re
import shutil
import subprocess
import threading
import time

import wire
from harness import RELEASE, ROOT, Process, check, check_equal, main, skip, test

ENTRIES = int(os.environ.get("TERN_BACK_ENTRIES", "100000"))
QUEUES = int(os.environ.get("TERN_BACK_QUEUES", "100"))
DRAINED = int(os.environ.get("TERN_BACK_DRAINED", "20000"))
PAIRS_S = int(os.environ.get("TERN_BACK_PAIRS_S", "2"))
MAP_BYTES = "16G"


def fill(switch, sender, recipient, entries, queues=1, payload=200):
    """Puts messages into the queues of a switch that is stopped."""
    command = [os.path.join(RELEASE, "store_fill"), "--data", switch.data]
    for option, value in (
        ("from", sender),
        ("to", recipient),
        ("entries", entries),
        ("queues", queues),
        ("payload", payload),
    ):
        command += ["--" + option, str(value)]
    subprocess.run(command, check=True)


def forget_pages(switch):
    """Takes the store's file out of the page cache; how many of its pages stayed in."""
    path = os.path.join(switch.data, "env-0", "data.mdb")
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        out = subprocess.run(["fincore", "--noheadings", "--output", "PAGES", path], capture_output=True)
    except FileNotFoundError:
        return None
    return int(out.stdout) if out.returncode == 0 else None


def time_of_start(switch, device):
    """From exec to the ready line, and to the device's first message, in s."""
    began = time.monotonic()
    switch.start(wait=False)
    while not switch.ready_addresses():
        check(switch.process.running(), "it ended: %s", switch.process.err()[-500:])
        time.sleep(0.001)
    ready = time.monotonic() - began
    switch.addresses = re.findall(r" listening address=(\S+)", switch.process.err())
    device.uri = device.uri._replace(host="127.0.0.1", port=switch.port)
    device.seen = {}
    device.inbox = []
    session = wire.Session(device, auto_ack=False)
    session.wait_inbox(1)
    first = time.monotonic() - began
    check_equal(device.inbox[0].fields["number"], 1, "number of the first message")
    session.close()
    return ready, first


@test(build="release")
def a_store_full_of_messages_serves_the_first_at_once(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(map_bytes=MAP_BYTES, queue_messages_max=100000000)
    alice, bob = wire.Device(switch.account("alice")), wire.Device(switch.account("bob"))
    for device in (alice, bob):
        wire.Session(device, link=True).close()
    switch.stop()
    fill(switch, alice.account, bob.account, ENTRIES, QUEUES)
    size = os.path.getsize(os.path.join(switch.data, "env-0", "data.mdb"))
    print("# %d entries in %d queues, %.1f MB" % (ENTRIES, QUEUES, size / 1e6))
    for state in ("warm", "warm", "cold", "cold"):
        left = forget_pages(switch) if state == "cold" else 0
        ready, first = time_of_start(switch, bob)
        print(
            "# %s: ready after %.3f s, first message after %.3f s%s"
            % (state, ready, first, " (%s pages were left in the cache)" % left if state == "cold" else "")
        )
        switch.kill()
    switch.start()
    check_equal(switch.ctl("queue", "show", "bob")["devices"][0]["queue"], ENTRIES // QUEUES, "bob's queue")


def pairs(world, switch, name):
    """50 pairs of devices at a fixed rate; the process, and where its figures will be."""
    path = os.path.join(world.folder, name + ".json")
    command = [os.path.join(RELEASE, "ternbench"), "pairs", "--admin", switch.admin, "--json", path]
    for option, value in (("pairs", 50), ("window", 1), ("rate", 5000), ("size", 200), ("seconds", PAIRS_S)):
        command += ["--" + option, str(value)]
    return Process(world, "ternbench-" + name, command), path


def sent_p99_us(process, path):
    process.expect_code(0, 120)
    with open(path, encoding="utf-8") as file:
        return json.load(file)["spread"]["latency_us"]["sent"]["p99"][0]


@test(build="release")
def a_device_that_drains_disturbs_no_others(world):
    """Reports how far; what is a gate is that everything arrives."""
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    switch.stop()
    fill(switch, 1, 2, DRAINED)
    switch.restart()
    quiet = sent_p99_us(*pairs(world, switch, "quiet"))
    busy = pairs(world, switch, "busy")
    time.sleep(1)
    began = time.monotonic()
    bob.run("listen", "--count", DRAINED, "--output", world.file("received"), seconds=120)
    took = time.monotonic() - began
    with open(world.file("received"), "rb") as file:
        numbers = [int(line.rstrip(b".")) for line in file.read().splitlines()]
    check_equal(numbers, list(range(1, DRAINED + 1)), "what was drained")
    busy = sent_p99_us(*busy)
    print(
        "# 99 %% of sent ticks of 50 pairs within %d us, within %d us while %d messages drained in %.1f s"
        % (quiet, busy, DRAINED, took)
    )
    del alice


def opens_and_delivers(world, kept_format):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    kept = os.path.join(ROOT, "tests", "vectors", "store-%d" % kept_format)
    switch = world.switch(start=False)
    shutil.copytree(kept, switch.data)
    os.chmod(os.path.join(switch.data, "server.key"), 0o600)
    with open(os.path.join(kept, "store.json"), encoding="utf-8") as file:
        told = json.load(file)
    switch.start()
    for environment in (1, 0):
        line = " store_migrated environment=%d from=%d to=4" % (environment, kept_format)
        check(line in switch.process.err(), "not logged: %s", line)
    who = told["devices"]["bob"]
    uri = wire.Uri("127.0.0.1", switch.port, "bob", who["account"], bytes.fromhex(told["server_key"]), b"")
    bob = wire.Device(uri, wire.KeyPair(bytes.fromhex(who["private"])))
    bob.number = who["device"]
    session = wire.Session(bob)
    session.wait_inbox(told["entries"])
    numbers = [one.fields["number"] for one in bob.inbox]
    check_equal(numbers, list(range(1, 21)) * (told["entries"] // 20), "numbers of the messages")
    check_equal(switch.ctl_raw("store", "check").code(), 0, "exit status of the check")
    session.close()
    switch.stop()
    switch.restart()
    check("store_migrated" not in switch.process.err(), "migrated twice")


@test
def a_store_of_format_1_opens_and_delivers(world):
    opens_and_delivers(world, 1)


@test
def a_store_of_format_2_opens_and_delivers(world):
    opens_and_delivers(world, 2)


@test
def a_store_of_format_3_opens_and_delivers(world):
    opens_and_delivers(world, 3)


class Traffic(threading.Thread):
    """Sends to a device that is away, as fast as ticks come, until told to stop."""

    def __init__(self, sender, recipient):
        super().__init__()
        self.session, self.recipient, self.stopping, self.ticked = wire.Session(sender), recipient, False, 0

    def run(self):
        while not self.stopping:
            number = self.session.send(self.recipient.account, b"x" * 200)
            self.session.wait_tick(self.recipient.account, number, wire.SENT)
            self.ticked = number


def get_all(device, least, seconds=20):
    """What a device that was away gets: the numbers by sender, as far as they come within a moment."""
    session = wire.Session(device)
    session.wait_inbox(least, seconds)
    numbers = collections.defaultdict(list)
    for one in device.inbox:
        numbers[one.fields["sending"]].append(one.fields["number"])
    session.close()
    return numbers


@test
def a_backup_under_load_holds_what_was_ticked_before_it(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(shards=2, spill_ms=1, store_environments=2)
    names = ["sender-%d" % number for number in range(4)] + ["recipient-%d" % number for number in range(4)]
    devices = [wire.Device(switch.account(name)) for name in names]
    sessions = [wire.Session(device, link=True) for device in devices]
    uri = sessions[0].further_device()
    for session in sessions:
        session.close()
    traffic = [Traffic(devices[number], devices[number + 4]) for number in range(4)]
    for one in traffic:
        one.start()
    backups = []
    for number in range(3):
        time.sleep(0.5)
        ticked = [one.ticked for one in traffic]
        folder = os.path.join(world.folder, "backup-%d" % number)
        switch.ctl("store", "backup", folder)
        backups.append((folder, ticked, [one.ticked for one in traffic]))
    for one in traffic:
        one.stopping = True
    for one in traffic:
        one.join(20)
    switch.kill()
    for number, (folder, ticked, after) in enumerate(backups):
        check(all(b > a for a, b in zip([0] * 4, ticked)), "nothing was ticked before backup %d", number)
        restored = world.switch("restored-%d" % number, start=False)
        shutil.copytree(folder, restored.data)
        restored.start()
        check_equal(restored.ctl_raw("store", "check").code(), 0, "check of backup %d" % number)
        total = 0
        for index in range(4):
            device = copy.copy(devices[index + 4])
            device.uri = device.uri._replace(port=restored.port)
            device.seen, device.inbox, device.unconfirmed = {}, [], []
            got = get_all(device, ticked[index])[devices[index].account]
            check_equal(got, list(range(1, len(got) + 1)), "numbers in backup %d" % number)
            total += len(got)
        check(total >= sum(ticked), "%d messages, %d were ticked", total, sum(ticked))
        late = wire.Device(uri._replace(port=restored.port))
        try:
            wire.Session(late, link=True)
            check(False, "a link code of a backup was taken")
        except wire.Ended as ended:
            check("code" in str(ended), "refused with %s", ended)
        restored.stop()
    print("# ticked before, and at the end of, each backup: %s" % [(sum(a), sum(b)) for _, a, b in backups])


main("ternd", "ternctl")
