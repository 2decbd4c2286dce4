"""P3: ticks are true and only go forward, and every device of the sender learns each one, also one that was
away."""

import json

import wire
from harness import check, check_equal, main, skip, test, until

WAIT = ("--timeout", "20")


def ticks(client):
    """The ticks of what a device sent, oldest first, after it has asked the switch for news."""
    status = json.loads(client.run("status", "--json").out().decode())
    return [one["tick"] for one in sorted(status["sent"], key=lambda one: one["number"])]


@test
def three_ticks_while_both_are_there(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    listening = bob.start("listen", "--count", 2, "--seconds", 20)
    for tick in ("sent", "delivered"):
        alice.run("send", "bob", "for " + tick, "--wait", tick, *WAIT)
    listening.expect_code(0)
    check_equal(listening.out(), b"for sent\nfor delivered\n", "what bob got")
    sending = alice.start("send", "bob", "for read", "--wait", "read", *WAIT)
    check_equal(len(bob.listen(1)), 1, "messages at bob")
    check(sending.running(), "alice took delivered for read: %s", sending.err())
    bob.run("read", "alice")
    sending.expect_code(0)
    check_equal(ticks(alice), ["read"] * 3, "ticks")


@test
def ticks_come_when_the_recipient_comes_back_later(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "are you there?", "--wait", "sent", *WAIT)
    # Delivered does not come while bob is away: waiting for it has to fail.
    waiting = alice.start("send", "bob", "really?", "--wait", "delivered", "--timeout", "2")
    check(waiting.wait() != 0, "delivered while bob was away")
    check(waiting.err().strip(), "no message says why")
    sending = alice.start("send", "bob", "hello?", "--wait", "read", *WAIT)
    until(lambda: switch.stat("messages_spilled") >= 3, 15, "three messages in the queue")
    check(sending.running(), "read while bob was away")
    texts = [one["text"] for one in bob.listen(3)]
    check_equal(texts, ["are you there?", "really?", "hello?"], "what bob got")
    bob.run("read", "alice")
    sending.expect_code(0)


@test
def ticks_wait_for_a_sender_who_was_away(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    for count, text in enumerate(("one", "two"), 1):
        alice.run("send", "bob", text, "--wait", "sent", *WAIT)
        check_equal(ticks(alice), ["sent"] * count, "ticks while bob is away")
    check_equal(len(bob.listen(2)), 2, "messages at bob")
    check_equal(ticks(alice), ["delivered"] * 2, "ticks after bob came while alice was away")
    bob.run("read", "alice")
    switch.kill()  # what waits for alice is on disk
    switch.restart()
    check_equal(ticks(alice), ["read"] * 2, "ticks after bob read while alice was away")


@test
def a_further_device_of_the_sender_learns_each_tick_later(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch()
    other = wire.Device(switch.account("alice"))
    session = wire.Session(other, link=True)
    alice, bob = world.client("alice"), world.linked(switch, "bob")
    alice.run("link", wire.format_uri(session.further_device()))
    session.close()
    alice.run("send", "bob", "hello", "--wait", "sent", *WAIT)
    bob.listen(1)
    bob.run("read", "alice")
    check_equal(ticks(alice), ["read"], "ticks of the device that sent")
    session = wire.Session(other)

    def learnt():
        bits = 0
        for one in session.frames:
            if one.type == wire.RECEIPT:
                bits |= one.flags
        return bits == wire.SENT | wire.DELIVERED | wire.READ

    session.pump(learnt, what="the three ticks at the other device: %s" % session.frames)
    check_equal(other.inbox, [], "copies for a device without keys")


@test
def nothing_stays_in_the_store(world):
    switch = world.switch(spill_ms=50)
    alice, bob = world.linked(switch, "alice", "bob")

    def round_trip():
        for text in ("one", "two", "three"):
            alice.run("send", "bob", text, "--wait", "sent", *WAIT)
        check_equal(len(bob.listen(3)), 3, "messages at bob")
        bob.run("read", "alice")
        check_equal(set(ticks(alice)), {"read"}, "ticks")
        return switch.stat("store_records")

    records = round_trip()  # what stays once for each pair of devices is there
    more = round_trip()
    check_equal(more, records, "records in the store after three more messages")
    for name in ("alice", "bob"):
        queues = [one["queue"] for one in switch.ctl("queue", "show", name)["devices"]]
        check_equal(queues, [0], "what waits for " + name)


main()
