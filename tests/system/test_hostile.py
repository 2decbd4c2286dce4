"""P9: whatever a peer does, it closes its own connection only, with its own counted reason; a well-behaved
pair that talks all the while notices nothing."""
import os
import socket
import struct
import threading
import time

import wire
from harness import check, check_equal, main, skip, test, until


class Pair:
    """Two devices that talk all the time, each message awaited with its ticks; `check` fails if anything went
    wrong."""

    def __init__(self, switch):
        self.alice, self.bob = (wire.Device(switch.account(name)) for name in ("good-alice", "good-bob"))
        self.at_alice, self.at_bob = wire.Session(self.alice, link=True), wire.Session(self.bob, link=True)
        self.stop, self.error, self.count, self.slowest_s = threading.Event(), None, 0, 0.0
        self.thread = threading.Thread(target=self.talk, daemon=True)
        self.thread.start()

    def talk(self):
        try:
            while not self.stop.is_set():
                start = time.monotonic()
                number = self.at_alice.send(self.bob.account, b"%d" % (self.count + 1))
                self.at_bob.wait_inbox(self.count + 1)
                self.at_alice.wait_tick(self.bob.account, number, wire.SENT | wire.DELIVERED)
                self.count += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - start)
                time.sleep(0.005)
        except (wire.WireError, wire.Ended, OSError) as error:
            self.error = repr(error)

    def check(self):
        """Still talking, in order, and nobody was kept waiting."""
        count = self.count
        until(lambda: self.error or self.count > count + 2, 10, "the good pair to go on")
        self.stop.set()
        self.thread.join()
        check(self.error is None, "the good pair was disturbed: %s", self.error)
        check_equal(
            [one.fields["payload"] for one in self.bob.inbox],
            [b"%d" % (n + 1) for n in range(self.count)],
            "order",
        )
        check(self.slowest_s < 3, "a message of the good pair took %.1f s", self.slowest_s)


class Counted:
    """with Counted(switch, "reason", 2): exactly so many connections more were closed for that reason, none
    for another."""

    def __init__(self, switch, reason, count=1, **also):
        self.switch, self.expected = switch, dict({"closed_" + reason: count}, **also)

    def closed(self):
        stats = self.switch.stats()
        return {
            name: stats[name] - self.before[name]
            for name in stats
            if name.startswith("closed_") and stats[name] != self.before[name]
        }

    def __enter__(self):
        self.before = self.switch.stats()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            until(
                lambda: self.closed() == self.expected,
                5,
                lambda: "closed %s; it is %s" % (self.expected, self.closed()),
                0.1,
            )


def address(switch):
    return "127.0.0.1", switch.port


def opened(switch, device, **more):
    """A connection of a device after the handshake, before its first record."""
    connection = wire.Wire(address(switch))
    connection.hello(**more)
    connection.handshake(device.key, device.uri.key)
    return connection


def refused_at_login(switch, device, first):
    connection = opened(switch, device)
    connection.send_record(first)
    return connection.wait_end()


def needed(world, **more):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(shards=2, **more)
    return switch, Pair(switch)


@test
def what_is_no_tern_is_closed_as_such(world):
    switch, pair = needed(world)
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(4096), bytes(16), b"tern" + bytes(12)):
        with Counted(switch, "not_tern"):
            connection = wire.Wire(address(switch))
            connection.send(garbage)
            check_equal(connection.socket.recv(100), b"", "the answer to %r" % garbage[:8])
            connection.close()
    pair.check()


@test
def hellos_without_common_ground_are_refused(world):
    switch, pair = needed(world)
    for reason, status, hello in (
        ("wrong_version", 1, dict(lowest=2, highest=9)),
        ("wrong_version", 1, dict(lowest=0, highest=0)),
        ("no_cipher", 2, dict(ciphers=0)),
        ("no_cipher", 3, dict(pattern=9)),
        ("no_cipher", 4, dict(pattern=0, ciphers=0)),
    ):
        with Counted(switch, reason):
            connection = wire.Wire(address(switch))
            check_equal(connection.hello(**hello)[0], status, "status of the hello for %s" % hello)
            connection.wait_end()
            connection.close()
    # A version range that includes ours is fine.
    connection = wire.Wire(address(switch))
    check_equal(connection.hello(lowest=1, highest=200)[:2], (0, 1), "status and version")
    connection.close()
    pair.check()


