"""Everything as small as it can be set, all at once: a ring of 8 entries and 64 completions, 8 receive buffers of 1 KB, lanes
of 16 slots, windows of one message, 64 messages in memory. Slow it may be; not a byte is lost, doubled or reordered, and
nothing hangs."""
import os
import random
import socket
import time

import wire
from harness import Failure, Process, check, check_equal, main, skip, test, until

TINY = {
    "ring_entries": 8,
    "ring_completions": 64,
    "buffers": 8,
    "buffer_bytes": 1024,
    "lane_slots": 16,
    "window_messages": 1,
    "window_bytes": 65536,
    "messages_max": 64,
    "unticked_max": 8,
    "connections_max": 24,
    "spill_ms": 20,
    "hold_ms": 5,
    "map_bytes": "64M",
    "store_environments": 2,
}
SECONDS = os.environ.get("TERN_TINY_SECONDS", "1")
BURSTS = 12 * int(SECONDS)


def pairs(world, switch, *arguments):
    command = [os.path.join(switch.build, "ternbench"), "pairs", "--admin", switch.admin, "--seconds", SECONDS]
    running = Process(world, "ternbench", command + list(arguments))
    running.expect_code(0, 120)


@test(build="release")
def pairs_of_devices_complete(world):
    switch = world.switch(shards=3, **TINY)
    pairs(world, switch, "--pairs", "10", "--window", "8", "--size", "700")
    pairs(world, switch, "--pairs", "3", "--window", "8", "--size", "9000")
    check_equal(switch.stat("closed_bad_frame") + switch.stat("closed_record_forged"), 0, "closed for cause")


class Everyone:
    """Devices that send to each other, and what each of them should have."""

    def __init__(self, switch, count):
        if not wire.THERE:
            skip("python3-cryptography is not there")
        self.chance = random.Random(count)
        self.devices = [wire.Device(switch.account("a%d" % index)) for index in range(count)]
        self.sessions = [wire.Session(device, link=True, seconds=60) for device in self.devices]
        self.sent = {}  # (from, to): payloads

    def send(self, at, to, size):
        payload = self.chance.randbytes(size)
        self.sessions[at].send(self.devices[to].account, payload)
        self.sent.setdefault((at, to), []).append(payload)

    def turn(self):
        """Whoever has something to read reads it: one process must not wait in the name of one of them."""
        for session in self.sessions:
            if session is None:
                continue
            while session.wire.input or self.readable(session):
                for one in session.wire.take_record():
                    session.handle(one)
            session.ack()

    @staticmethod
    def readable(session):
        session.wire.socket.setblocking(False)
        try:
            return bool(session.wire.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            session.wire.socket.settimeout(60)

    def wait(self, condition, seconds, what):
        def turn():
            self.turn()
            return condition()
        until(turn, seconds, what)

    def is_ticked(self, bits):
        return all(
            device.ticks[key] & bits == bits
            for device in self.devices
            for key in [(to, number) for to, last in device.next_number.items() for number in range(1, last + 1)]
        )

    def check_inboxes(self):
        for index, device in enumerate(self.devices):
            for other, sender in enumerate(self.devices):
                got = [one.fields["payload"] for one in device.inbox if one.fields["sending"] == sender.account]
                check(got == self.sent.get((other, index), []), "%d got something else than what %d sent: %d of %d", index,
                      other, len(got), len(self.sent.get((other, index), [])))


@test(build="release")
def devices_that_come_and_go_get_every_byte(world):
    switch = world.switch(shards=3, **TINY)
    everyone = Everyone(switch, 6)
    for burst in range(BURSTS):
        at = burst % 6
        if everyone.sessions[at] is None:
            everyone.sessions[at] = wire.Session(everyone.devices[at], seconds=60)
        for _ in range(6):  # with no more on its way than the switch reads, or it would wait for us, and we for it
            to = everyone.chance.randrange(6)
            if to != at:
                everyone.send(at, to, everyone.chance.choice((0, 1, 400, 1000, 1024, 5000)))
        everyone.wait(lambda: len(everyone.devices[at].unticked) == 0, 30, "ticks of burst %d" % burst)
        if everyone.chance.random() < 0.4:
            everyone.sessions[at].close()
            everyone.sessions[at] = None
    for index, session in enumerate(everyone.sessions):
        everyone.sessions[index] = session or wire.Session(everyone.devices[index], seconds=60)
    everyone.wait(lambda: everyone.is_ticked(wire.SENT | wire.DELIVERED), 30, "every delivered tick")
    everyone.check_inboxes()


def try_session(device, link):
    """A session, or None where the switch has no place for it."""
    try:
        return wire.Session(device, link=link, seconds=2)
    except (OSError, wire.WireError):
        return None


def full(world, switch, least):
    """Devices come until no more can; those inside go on; when one leaves, another gets its place."""
    everyone = Everyone(switch, 2)
    inside = []
    until(lambda: not come(switch, inside), 60, "the switch to be full", 0)
    check(len(inside) >= least, "only %d devices found a place", len(inside))
    for _ in range(20):
        everyone.send(0, 1, 500)
        everyone.send(1, 0, 500)
    everyone.wait(lambda: everyone.is_ticked(wire.SENT | wire.DELIVERED), 20, "ticks though the switch is full")
    everyone.check_inboxes()
    for session in inside:
        session.close()
    late = wire.Device(switch.account("late"))
    session = until(lambda: try_session(late, True), 10, "a place when others have left")
    number = session.send(everyone.devices[0].account, b"late")
    everyone.wait(lambda: any(one.fields["payload"] == b"late" for one in everyone.devices[0].inbox), 10, "a late message")
    session.wait_tick(everyone.devices[0].account, number, wire.SENT | wire.DELIVERED)


def come(switch, inside):
    session = try_session(wire.Device(switch.account("b%d" % len(inside))), True)
    if session:
        inside.append(session)
    return session


@test(build="release")
def a_full_table_of_connections_refuses_the_next(world):
    switch = world.switch(**dict(TINY, connections_max=6))
    full(world, switch, 3)
    told = {name: value for name, value in switch.stats().items() if value and name.startswith(("closed_", "conn"))}
    check(told.get("closed_connection_limit"), "nobody was told: %s", told)


@test(build="release")
def a_full_descriptor_table_harms_only_who_comes(world):
    """Before they are settled, connections take descriptors; here there are hardly any."""
    switch = None
    for limit in (48, 64, 80):  # the least that a start needs differs between kernels
        switch = world.switch("switch%d" % limit, start=False,
                              command_prefix=["prlimit", "--nofile=%d:%d" % (limit, limit)], **TINY)
        try:
            switch.start()
            break
        except Failure:
            world.switches.remove(switch)
    check(switch.process.running(), "it does not start with 80 descriptors: %s", switch.process.err())
    hold = [socket.create_connection(("127.0.0.1", switch.port)) for _ in range(100)]
    time.sleep(0.2)
    for one in hold:
        one.close()
    full(world, switch, 3)


main("ternd", "ternctl", "ternbench")
