"""A disk that fails: those online go on, what can't be made safe is refused with the reason and never ticked, what was
ticked is there afterwards. The faults are made by tests/disk/shim.c under the store of a real switch."""
import errno
import os
import shutil
import time

import wire
from harness import RELEASE, Failure, check, check_equal, main, skip, test

FAULT_BYTES = 64


class Disk:
    """Calls of the switch on its store fail as long as a fault is set."""

    def __init__(self, world):
        self.path = world.file("fault", bytes(FAULT_BYTES))
        shim = os.path.join(RELEASE, "disk_shim.so")
        self.environment = {"LD_PRELOAD": shim, "DISK_FAULT": self.path, "DISK_MATCH": "/data.mdb"}

    def set(self, text):
        with open(self.path, "r+b") as file:
            file.write(text.encode().ljust(FAULT_BYTES, b"\0"))


class Scene:
    """alice is there, bob is away; carol and dave are both there."""

    def __init__(self, world, disk=None, **settings):
        if not wire.THERE:
            skip("python3-cryptography is not there")
        self.disk, self.environment = disk, disk and disk.environment
        self.switch = world.switch(spill_ms=50, map_bytes="64M", start=False, **settings)
        self.switch.start(environment=self.environment)
        self.devices = {name: wire.Device(self.switch.account(name)) for name in ("alice", "bob", "carol", "dave")}
        self.sessions = {name: wire.Session(device, link=True) for name, device in self.devices.items()}
        self.alice, self.bob, self.carol, self.dave = self.devices.values()
        self.sessions["bob"].close()
        self.switch.wait_stat("closed_peer_closed", 1)

    def send(self, count=1):
        """alice to bob: the numbers of what she sent."""
        return [self.sessions["alice"].send(self.bob.account, b"message") for _ in range(count)]

    def wait_ticked(self, numbers, account=None):
        for number in numbers:
            self.sessions["alice"].wait_tick(account or self.bob.account, number, wire.SENT)

    def stores(self):
        return self.switch.ctl("status")["stores"]

    def account_elsewhere(self, environment):
        """A device that is away, whose queue is in another environment; it has one message with a tick."""
        for number in range(20):
            device = wire.Device(self.switch.account("away%d" % number))
            wire.Session(device, link=True).close()
            self.switch.wait_stat("closed_peer_closed", 2 + number)
            before = self.stores()[environment]["records"]
            self.wait_ticked([self.sessions["alice"].send(device.account, b"elsewhere")], device.account)
            if self.stores()[environment]["records"] == before:
                return device
        raise Failure("every account is in environment %d" % environment)

    def wait_refused(self, reason, number):
        fields = self.sessions["alice"].wait_frame(wire.REFUSED).fields
        check_equal((wire.REFUSALS[fields["reason"]], fields["number"]), (reason, number), "refusal")
        check(fields["retry_ms"] > 0, "a failing disk is no reason to give a message up")
        check(self.alice.ticks[self.bob.account, number] == 0, "what was refused has ticks")

    def resend_until_ticked(self, number):
        """As a device does that was told to wait."""
        session, ticks = self.sessions["alice"], self.alice.ticks
        deadline = time.monotonic() + 10
        while not ticks[self.bob.account, number] and time.monotonic() < deadline:
            session.frames.clear()
            session.send_again()
            session.pump(lambda: ticks[self.bob.account, number] or session.frames, what="a tick or a refusal")
            time.sleep(0.1)
        check(ticks[self.bob.account, number] & wire.SENT, "there is room, but message %d is refused", number)

    def check_those_online(self):
        for _ in range(5):
            number = self.sessions["carol"].send(self.dave.account, b"still here")
            self.sessions["dave"].wait_inbox(number)
            self.sessions["carol"].wait_tick(self.dave.account, number, wire.SENT | wire.DELIVERED)

    def check_bob_gets(self, numbers):
        session = wire.Session(self.bob)
        session.wait_inbox(len(numbers))
        check_equal([one.fields["number"] for one in self.bob.inbox], numbers, "numbers bob got")
        session.close()

    def restart(self):
        self.switch.kill()
        self.switch.start(environment=self.environment)
        self.sessions["alice"] = wire.Session(self.alice)


