"""Coming back: what a long absence left in the store is served soon after a start, and in order.

The figures of docs/BENCHMARKS.md are of TERN_BACK_ENTRIES=10000000, with TERN_BACK_QUEUES=1000 and 1."""
import json
import os
import re
import shutil
import subprocess
import time

import wire
from harness import RELEASE, ROOT, check, check_equal, main, skip, test

ENTRIES = int(os.environ.get("TERN_BACK_ENTRIES", "100000"))
QUEUES = int(os.environ.get("TERN_BACK_QUEUES", "100"))
MAP_BYTES = "16G"


def fill(switch, sender, recipient, entries, queues=1, payload=200):
    """Puts messages into the queues of a switch that is stopped."""
    command = [os.path.join(RELEASE, "store_fill"), "--data", switch.data]
    for option, value in (
        ("from", sender.account),
        ("to", recipient.account),
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
    fill(switch, alice, bob, ENTRIES, QUEUES)
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


@test
def a_store_of_the_format_before_opens_and_delivers(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    kept = os.path.join(ROOT, "tests", "vectors", "store-1")
    switch = world.switch(start=False)
    shutil.copytree(kept, switch.data)
    os.chmod(os.path.join(switch.data, "server.key"), 0o600)
    with open(os.path.join(kept, "store.json"), encoding="utf-8") as file:
        told = json.load(file)
    switch.start()
    for environment in (1, 0):
        line = " store_migrated environment=%d from=1 to=2" % environment
        check(line in switch.process.err(), "not logged: %s", line)
    who = told["devices"]["bob"]
    uri = wire.Uri("127.0.0.1", switch.port, "bob", who["account"], bytes.fromhex(told["server_key"]), b"")
    bob = wire.Device(uri, wire.KeyPair(bytes.fromhex(who["private"])))
    bob.number = who["device"]
    session = wire.Session(bob)
    session.wait_inbox(told["entries"])
    numbers = [one.fields["number"] for one in bob.inbox]
    check_equal(numbers, list(range(1, told["entries"] + 1)), "numbers of the messages")
    check_equal(switch.ctl_raw("store", "check").code(), 0, "exit status of the check")
    session.close()
    switch.stop()
    switch.restart()
    check("store_migrated" not in switch.process.err(), "migrated twice")


main("ternd", "ternctl")
