"""Messages that name their targets, as docs/PROTOCOL.md, 3.1, has it: each device gets its own part, over shards, queues
and deaths of the switch; who is named must be who is there, and how that differs is told."""
import os
import struct

import wire
from harness import check, check_equal, main, skip, test


def needed():
    if not wire.THERE:
        skip("python3-cryptography is not there")


def publish(session, signed_id=1):
    stock = session.ask(wire.KEYS_STOCK, wire.keys_put_frame(1, wire.keys_bytes(bytes([7] * 32), signed_id)))
    check_equal(wire.REFUSALS[stock["status"]], "none", "status of KEYS_PUT")


def linked(switch, name, devices, without=0):
    """An account with so many devices that have published keys, and so many behind them that have not; with sessions."""
    first = wire.Device(switch.account(name))
    sessions = [wire.Session(first, link=True)]
    for _ in range(devices + without - 1):
        sessions.append(wire.Session(wire.Device(sessions[0].further_device()), link=True))
    for session in sessions[:devices]:
        publish(session)
    return sessions


def address(session):
    return session.device.account, session.device.number


def parts_for(text, *sessions):
    """For each device another payload, in which it is named."""
    return [(address(session), b"%s for %d of %d" % ((text,) + address(session)[::-1])) for session in sessions]


def refusal(session, number):
    """The TARGETS and the REFUSED behind it: whose devices, what is missing, what is gone."""
    refused = session.wait_frame(wire.REFUSED).fields
    check_equal((wire.REFUSALS[refused["reason"]], refused["number"]), ("targets", number), "REFUSED")
    check(0 < refused["retry_ms"] <= 1000, "it may be mended soon: %s", refused)
    told = session.wait_frame(wire.TARGETS).fields
    return told["account"], told["missing"], told["gone"]


def check_message(one, parts, session, sender, to, number):
    fields = one.fields
    check_equal(fields["payload"], dict(parts)[address(session)], "payload of %s" % (address(session),))
    got = [fields[name] for name in "addressed number epoch sending device content_type targets zero".split()]
    device = sender.device
    expected = [to, number, device.epoch, device.account, device.number, 1, 1, 0]
    check_equal(got, expected, "what the switch filled in for %s" % (address(session),))


@test
def each_device_gets_its_part_whatever_shard_it_is_on_and_however_it_gets_it(world):
    needed()
    switch = world.switch(shards=3, store_environments=2)
    accounts = [linked(switch, name, 3) for name in ("alice", "bob", "carol", "dave")]
    for index in range(1, len(accounts)):
        (sender, *others), receivers = accounts[0], accounts[index]
        to = receivers[0].device.account
        receivers[2].close()
        parts = parts_for(os.urandom(8).hex().encode(), *receivers, *others)
        number = sender.send_parts(to, parts)
        for session in receivers[:2] + others:
            session.wait_inbox(1)
            check_message(session.device.inbox.pop(), parts, session, sender, to, number)
        sender.wait_tick(to, number, wire.SENT | wire.DELIVERED)
        switch.kill()
        switch.restart()
        accounts = [[wire.Session(session.device) for session in sessions] for sessions in accounts]
        last = accounts[index][2]
        last.wait_inbox(1)
        check_message(last.device.inbox.pop(), parts, last, sender, to, number)
    for session in [session for sessions in accounts for session in sessions]:
        session.ping(1)
        check_equal(session.device.inbox, [], "messages that nobody sent to %s" % (address(session),))