@test(build=RELEASE)
def a_full_disk_refuses_until_there_is_room(world):
    scene = Scene(world, Disk(world), build=RELEASE)
    before = scene.send(20)
    scene.wait_ticked(before)
    scene.disk.set("write %d" % errno.ENOSPC)
    (refused,) = scene.send()
    scene.wait_refused("store_full", refused)
    scene.check_those_online()
    scene.disk.set("")
    scene.resend_until_ticked(refused)
    scene.check_bob_gets(before + [refused])


def closes_the_store(world, fault):
    """A write or fsync that fails: the store takes no more, whatever the disk says later, until it was opened anew."""
    scene = Scene(world, Disk(world), build=RELEASE)
    before = scene.send(20)
    scene.wait_ticked(before)
    scene.disk.set(fault)
    (refused,) = scene.send()
    scene.wait_refused("store_failed", refused)
    scene.check_those_online()
    scene.disk.set("")
    scene.sessions["alice"].send_again()
    scene.wait_refused("store_failed", refused)
    scene.check_those_online()
    store = scene.switch.ctl("status")["stores"][0]
    check(store["closed"] and store["error"], "status does not say that the store is closed: %s", store)
    scene.restart()
    scene.wait_ticked([refused])
    scene.check_bob_gets(before + [refused])


@test(build=RELEASE)
def a_write_that_fails_closes_the_store(world):
    closes_the_store(world, "write %d" % errno.EIO)


@test(build=RELEASE)
def a_fsync_that_fails_closes_the_store(world):
    closes_the_store(world, "sync %d" % errno.EIO)


@test(build=RELEASE)
def a_disk_that_became_read_only_closes_the_store(world):
    closes_the_store(world, "write %d" % errno.EROFS)


def misses_its_pages(world, build=None):
    """The disk does not give the pages of an environment any more: the file is cut short under its map, which makes
    reading it SIGBUS."""
    scene = Scene(world, build=build, store_environments=2)
    records = [store["records"] for store in scene.stores()]
    before = scene.send(20)
    scene.wait_ticked(before)
    (bad,) = [store["environment"] for store in scene.stores() if store["records"] != records[store["environment"]]]
    other = scene.account_elsewhere(bad)
    path = os.path.join(scene.switch.data, "env-%d" % bad, "data.mdb")
    shutil.copyfile(path, path + ".kept")
    os.truncate(path, 0)

    (refused,) = scene.send()
    scene.wait_refused("store_failed", refused)
    scene.check_those_online()
    store, good = scene.stores()[bad], scene.stores()[1 - bad]
    check_equal((store["closed"], store["error"]), (True, "read failed: Input/output error"), "the bad environment")
    check_equal((good["closed"], good["error"]), (False, ""), "the good environment")
    check("store_closed environment=%d what=read" % bad in scene.switch.process.err(), "not logged")
    check_equal(wire.Session(scene.bob).wire.wait_end(), "store_failed", "how a drain of it ends")
    check_equal(len(scene.bob.inbox), 0, "messages made of missing pages")
    scene.wait_ticked([scene.sessions["alice"].send(other.account, b"still taken")], other.account)
    check_equal(os.path.getsize(path), 0, "bytes written to the bad environment")

    scene.switch.kill()
    os.replace(path + ".kept", path)
    scene.restart()
    scene.wait_ticked([refused])
    scene.check_bob_gets(before + [refused])
    session = wire.Session(other)
    session.wait_inbox(2)
    session.close()


@test(build=RELEASE)
def a_missing_page_closes_its_environment_and_no_other(world):
    misses_its_pages(world, RELEASE)


@test
def a_missing_page_is_no_crash_to_the_sanitizers(world):
    misses_its_pages(world)


main("ternd", "ternctl")