@test
def what_ends_in_the_middle_is_truncated(world):
    switch, pair = needed(world)
    device = wire.Device(switch.account("x"))
    for bytes_of_hello in (1, 15):
        with Counted(switch, "truncated"):
            connection = wire.Wire(address(switch))
            connection.send((b"TERN\1\1\1\3" + bytes(8))[:bytes_of_hello])
            connection.close()
    for bytes_of_handshake in (1, 2, 50):
        with Counted(switch, "truncated"):
            connection = wire.Wire(address(switch))
            connection.hello()
            connection.send((struct.pack("<H", 96) + os.urandom(96))[:bytes_of_handshake])
            connection.socket.shutdown(socket.SHUT_WR)
            connection.close()
    with Counted(switch, "truncated"):
        connection = opened(switch, device)
        connection.send(connection.seal(wire.link_frame(device.account, device.epoch, device.uri.code))[:30])
        connection.close()
    pair.check()


@test
def handshakes_that_do_not_authenticate_fail(world):
    switch, pair = needed(world)
    device = wire.Device(switch.account("x"))
    for pattern, length in ((wire.IK, 96), (wire.IK, 17), (wire.XX, 0)):
        with Counted(switch, "handshake_failed"):
            connection = wire.Wire(address(switch))
            connection.hello(pattern=pattern)
            connection.send_message(os.urandom(length))
            connection.wait_end()
            connection.close()
    with Counted(switch, "handshake_failed"):
        # An attacker in the middle changed the hello: the prologue differs.
        connection = wire.Wire(address(switch))
        connection.hello()
        connection.prologue = connection.prologue[:7] + b"\2" + connection.prologue[8:]
        try:
            connection.handshake(device.key, device.uri.key)
            check(False, "the handshake went through with another prologue")
        except wire.Ended:
            connection.close()
    with Counted(switch, "handshake_failed"):
        connection = wire.Wire(address(switch))
        connection.hello()
        try:
            connection.handshake(device.key, wire.KeyPair().public)  # another switch's key
            check(False, "the handshake went through with the key of another switch")
        except wire.Ended:
            connection.close()
    pair.check()