@test
def what_is_missing_and_what_is_gone_is_told_until_it_fits(world):
    needed()
    switch = world.switch(shards=2)
    alice, laptop, silent = linked(switch, "alice", 2, without=1)
    bobs = linked(switch, "bob", 7, without=1)
    to = bobs[0].device.account
    text = b"hello"
    number = alice.send_parts(to, parts_for(text, bobs[0]))
    check_equal(refusal(alice, number), (alice.device.account, [2], []), "of the sender's own")
    alice.send_parts(to, parts_for(text, *bobs[:1], laptop, silent), number)
    check_equal(refusal(alice, number), (alice.device.account, [], [3]), "one without keys")
    alice.send_parts(to, parts_for(text, bobs[0], bobs[7], laptop), number)
    check_equal(refusal(alice, number), (to, [2, 3, 4, 5], []), "of the recipient's, as many as are told at once")
    later = alice.send_parts(to, parts_for(b"later", *bobs[:7], laptop))
    refused = alice.wait_frame(wire.REFUSED).fields
    check_equal((wire.REFUSALS[refused["reason"]], refused["number"]), ("out_of_order", later), "what is behind it")
    alice.send_parts(to, parts_for(text, *bobs[:5], bobs[7], laptop), number)
    check_equal(refusal(alice, number), (to, [6, 7], [8]), "the rest")
    alice.send_parts(to, parts_for(text, *bobs[:7], laptop), number)
    alice.send_parts(to, parts_for(b"later", *bobs[:7], laptop), later)
    for session in bobs[:7] + [laptop]:
        session.wait_inbox(2)
        got = [(one.fields["number"], one.fields["payload"]) for one in session.device.inbox]
        expected = [(number, parts_for(text, session)[0][1]), (later, parts_for(b"later", session)[0][1])]
        check_equal(got, expected, "messages of %s, in order and once" % (address(session),))
    alice.wait_tick(to, number, wire.SENT | wire.DELIVERED)
    alice.wait_tick(to, later, wire.SENT | wire.DELIVERED)
    for session in (silent, bobs[7]):
        session.ping(1)
        check_equal(session.device.inbox, [], "messages of a device without keys")
    check_equal(switch.stat("refused_targets"), 4, "refused_targets")
    # A repetition after a reconnect is the same message.
    alice.device.unticked[to, later] = (
        b"".join(wire.part(*where, what) for where, what in parts_for(b"later", *bobs[:7], laptop)),
        {"content_type": 1, "targets": 8},
    )
    alice.device.ticks.clear()
    alice.close()
    alice = wire.Session(alice.device)
    bobs[0].pump(lambda: bobs[0].device.repeats, what="the repetition")
    alice.wait_tick(to, later, wire.SENT)
    check_equal((len(bobs[0].device.inbox), bobs[0].device.repeats), (2, 1), "messages and repetitions")


@test
def a_device_that_is_removed_or_joins_is_the_next_messages_affair(world):
    needed()
    switch = world.switch()
    (alice,) = linked(switch, "alice", 1)
    bobs = linked(switch, "bob", 2)
    to = bobs[0].device.account
    bobs[1].auto_ack = False
    number = alice.send_parts(to, parts_for(b"first", *bobs))
    bobs[0].wait_inbox(1)
    bobs[1].wait_inbox(1)
    bobs[0].ask(wire.DEVICE_REMOVED, wire.device_remove_frame(2, 2))
    third = wire.Session(wire.Device(bobs[0].further_device()), link=True)
    publish(third)
    alice.wait_tick(to, number, wire.SENT | wire.DELIVERED)
    number = alice.send_parts(to, parts_for(b"second", *bobs))
    check_equal(refusal(alice, number), (to, [3], [2]), "what has changed")
    alice.send_parts(to, parts_for(b"second", bobs[0], third), number)
    third.wait_inbox(1)
    check_equal(third.device.inbox[0].fields["payload"], b"second for 3 of %d" % to, "what came since it is there")
    # To one's own account: the others. Nobody there: no device, and that is final.
    number = bobs[0].send_parts(to, parts_for(b"note", third))
    third.wait_inbox(2)
    bobs[0].wait_tick(to, number, wire.SENT)
    own = alice.device.account
    number = alice.send_parts(own, [((own, 2), b"nobody")])
    refused = alice.wait_frame(wire.REFUSED).fields
    check_equal((wire.REFUSALS[refused["reason"]], refused["retry_ms"]), ("no_device", 0), "to nobody")


@test
def parts_that_are_none_end_the_session_and_go_to_nobody(world):
    needed()
    switch = world.switch()
    alice, laptop = linked(switch, "alice", 2)
    (bob,) = linked(switch, "bob", 1)
    own, to = alice.device.account, bob.device.account
    good = [wire.part(to, 1, b"x"), wire.part(own, 2, b"y")]
    bad = {
        "doubled": (good[:1] * 2 + good[1:], 3),
        "the own first": (good[::-1], 2),
        "for the sending device": (good[:1] + [wire.part(own, 1, b"z")] + good[1:], 3),
        "of a third account": (good + [wire.part(77, 1, b"z")], 3),
        "more than it says": (good, 1),
        "fewer than it says": (good, 3),
        "cut off": ([b"".join(good)[:-1]], 2),
        "with a flag": ([good[0][:3] + b"\x01" + good[0][4:], good[1]], 2),
        "no message": ([struct.pack("<HBB", 52, wire.PING, 0) + good[0][4:56], good[1]], 2),
        "too many": ([wire.part(to, device, b"") for device in range(1, 65)], 64),
    }
    for what, (parts, count) in bad.items():
        number = alice.send(to, b"".join(parts), targets=count)
        check_equal(alice.wire.wait_end(), "bad_frame", "why parts that are %s end it" % what)
        del alice.device.unticked[to, number]
        alice = wire.Session(alice.device)
    alice.send(to, b"".join(good), targets=2, flags=wire.FIRST)
    bob.wait_inbox(1)
    laptop.wait_inbox(1)
    check_equal([one.fields["payload"] for one in bob.device.inbox], [b"x"], "what bob has")
    check_equal([one.fields["payload"] for one in laptop.device.inbox], [b"y"], "what alice's other device has")


main()
