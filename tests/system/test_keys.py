"""The key directory, as docs/PROTOCOL.md has it: what devices publish for each other is handed out, each one-time
pre-key once, also while the switch is killed; lists have versions that rise; devices make and remove devices."""
import os
import random
import threading
import time

import wire
from harness import Failure, check, check_equal, main, skip, test

SEED = int.from_bytes(os.urandom(4), "little")
ONE_TIMES = 100
KILLS = 6
# Where the programs have crash points (core/crash.h), the switch ends at one of these.
POINTS = "before_commit after_commit before_release after_release before_number after_number".split()


def needed():
    if not wire.THERE:
        skip("python3-cryptography is not there")


def linked(switch, name):
    device = wire.Device(switch.account(name))
    return device, wire.Session(device, link=True)


def one_time(number):
    return number, bytes([number & 0xFF, number >> 8]) + bytes(30)


def publish(session, first, last, request=1, signed_id=1):
    keys = wire.keys_bytes(bytes([7] * 32), signed_id)
    question = wire.keys_put_frame(request, keys, [one_time(number) for number in range(first, last + 1)])
    return session.ask(wire.KEYS_STOCK, question)


def status_of(fields):
    return wire.REFUSALS[fields["status"]]


@test
def keys_are_published_handed_out_and_run_low(world):
    needed()
    switch = world.switch(one_time_keys_low=2, one_time_keys_max=5)
    alice, at_alice = linked(switch, "alice")
    bob, at_bob = linked(switch, "bob")
    check_equal(at_bob.stock()["signed_id"], 0, "signed pre-key after the first login")
    check_equal(status_of(at_alice.ask(wire.KEYS, wire.keys_get_frame(1, bob.account))), "no_device", "status")
    check_equal(publish(at_bob, 1, 4)["left"], 4, "one-time pre-keys left")
    for number in (1, 2):
        answer = at_alice.ask(wire.KEYS, wire.keys_get_frame(2, bob.account))
        check_equal((status_of(answer), answer["account"], answer["count"]), ("none", bob.account, 1), "KEYS")
        row = answer["rows"][0]
        check_equal((row.device, row.keys), (1, wire.keys_bytes(bytes([7] * 32), 1)), "bob's keys")
        check_equal((row.one_time_id, row.one_time), one_time(number), "the one-time pre-key")
    check_equal(at_bob.stock()["left"], 2, "what bob is told at two")
    check_equal(status_of(publish(at_bob, 5, 8)), "limit", "status of more than fit")
    check_equal(status_of(publish(at_bob, 5, 5, signed_id=2)), "none", "status of a newer signed pre-key")
    check_equal(status_of(publish(at_bob, 6, 6, signed_id=1)), "stale", "status of the older one")
    again = publish(at_bob, 3, 5, signed_id=2)
    check_equal((again["left"], again["one_time_last"]), (3, 5), "left, and the highest, after a repetition")
    for number in (3, 4, 5, 0, 0):
        answer = at_alice.ask(wire.KEYS, wire.keys_get_frame(3, bob.account, device=1))
        check_equal(answer["rows"][0].one_time_id, number, "id of the one-time pre-key")
    at_bob.close()
    check_equal(wire.Session(bob).stock()["left"], 0, "what bob is told at login")
    check_equal(switch.stat("one_time_keys_given"), 5, "one_time_keys_given")
    check_equal(switch.stat("one_time_keys_lacking"), 2, "one_time_keys_lacking")


@test
def who_asks_too_often_is_refused_and_counted(world):
    needed()
    switch = world.switch(keys_target_max=3, keys_window_s=2)
    alice, at_alice = linked(switch, "alice")
    bob, at_bob = linked(switch, "bob")
    publish(at_bob, 1, 9)
    begin = time.monotonic()
    got = [status_of(at_alice.ask(wire.KEYS, wire.keys_get_frame(1, bob.account))) for _ in range(5)]
    check(time.monotonic() - begin < 1.5, "the machine is too slow for this test")
    check_equal(got, ["none"] * 3 + ["rate"] * 2, "answers")
    check_equal(switch.stat("refused_rate"), 2, "refused_rate")
    time.sleep(2.1)
    answer = at_alice.ask(wire.KEYS, wire.keys_get_frame(1, bob.account))
    check_equal(answer["rows"][0].one_time_id, 4, "the next one-time pre-key")


@test
def a_list_is_kept_in_its_highest_version_and_told(world):
    needed()
    switch = world.switch(device_list_bytes_max=300)
    alice, at_alice = linked(switch, "alice")
    bob, at_bob = linked(switch, "bob")
    other = wire.Device(at_bob.further_device())
    at_other = wire.Session(other, link=True)
    at_other.stock()
    check_equal(at_alice.ask(wire.LIST, wire.list_get_frame(1, bob.account))["version"], 0, "no list")
    stored = at_bob.ask(wire.LIST_STORED, wire.list_put_frame(1, 5, b"five"))
    check_equal((status_of(stored), stored["version"]), ("none", 5), "the first list")
    check_equal(at_other.stock()["list_version"], 5, "what the other device is told")
    check_equal(at_bob.stock()["list_version"], 0, "at its login, and nothing since")
    stored = at_other.ask(wire.LIST_STORED, wire.list_put_frame(2, 5, b"another"))
    check_equal((status_of(stored), stored["version"]), ("stale", 5), "another list of that version")
    stored = at_other.ask(wire.LIST_STORED, wire.list_put_frame(3, 6, bytes(301)))
    check_equal((status_of(stored), stored["version"]), ("too_large", 5), "a list that is too long")
    switch.kill()
    switch.restart()
    at_alice, at_other = wire.Session(alice), wire.Session(other)
    check_equal(at_other.stock()["list_version"], 5, "version after a crash")
    answer = at_alice.ask(wire.LIST, wire.list_get_frame(4, bob.account))
    check_equal((answer["version"], answer["list"]), (5, b"five"), "the list")
    answer = at_alice.ask(wire.LIST, wire.list_get_frame(5, bob.account, known=5))
    check_equal((answer["version"], answer["list"]), (5, b""), "the list that is known")
    publish(at_other, 1, 1)
    answer = at_alice.ask(wire.KEYS, wire.keys_get_frame(6, bob.account))
    check_equal((answer["list_version"], answer["list"]), (5, b"five"), "the list beside the keys")