@test
def the_slow_are_timed_out(world):
    switch, pair = needed(world, handshake_ms=700)
    device = wire.Device(switch.account("x"))
    silent = wire.Wire(address(switch))
    half = wire.Wire(address(switch))
    half.hello()
    no_login = opened(switch, device)
    drip = wire.Wire(address(switch))
    with Counted(switch, "handshake_timeout", 4):
        start = time.monotonic()
        try:
            for byte in b"TERN\1\1\1\3" + bytes(7):
                drip.send(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        for connection in (silent, half, no_login):
            connection.wait_end()
            connection.close()
        check(time.monotonic() - start < 5, "they were kept for %.1f s", time.monotonic() - start)
    drip.close()
    pair.check()


@test
def a_socket_that_is_not_read_takes_in_no_more_than_its_limit(world):
    """The kernel would keep up to tcp_rmem's most of it, for each such session."""
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(socket_bytes=32768, session_frames_per_s=1, address_exempt="none")
    session = wire.Session(wire.Device(switch.account("flood")), link=True)
    connection = session.wire.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    connection.setblocking(False)
    pings = session.wire.seal(wire.ping_frame(1) * 1000)
    sent, full = 0, 0
    while full < 5:  # what is on its way arrives
        try:
            sent += connection.send(pings)
        except BlockingIOError:
            full += 1
            time.sleep(0.2)
        check(sent < 1 << 20, "%d bytes were taken of a session that is not read", sent)
    check(switch.stat("slowed_session_frames") > 0, "the session was not slowed")
    session.close()


@test
def unknown_and_wrong_devices_are_turned_away(world):
    switch, pair = needed(world)
    victim = wire.Device(switch.account("victim"))
    at_victim = wire.Session(victim, link=True)
    stranger = wire.Device(victim.uri)
    for account, device in ((victim.account, victim.number), (victim.account, 77), (1 << 50, 1)):
        with Counted(switch, "unknown_device"):
            check_equal(
                refused_at_login(switch, stranger, wire.login_frame(account, device, 5)),
                "unknown_device",
                "reason for account %d device %d" % (account, device),
            )
    fresh = wire.Device(switch.account("fresh"))
    for code in (os.urandom(16), victim.uri.code):
        with Counted(switch, "bad_code"):
            check_equal(
                refused_at_login(switch, fresh, wire.link_frame(fresh.account, 5, code)), "bad_code", "reason"
            )
    check_equal(at_victim.ping(3), 3, "the victim's session")
    pair.check()


@test
def records_that_are_forged_or_malformed_close_their_connection(world):
    switch, pair = needed(world)
    device = wire.Device(switch.account("x"))
    wire.Session(device, link=True).close()
    time.sleep(0.1)

    def login():
        return wire.Session(device)

    session = login()
    forged = bytearray(session.wire.seal(wire.ping_frame(1)))
    forged[10] ^= 1
    with Counted(switch, "record_forged"):
        session.wire.send(bytes(forged))
        session.wire.wait_end()
    session = login()
    with Counted(switch, "record_forged"):
        again = session.wire.seal(wire.ping_frame(1))
        session.wire.send(again + again)  # a replayed record
        session.wire.wait_end()
    malformed = {
        "a frame that spans records": wire.ping_frame(1)[:-1],
        "half a header": b"\1\0",
        "a reserved field": wire.frame(wire.ACK, struct.pack("<IQ", 1, 0)),
        "a reserved flag": wire.frame(wire.PING, bytes(12), flags=64),
        "a frame too short": wire.frame(wire.MESSAGE, bytes(20)),
        "a second login": wire.login_frame(device.account, device.number, device.epoch),
        "a frame of the switch": wire.frame(wire.RECEIPT, bytes(52)),
        "a message that says who sends it": wire.frame(
            wire.MESSAGE, struct.pack("<IQQQQQHHHH", 0, 1, 1, 1, 1, 1, 1, 0, 0, 0)
        ),
    }
    for what, frame in malformed.items():
        session = login()
        with Counted(switch, "bad_frame"):
            session.wire.send_record(frame)
            session.wire.socket.settimeout(3)
            try:
                check_equal(session.wire.wait_end(), "bad_frame", "reason for " + what)
            except wire.WireError as error:
                check(False, "%s: %s", what, error)
        session.close()
    with Counted(switch, "bad_frame"):
        connection = opened(switch, device)
        connection.send_record(wire.ping_frame(1))  # not a login
        connection.wait_end()
    session = login()
    with Counted(switch, "ack_beyond"):
        session.wire.send_record(wire.ack_frame(1))
        check_equal(session.wire.wait_end(), "ack_beyond", "reason")
    pair.check()


@test
def records_too_large_close_their_connection(world):
    switch, pair = needed(world, payload_bytes_max=20000)
    device = wire.Device(switch.account("x"))
    for length in (257, 65535):
        with Counted(switch, "record_too_large"):
            connection = opened(switch, device)
            connection.send(struct.pack("<H", length))
            connection.wait_end()
            connection.close()
    session = wire.Session(device, link=True)
    largest = 20000 + 56
    ping = wire.ping_frame(1)
    filler = wire.frame(200, bytes(largest - len(ping) - 4))
    session.wire.send_record(filler, ping)
    check_equal(session.wait_frame(wire.PONG).fields["value"], 1, "the pong behind the largest record")
    with Counted(switch, "record_too_large"):
        session.wire.send(struct.pack("<H", largest + 16 + 1))
        check_equal(session.wire.wait_end(), "record_too_large", "reason")
    pair.check()


@test
def revoked_suspended_and_kicked_devices_hear_why(world):
    switch, pair = needed(world)
    device = wire.Device(switch.account("eve"))
    session = wire.Session(device, link=True)
    with Counted(switch, "kicked"):
        switch.ctl("connection", "kick", "eve")
        check_equal(session.wire.wait_end(), "kicked", "reason")
    session = wire.Session(device)
    with Counted(switch, "suspended"):
        switch.ctl("account", "suspend", "eve")
        check_equal(session.wire.wait_end(), "suspended", "reason")
    login = wire.login_frame(device.account, device.number, device.epoch)
    with Counted(switch, "suspended"):
        check_equal(refused_at_login(switch, device, login), "suspended", "reason at login")
    switch.ctl("account", "resume", "eve")
    session = wire.Session(device)
    with Counted(switch, "revoked"):
        switch.ctl("device", "revoke", "eve", device.number)
        check_equal(session.wire.wait_end(), "revoked", "reason")
    with Counted(switch, "revoked"):
        check_equal(refused_at_login(switch, device, login), "revoked", "reason at login")
    pair.check()


@test
def dead_peers_are_closed_as_idle(world):
    switch, pair = needed(world, ping_s=1, idle_s=2)
    pair.check()  # it says something all the while
    pair.at_alice.close()
    pair.at_bob.close()
    device = wire.Device(switch.account("x"))
    session = wire.Session(device, link=True)
    check_equal(session.welcome["ping_s"], 1, "seconds of silence in WELCOME")
    with Counted(switch, "idle"):
        check(session.wire.wait_end() in ("idle", None), "reason")
    check(switch.stat("pings") >= 1, "no ping was sent")


def proxied(header, switch):
    connection = wire.Wire(address(switch))
    connection.send(header)
    return connection


PROXY_MAGIC = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_header(source="192.0.2.7", destination="192.0.2.1", command=0x21, family=0x11):
    addresses = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(">HH", 40000, 7440)
    return PROXY_MAGIC + struct.pack(">BBH", command, family, len(addresses)) + addresses


@test
def proxy_headers_have_to_be_right(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(proxy_protocol=1)
    for what, header in (
        ("none", b"TERN\1\1\1\3" + bytes(8)),
        ("a wrong version", proxy_header(command=0x11)),
        ("a wrong command", proxy_header(command=0x2F)),
        ("version 1", b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n"),
        ("an endless one", PROXY_MAGIC + struct.pack(">BBH", 0x21, 0x11, 65535) + bytes(4096)),
    ):
        with Counted(switch, "bad_proxy_header"):
            connection = proxied(header, switch)
            check_equal(connection.socket.recv(10), b"", "the answer to " + what)
            connection.close()
    device = wire.Device(switch.account("x"))
    connection = proxied(proxy_header(), switch)
    check_equal(connection.hello()[0], 0, "status behind a right header")
    connection.handshake(device.key, device.uri.key)
    connection.send_record(wire.link_frame(device.account, device.epoch, device.uri.code))
    check_equal(connection.take_record()[0].type, wire.WELCOME, "the answer behind a right header")
    check(
        "192.0.2.7" in str(switch.ctl("connection", "list")),
        "the list does not show the address the proxy saw",
    )


@test
def an_address_has_a_limit_of_connections(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(listen=("127.0.0.1:0", "[::1]:0"), address_connections_max=6, address_exempt="none")
    pair = Pair(switch)  # two of the six
    port6 = int(switch.addresses[1].rpartition(":")[2])
    kept = []
    for target, room in ((address(switch), 4), (("::1", port6), 6)):
        for _ in range(room):
            connection = wire.Wire(target)
            check_equal(connection.hello()[0], 0, "status below the limit at %s" % target[0])
            kept.append(connection)
        with Counted(switch, "address_limit"):
            connection = wire.Wire(target)
            try:
                status = connection.hello()[0]
                check_equal(status, 6, "status beyond the limit")
            except (wire.Ended, ConnectionError):
                pass
            connection.close()
    for connection in kept:
        connection.close()
    until(lambda: switch.stat("connections") == 2, 10, "the connections to be gone")
    connection = wire.Wire(address(switch))
    check_equal(connection.hello()[0], 0, "status after the others left")
    connection.close()
    pair.check()


@test
def an_address_has_a_limit_of_handshakes(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(address_handshakes_max=8, address_exempt="none")
    pair = Pair(switch)
    refused = 0
    for _ in range(12):
        connection = wire.Wire(address(switch))
        try:
            refused += connection.hello()[0] == 10
        except (wire.Ended, ConnectionError):
            refused += 1
        connection.close()
    check(4 <= refused <= 8, "%d of 12 were refused", refused)
    check(
        switch.stat("closed_address_rate") == refused, "counted as %d", switch.stat("closed_address_rate")
    )
    pair.check()


@test
def ipv6_works_and_a_stalled_reader_hurts_itself_only(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(listen=("127.0.0.1:0", "[::1]:0"), window_messages=64)
    port6 = int(switch.addresses[1].rpartition(":")[2])
    pair = Pair(switch)
    stalled, flood = wire.Device(switch.account("stalled")), wire.Device(switch.account("flood"))
    at_stalled = wire.Session(stalled, link=True, address=("::1", port6))  # and reads nothing from now on
    at_flood = wire.Session(flood, link=True, address=("::1", port6))
    payload = bytes(16000)
    for _ in range(400):
        number = at_flood.send(stalled.account, payload)
    at_flood.wait_tick(stalled.account, number, wire.SENT, 30)
    check(not flood.ticks[stalled.account, number] & wire.DELIVERED, "delivered to a reader that stalls")
    at_stalled.wait_inbox(400, 30)
    at_flood.wait_tick(stalled.account, number, wire.DELIVERED, 30)
    pair.check()


main()
