"""P1 under power cuts: whatever part of the unsynced blocks a disk kept, the store opens and holds what was ticked.

A switch writes through tests/disk/shim.c, which logs every write and every fsync of its store, while messages are sent to
devices that are away, come back, acknowledge and leave again. Then tests/disk/cuts.c cuts the power at a thousand moments.
"""
import os
import random
import re
import subprocess
import time

import wire
from harness import RELEASE, check, main, skip, test

CUTS = int(os.environ.get("TERN_CUTS", "1000"))
ROUNDS = 60
BURST_MAX = 25
PAYLOAD_BYTES_MAX = 3000


class Ledger:
    """What people saw, and when: see tests/disk/cuts.c."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="ascii")
        self.ticked = self.received = 0

    def write(self, what, key):
        self.file.write("%s %d %d %d %d %d %d\n" % ((what,) + key + (time.monotonic_ns(),)))


class Watched(wire.Session):
    """A session that writes each tick and each message into the ledger, before it acknowledges anything."""

    ledger = None

    def handle(self, one):
        device, fields = self.device, one.fields
        if one.type == wire.RECEIPT and one.flags & wire.SENT:
            for number in range(fields["first"], fields["last"] + 1):
                if not device.ticks[fields["addressed"], number] & wire.SENT:
                    self.ledger.ticked += 1
                    key = (device.account, device.number, fields["addressed"], device.epoch, number)
                    self.ledger.write("sent", key)
        if one.type == wire.MESSAGE:
            self.ledger.received += 1
            key = tuple(fields[name] for name in ("sending", "device", "addressed", "epoch", "number"))
            self.ledger.write("received", key)
        super().handle(one)


def traffic(ledger, devices, chance):
    """One sender who is always there, three recipients who come and go."""
    Watched.ledger = ledger
    sender, *others = devices
    sending = Watched(sender, link=True, seconds=30)
    for other in others:
        Watched(other, link=True).close()
    for _ in range(ROUNDS):
        numbers = []
        for _ in range(chance.randint(1, BURST_MAX)):
            to = chance.choice(others).account
            numbers.append((to, sending.send(to, chance.randbytes(chance.randint(1, PAYLOAD_BYTES_MAX)))))
        sending.pump(lambda: all(sender.ticks[key] & wire.SENT for key in numbers), what="the ticks of a burst")
        if chance.random() < 0.4:
            back = Watched(chance.choice(others), seconds=30)
            waiting = sum(1 for to, _ in sender.ticks if to == back.device.account)
            back.wait_inbox(chance.randint(0, waiting))
            back.close()


@test(build=RELEASE)
def a_thousand_power_cuts(world):
    shim, cuts = os.path.join(RELEASE, "disk_shim.so"), os.path.join(RELEASE, "disk_cuts")
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(build=RELEASE, spill_ms=20, map_bytes="64M", store_environments=2, start=False)
    log, ledger_path = world.file("disk.log"), world.file("ledger")
    environment = {"LD_PRELOAD": shim, "DISK_LOG": log, "DISK_MATCH": "/data.mdb"}
    switch.start(environment=environment)
    ledger = Ledger(ledger_path)
    devices = [wire.Device(switch.account("account%d" % index)) for index in range(4)]
    traffic(ledger, devices, random.Random(1))
    switch.kill()
    ledger.file.close()
    check(ledger.ticked > 300 and ledger.received > 100, "ticked %d, received %d", ledger.ticked, ledger.received)
    run = subprocess.run([cuts, "--log", log, "--ledger", ledger_path, "--data", switch.data, "--work", world.file("work"),
                          "--cuts", str(CUTS)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                         universal_newlines=True)
    print(run.stdout.strip().splitlines()[-1])
    check(run.returncode == 0, "%s", run.stdout[-2000:])
    made, failed, looked, kept, dropped = map(int, re.findall(r"\d+", run.stdout.splitlines()[-1]))
    check(made == CUTS and failed == 0, "%d cuts, %d failed", made, failed)
    check(looked > made and kept > made and dropped > made, "the cuts met too little: %s", run.stdout)


main("ternd", "ternctl")