@test
def a_device_makes_and_removes_others(world):
    needed()
    switch = world.switch()
    alice, at_alice = linked(switch, "alice")
    codes = [at_alice.ask(wire.CODE, wire.code_get_frame(1))["code"] for _ in range(2)]
    second = wire.Device(alice.uri._replace(code=codes[0]))
    at_second = wire.Session(second, link=True)
    check_equal(second.number, 2, "number of the second device")
    publish(at_second, 1, 3)
    last = at_second.ask(wire.CODE, wire.code_get_frame(2))["code"]
    removed = at_alice.ask(wire.DEVICE_REMOVED, wire.device_remove_frame(3, 2))
    check_equal((status_of(removed), removed["device"]), ("none", 2), "the removal")
    check_equal(at_second.wire.wait_end(), "revoked", "why the second device's session ended")
    for code, why in ((last, "a code that the removed device asked for"), (codes[0], "its own")):
        try:
            wire.Session(wire.Device(alice.uri._replace(code=code)), link=True)
            raise Failure("%s links" % why)
        except wire.Ended as ended:
            check_equal(ended.close, "bad_code", why)
    third = wire.Device(alice.uri._replace(code=codes[1]))
    wire.Session(third, link=True)
    check_equal(third.number, 3, "number of the third device")
    for device, status in ((1, "targets"), (2, "none"), (9, "no_device")):
        removed = at_alice.ask(wire.DEVICE_REMOVED, wire.device_remove_frame(4, device))
        check_equal(status_of(removed), status, "status for device %d" % device)
    answer = at_alice.ask(wire.KEYS, wire.keys_get_frame(5, alice.account))
    check_equal(status_of(answer), "no_device", "keys of the own account's other devices")


class Racer:
    """Asks for bob's keys as fast as it can, over all deaths of the switch, until none is left."""

    def __init__(self, device, account):
        self.device, self.account, self.got, self.lost = device, account, [], 0
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def ask(self, session):
        """Three questions at a time, so that some are always in flight. True: none is left."""
        for request in range(1, 4):
            session.wire.send_record(wire.keys_get_frame(request, self.account))
        for _ in range(3):
            self.lost += 1
            answer = session.wait_frame(wire.KEYS).fields
            self.lost -= 1
            check_equal(status_of(answer), "none", "status of KEYS")
            number = answer["rows"][0].one_time_id
            if number == 0:
                return True
            check_equal((number, answer["rows"][0].one_time), one_time(number), "id and key")
            self.got.append(number)
        return False

    def run(self):
        try:
            while True:
                try:
                    session = wire.Session(self.device)
                    while not self.ask(session):
                        time.sleep(0.02)
                    return
                except (OSError, wire.Ended, wire.WireError):
                    time.sleep(0.05)
        except Failure as failure:
            self.error = failure


@test
def of_a_hundred_keys_none_is_handed_out_twice_while_the_switch_is_killed(world):
    needed()
    chance = random.Random(SEED)
    switch = world.switch(shards=2, keys_target_max=100000, keys_account_max=100000)
    devices = [linked(switch, name)[0] for name in ("alice", "carol")]
    bob, at_bob = linked(switch, "bob")
    publish(at_bob, 1, ONE_TIMES)
    racers = [Racer(device, bob.account) for device in devices]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.4))
        switch.kill()
        point = "%s:%d" % (chance.choice(POINTS), chance.randrange(1, 12))
        switch.start(wait=False, environment={"TERN_CRASH": point})
        time.sleep(chance.uniform(0.1, 0.5))
        switch.kill()
        switch.restart()
        again = publish(wire.Session(bob), 1, ONE_TIMES)
        check_equal(again["one_time_last"], ONE_TIMES, "the highest id that was taken")
    for racer in racers:
        racer.thread.join(60)
        check(not racer.thread.is_alive(), "a racer is not done (seed %d)", SEED)
        if racer.error:
            raise racer.error
    got = sorted(number for racer in racers for number in racer.got)
    check_equal(got, sorted(set(got)), "ids, each once (seed %d)" % SEED)
    check(got and set(got) <= set(range(1, ONE_TIMES + 1)), "ids that were never published: %s", got)
    check(all(racer.got for racer in racers), "both get some: %s", [len(racer.got) for racer in racers])
    check_equal(wire.Session(bob).stock()["left"], 0, "left in the end (seed %d)" % SEED)
    result = switch.ctl("store", "check")
    check_equal(result.get("findings", []), [], "what a check finds")


main()
