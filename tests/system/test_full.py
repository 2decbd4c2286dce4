"""P1, P6 and P8 in a store that is full: senders hear it, nothing ticked is lost, who is there goes on, freed
space is used again."""
import time

import wire
from harness import check, check_equal, main, skip, test

PAYLOAD_BYTES = 30000


def answered(session, addressed, number):
    """Sends nothing; waits for the answer to a message: None for its tick, or the fields of REFUSED."""
    device = session.device

    def came():
        return device.ticks[addressed, number] & wire.SENT or any(
            f.type == wire.REFUSED for f in session.frames
        )

    session.pump(came, what="a tick or a refusal of message %d" % number)
    return None if device.ticks[addressed, number] & wire.SENT else session.wait_frame(wire.REFUSED).fields


def fill(session, bob, sent):
    """Sends to bob, who is away, until the switch refuses; what has its tick goes into `sent`."""
    device = session.device
    for _ in range(5000):
        payload = (b"%d " % (device.next_number[bob.account] + 1)).ljust(PAYLOAD_BYTES, b".")
        number = session.send(bob.account, payload)
        refused = answered(session, bob.account, number)
        if refused:
            return refused
        sent.append(number)
    return None


def send_again(session, bob, sent, seconds=5.0):
    """What was refused comes again, after the time that the switch names, until there is room."""
    deadline = time.monotonic() + seconds
    number = max(number for _, number in session.device.unticked)
    while True:
        session.send_again()
        refused = answered(session, bob.account, number)
        if not refused:
            sent.append(number)
            return
        check(time.monotonic() < deadline, "no room came back within %.0f s: %s", seconds, refused)
        time.sleep(refused["retry_ms"] / 1000)


@test
def a_full_store_refuses_and_loses_nothing(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(map_bytes="4M", spill_ms=50)
    devices = {name: wire.Device(switch.account(name)) for name in ("alice", "bob", "carol", "dave")}
    sessions = {name: wire.Session(device, link=True) for name, device in devices.items()}
    alice, bob, carol, dave = devices.values()
    sent = []
    rounds = []
    sessions["bob"].close()
    for _ in range(3):
        before = len(sent)
        refused = fill(sessions["alice"], bob, sent)
        check(refused is not None, "a store of 4 MB took %d messages of %d bytes", len(sent), PAYLOAD_BYTES)
        check_equal(wire.REFUSALS[refused["reason"]], "store_full", "reason")
        check(refused["retry_ms"] > 0, "store_full has to be for now, not for ever")
        rounds.append(len(sent) - before)
        check(switch.stat("refused_store_full") > 0, "not counted")

        # Those online go on.
        for _ in range(5):
            number = sessions["carol"].send(dave.account, b"still here")
            sessions["dave"].wait_inbox(number)
            sessions["carol"].wait_tick(dave.account, number, wire.SENT | wire.DELIVERED)

        # bob drains: everything ticked is there, and what was refused goes through when it comes again.
        sessions["bob"] = wire.Session(bob)
        sessions["bob"].wait_inbox(len(sent))
        check_equal([one.fields["number"] for one in bob.inbox[: len(sent)]], sent, "numbers bob got")
        sessions["bob"].pump(lambda: not bob.unconfirmed, what="CONFIRM of all")
        sessions["bob"].close()
        send_again(sessions["alice"], bob, sent)  # bob is away: it needs the room that his drain freed
    check(min(rounds) > 20, "messages that found room in each round: %s", rounds)
    check(min(rounds) > max(rounds) * 0.7, "freed space was not used again: %s", rounds)
    sessions["bob"] = wire.Session(bob)
    sessions["bob"].wait_inbox(len(sent))
    check_equal([one.fields["number"] for one in bob.inbox], sent, "numbers bob got in the end")
    payloads = {one.fields["number"]: one.fields["payload"] for one in bob.inbox}
    for number, payload in payloads.items():
        check(
            payload.startswith(b"%d " % number) and len(payload) == PAYLOAD_BYTES,
            "message %d is damaged",
            number,
        )


@test
def tern_says_that_the_store_is_full(world):
    switch = world.switch(map_bytes="1M", spill_ms=50)
    alice, bob = world.linked(switch, "alice", "bob")
    lines = b"".join(b"%05d%s\n" % (number, b"." * 8000) for number in range(400))
    with open(world.file("lines", lines), "rb") as file:
        sending = alice.start("send", "bob", "-", "--wait", "sent", "--timeout", "4", stdin=file)
    check(sending.wait(60) != 0, "a store of 1 MB took 3 MB")
    check("full" in sending.err(), "the error does not say that the store is full: %r", sending.err())
    received = world.file("received")
    listening = bob.start("listen", "--output", received)
    alice.run("send", "bob", "the last", "--wait", "delivered", "--timeout", 60, seconds=90)
    listening.stop()
    with open(received, "rb") as file:
        check_equal(file.read(), lines + b"the last\n", "what bob got in the end")


main()
