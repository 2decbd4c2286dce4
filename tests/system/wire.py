"""An independent tern client, written from docs/PROTOCOL.md alone: it shares no code with tern's own.

What it can't do, the page does not say well enough. The ciphers are those of python3-cryptography; Noise
itself is here.
"""
import collections
import os
import re
import socket
import struct
import time

try:
    from cryptography.exceptions import InvalidTag
    from noise import IK, PLAINTEXT, XX, Handshake, KeyPair

    THERE = True
except ImportError:
    THERE = False
    IK, XX, PLAINTEXT = 1, 2, 0

OFFER_AESGCM, OFFER_CHACHA = 1, 2
CIPHERS = {1: "AESGCM", 2: "ChaChaPoly"}
REKEY_RECORDS = 1048576

(
    LINK,
    LOGIN,
    WELCOME,
    MESSAGE,
    RECEIPT,
    ACK,
    MARK,
    CONFIRM,
    REFUSED,
    PING,
    PONG,
    LOOKUP,
    ACCOUNT,
    BLOCK,
    BLOCKED,
    RECONNECT,
    CLOSE,
    KEYS_PUT,
    KEYS_STOCK,
    KEYS_GET,
    KEYS,
    LIST_PUT,
    LIST_STORED,
    LIST_GET,
    LIST,
    CODE_GET,
    CODE,
    DEVICE_REMOVE,
    DEVICE_REMOVED,
    TARGETS,
) = range(1, 31)
FIRST = 1
SENT, DELIVERED, READ, FAILED = 1, 2, 4, 8
REFUSALS = dict(
    enumerate(
        "none no_account no_device blocked suspended too_large store_full store_failed out_of_order "
        "targets limit draining queue_full queue_bytes unticked stale rate".split()
    )
)
CLOSINGS = dict(
    enumerate(
        "none peer_closed peer_reset not_tern wrong_version no_cipher handshake_failed "
        "handshake_timeout record_too_large record_forged bad_frame unknown_device revoked suspended "
        "bad_code replaced kicked draining idle overload address_limit bad_proxy_header store_failed "
        "truncated move_failed ack_beyond connection_limit pending_limit address_rate address_pending "
        "login_rate device_limit".split()
    )
)


class WireError(Exception):
    """The switch did not do what the page says."""


class Ended(Exception):
    """The switch ended the connection; .close is its CLOSE frame or None."""

    def __init__(self, close=None):
        super().__init__("ended: %s" % (close,))
        self.close = close


# --- frames -------------------------------------------------------------------------------------------------

Frame = collections.namedtuple("Frame", "type flags body fields")
# Offsets are from the start of the 4-byte header; struct formats begin after it.
LAYOUTS = {
    WELCOME: ("<HBBQQIII", "device name_bytes zero account clock_ms payload_max unticked_max ping_s"),
    MESSAGE: (
        "<IQQQQQHHHH",
        "ttl_s addressed number epoch sending accepted_ms device content_type targets zero",
    ),
    RECEIPT: ("<HHQQQQQQ", "device zero addressed epoch first last time_ms sending"),
    ACK: ("<IQ", "zero count"),
    REFUSED: ("<HHQQI", "reason zero addressed number retry_ms"),
    PING: ("<IQ", "zero value"),
    ACCOUNT: ("<IQHBB", "request account status name_bytes zero"),
    BLOCKED: ("<HBBQ", "status block zero account"),
    RECONNECT: ("<IHH", "after_ms reason zero"),
    CLOSE: ("<IHH", "zero reason zero2"),
    KEYS_STOCK: ("<IHHIIIQ", "request status left signed_id one_time_last zero list_version"),
    KEYS: ("<IQHHIQ", "request account status count zero list_version"),
    LIST: ("<IQQHHI", "request account version status zero zero2"),
    CODE: ("<IHHI16s", "request status zero ttl_s code"),
    DEVICE_REMOVED: ("<IHH", "request device status"),
    TARGETS: ("<HHQ8s", "missing gone account devices"),
}
LAYOUTS[LIST_STORED] = LAYOUTS[LIST]
LAYOUTS[MARK] = LAYOUTS[CONFIRM] = LAYOUTS[RECEIPT]
LAYOUTS[PONG] = LAYOUTS[PING]


def frame(kind, body, flags=0):
    return struct.pack("<HBB", len(body), kind, flags) + body


def link_frame(account, epoch, code):
    return frame(LINK, struct.pack("<HHQQ", 0, 0, account, epoch) + code)


def login_frame(account, device, epoch):
    return frame(LOGIN, struct.pack("<HHQQ", device, 0, account, epoch) + bytes(16))


def message_frame(addressed, number, payload, flags=0, ttl_s=0, content_type=0, targets=0):
    return frame(
        MESSAGE,
        struct.pack("<IQQQQQHHHH", ttl_s, addressed, number, 0, 0, 0, 0, content_type, targets, 0) + payload,
        flags,
    )


def part(account, device, payload):
    """A part for a device, of a message's payload."""
    return frame(MESSAGE, struct.pack("<IQQQQQHHHH", 0, 0, 0, 0, account, 0, device, 0, 0, 0) + payload)


def ack_frame(count):
    return frame(ACK, struct.pack("<IQ", 0, count))


def mark_frame(bit, sending, device, epoch, addressed, first, last):
    return frame(MARK, struct.pack("<HHQQQQQQ", device, 0, addressed, epoch, first, last, 0, sending), bit)


def ping_frame(value):
    return frame(PING, struct.pack("<IQ", 0, value))


def lookup_frame(request, account=0, name=b""):
    return frame(LOOKUP, struct.pack("<IQHBB", request, account, 0, len(name), 0) + name)


def block_frame(account, block=True):
    return frame(BLOCK, struct.pack("<HBBQ", 0, 1 if block else 0, 0, account))


# A device's keys as the switch sees them: 132 bytes, of which it reads one number.
KeyRow = collections.namedtuple("KeyRow", "device keys one_time_id one_time")


def keys_bytes(identity, signed_id, signed=bytes(32), signature=bytes(64)):
    return identity + struct.pack("<I", signed_id) + signed + signature


def keys_put_frame(request, keys, one_time=()):
    """one_time: (id, key) of each one-time pre-key, ids rising."""
    return frame(
        KEYS_PUT,
        struct.pack("<IHH", request, len(one_time), 0)
        + keys
        + b"".join(struct.pack("<I", number) + key for number, key in one_time),
    )


def keys_get_frame(request, account, device=0):
    return frame(KEYS_GET, struct.pack("<IQHHI", request, account, device, 0, 0))


def list_put_frame(request, version, data):
    return frame(LIST_PUT, struct.pack("<IQQQ", request, 0, version, 0) + data)


def list_get_frame(request, account, known=0):
    return frame(LIST_GET, struct.pack("<IQQQ", request, account, known, 0))


def code_get_frame(request):
    return frame(CODE_GET, struct.pack("<I", request))


def device_remove_frame(request, device):
    return frame(DEVICE_REMOVE, struct.pack("<IHH", request, device, 0))


def parse_keys(count, rest):
    """The rows of KEYS, and the list behind them."""
    rows = []
    for at in range(0, 176 * count, 176):
        device, one, two, three = struct.unpack_from("<HHHH", rest, at)
        if one or two or three:
            raise WireError("KEYS: reserved bytes of a row")
        one_time_id = struct.unpack_from("<I", rest, at + 140)[0]
        rows.append(KeyRow(device, rest[at + 8 : at + 140], one_time_id, rest[at + 144 : at + 176]))
    return rows, rest[176 * count :]


def parse_targets(fields):
    """What is missing and what is gone, as lists of device numbers."""
    devices = struct.unpack("<4H", fields["devices"])
    missing, gone = fields["missing"], fields["gone"]
    if not 1 <= missing + gone <= 4 or 0 in devices[: missing + gone] or any(devices[missing + gone :]):
        raise WireError("TARGETS: %s" % (fields,))
    return {"missing": list(devices[:missing]), "gone": list(devices[missing : missing + gone])}


def parse(plaintext):
    """The frames of a record's plaintext."""
    frames, at = [], 0
    while at < len(plaintext):
        if at + 4 > len(plaintext):
            raise WireError("a frame header spans records")
        length, kind, flags = struct.unpack_from("<HBB", plaintext, at)
        body = plaintext[at + 4 : at + 4 + length]
        if len(body) != length:
            raise WireError("a frame spans records")
        at += 4 + length
        if kind not in LAYOUTS:
            continue
        form, names = LAYOUTS[kind]
        fields = dict(zip(names.split(), struct.unpack_from(form, body)))
        rest = body[struct.calcsize(form) :]
        if kind == MESSAGE:
            fields["payload"] = rest
        elif kind == KEYS:
            fields["rows"], fields["list"] = parse_keys(fields["count"], rest)
        elif kind in (LIST, LIST_STORED):
            fields["list"] = rest
        elif kind == TARGETS:
            fields.update(parse_targets(fields))
        elif kind in (WELCOME, ACCOUNT):
            fields["name"] = rest[: fields["name_bytes"]].decode()
        frames.append(Frame(kind, flags, body, fields))
    return frames


# --- a connection -------------------------------------------------------------------------------------------

Uri = collections.namedtuple("Uri", "host port name account key code")


def parse_uri(text):
    match = re.fullmatch(
        r"tern://(\[[0-9a-f:.]+\]|[^/:]+):(\d+)/([a-z0-9][a-z0-9._-]{0,62})"
        r"\?account=(\d+)&key=([0-9a-f]{64})&code=([0-9a-f]{32})",
        text,
    )
    if not match:
        raise WireError("no link URI: %r" % text)
    host, port, name, account, key, code = match.groups()
    return Uri(host.strip("[]"), int(port), name, int(account), bytes.fromhex(key), bytes.fromhex(code))


def format_uri(uri):
    host = "[%s]" % uri.host if ":" in uri.host else uri.host
    values = host, uri.port, uri.name, uri.account, uri.key.hex(), uri.code.hex()
    return "tern://%s:%d/%s?account=%d&key=%s&code=%s" % values


class Wire:
    """A connection up to records: what it sends is up to the caller, well-behaved or not."""

    def __init__(self, address, seconds=15.0):
        self.socket = socket.create_connection(address, timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input, self.sent_records, self.received_records = b"", 0, 0
        self.sealing = self.opening = None
        self.server_public = None

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def take(self, count):
        """Exactly `count` bytes."""
        while len(self.input) < count:
            try:
                data = self.socket.recv(262144)
            except ConnectionResetError:
                data = b""
            except socket.timeout:
                raise WireError("the switch neither answers nor ends the connection") from None
            if not data:
                raise Ended()
            self.input += data
        taken, self.input = self.input[:count], self.input[count:]
        return taken

    def hello(
        self, pattern=IK, ciphers=OFFER_AESGCM | OFFER_CHACHA, lowest=1, highest=1, features=0, reserved=0
    ):
        """Sends the hello; the switch's answer as (status, version, cipher)."""
        self.pattern = pattern
        ours = b"TERN" + struct.pack("<BBBBII", lowest, highest, pattern, ciphers, features, reserved)
        self.send(ours)
        theirs = self.take(16)
        magic, version, status, their_pattern, cipher, their_features, zero = struct.unpack(
            "<4sBBBBII", theirs
        )
        if magic != b"TERN" or zero != 0 or their_features & ~features:
            raise WireError("switch hello %s" % theirs.hex())
        if status == 0 and their_pattern != pattern:
            raise WireError("asked for pattern %d, got %d" % (pattern, their_pattern))
        self.prologue, self.cipher = ours + theirs, cipher
        return status, version, cipher

    def take_message(self):
        return self.take(struct.unpack("<H", self.take(2))[0])

    def send_message(self, data):
        self.send(struct.pack("<H", len(data)) + data)

    def handshake(self, static, server_public=None, ephemeral=None):
        handshake = Handshake(
            self.pattern, CIPHERS[self.cipher], self.prologue, static, server_public, ephemeral
        )
        if self.pattern == IK:
            self.send_message(handshake.ik_first())
            handshake.ik_second(self.take_message())
        else:
            self.send_message(handshake.xx_first())
            handshake.xx_second(self.take_message())
            self.send_message(handshake.xx_third())
        self.server_public = handshake.server_public
        self.sealing, self.opening = handshake.split()

    def seal(self, plaintext):
        """A record, with its length."""
        if self.pattern == PLAINTEXT:
            return struct.pack("<H", len(plaintext)) + plaintext
        sealed = self.sealing.seal(plaintext)
        self.sent_records += 1
        if self.sent_records % REKEY_RECORDS == 0:
            self.sealing.rekey()
        return struct.pack("<H", len(sealed)) + sealed

    def send_record(self, *frames):
        self.send(self.seal(b"".join(frames)))

    def take_record(self):
        record = self.take_message()
        if self.pattern == PLAINTEXT:
            return parse(record)
        try:
            plaintext = self.opening.open(record)
        except InvalidTag:
            raise WireError("record %d does not open" % self.received_records) from None
        self.received_records += 1
        if self.received_records % REKEY_RECORDS == 0:
            self.opening.rekey()
        return parse(plaintext)

    def wait_end(self):
        """Reads until the switch ends the connection; the reason of its CLOSE frame as a name, or None."""
        reason = None
        try:
            while True:
                for one in self.take_record() if self.sealing else [self.take(1)]:
                    if self.sealing and one.type == CLOSE:
                        reason = CLOSINGS[one.fields["reason"]]
        except Ended:
            return reason


class Device:
    """What a device keeps over its sessions: its key, its number, its epoch, what it has seen and what it
    sends.

    Kept in memory: good enough for a test that does not kill itself.
    """

    def __init__(self, uri, key=None):
        self.uri, self.key = parse_uri(uri) if isinstance(uri, str) else uri, key or KeyPair()
        self.account, self.number = self.uri.account, None
        self.epoch = int.from_bytes(os.urandom(8), "little") | 1
        self.next_number = collections.Counter()
        self.unticked = collections.OrderedDict()  # (addressed, number): payload and the rest
        self.ticks = collections.defaultdict(int)  # (addressed, number): bits
        self.refused = set()  # accounts to which the next message is the first after a final refusal
        self.seen = {}  # (sending, device, epoch, addressed): highest number
        self.unconfirmed = []  # (bit, sending, device, epoch, addressed, number)
        self.inbox = []  # messages, without repetitions
        self.repeats = 0


class Session:
    """A well-behaved session of a Device."""

    def __init__(
        self,
        device,
        pattern=IK,
        ciphers=OFFER_AESGCM | OFFER_CHACHA,
        link=False,
        address=None,
        seconds=15.0,
        auto_ack=True,
    ):
        self.device, self.auto_ack, self.seconds = device, auto_ack, seconds
        self.items = self.acked = 0
        self.frames = []  # what is neither message, receipt, ping nor confirmation
        self.wire = Wire(address or (device.uri.host, device.uri.port), seconds)
        status, version, self.cipher = self.wire.hello(pattern, ciphers)
        if status != 0 or version != 1:
            raise WireError("hello refused: status %d, version %d" % (status, version))
        self.wire.handshake(device.key, device.uri.key if pattern == IK else None)
        if link:
            self.wire.send_record(link_frame(device.account, device.epoch, device.uri.code))
        else:
            self.wire.send_record(login_frame(device.account, device.number, device.epoch))
        first, *rest = self.wire.take_record()
        if first.type == CLOSE:
            raise Ended(CLOSINGS[first.fields["reason"]])
        if first.type != WELCOME:
            raise WireError("a %d instead of WELCOME" % first.type)
        self.welcome = first.fields
        device.number = self.welcome["device"]
        for mark in device.unconfirmed:
            self.wire.send_record(mark_frame(*mark, mark[-1]))
        self.send_again()
        for one in rest:
            self.handle(one)

    def close(self):
        self.wire.close()

    def send(self, addressed, payload, flags=0, **more):
        """Sends a new message; its number."""
        device = self.device
        device.next_number[addressed] += 1
        number = device.next_number[addressed]
        device.unticked[addressed, number] = payload, more
        if addressed in device.refused:
            device.refused.discard(addressed)
            flags |= FIRST
        self.wire.send_record(message_frame(addressed, number, payload, flags, **more))
        return number

    def send_parts(self, addressed, parts, number=None):
        """Sends a message to devices: ((account, number), payload) of each. number: of one that was refused."""
        more = {"content_type": 1, "targets": len(parts)}
        payload = b"".join(part(account, device, text) for (account, device), text in parts)
        if number is None:
            return self.send(addressed, payload, **more)
        self.device.unticked[addressed, number] = payload, more
        self.wire.send_record(message_frame(addressed, number, payload, FIRST, **more))
        return number

    def give_up(self, addressed, number):
        """After a final refusal: the message failed, and the next one to that account says that we know."""
        del self.device.unticked[addressed, number]
        self.device.refused.add(addressed)

    def send_again(self):
        """Everything without a sent tick, in order, per account; the first one of each says so."""
        begun = set()
        for (addressed, number), (payload, more) in sorted(self.device.unticked.items()):
            flags = 0 if addressed in begun else FIRST
            self.wire.send_record(message_frame(addressed, number, payload, flags, **more))
            begun.add(addressed)

    def ack(self):
        if self.items > self.acked:
            self.acked = self.items
            self.wire.send_record(ack_frame(self.items))

    def read(self, message):
        """Marks a received message as read."""
        fields = message.fields
        mark = (
            READ,
            fields["sending"],
            fields["device"],
            fields["epoch"],
            fields["addressed"],
            fields["number"],
        )
        self.device.unconfirmed.append(mark)
        self.wire.send_record(mark_frame(*mark, mark[-1]))

    def handle(self, one):
        fields = one.fields
        if one.type == MESSAGE:
            self.items += 1
            self.take_in(one)
        elif one.type == RECEIPT:
            self.items += 1
            if fields["epoch"] == self.device.epoch and fields["device"] == self.device.number:
                for number in range(fields["first"], fields["last"] + 1):
                    self.device.ticks[fields["addressed"], number] |= one.flags
                    if one.flags & SENT:
                        self.device.unticked.pop((fields["addressed"], number), None)
            else:
                self.frames.append(one)
        elif one.type == CONFIRM:
            key = (one.flags, fields["sending"], fields["device"], fields["epoch"], fields["addressed"])
            self.device.unconfirmed = [
                mark
                for mark in self.device.unconfirmed
                if mark[0] & ~one.flags
                or mark[1:5] != key[1:]
                or not fields["first"] <= mark[5] <= fields["last"]
            ]
        elif one.type == PING:
            self.wire.send_record(frame(PONG, one.body))
        elif one.type == CLOSE:
            raise Ended(CLOSINGS[fields["reason"]])
        else:
            self.frames.append(one)

    def take_in(self, one):
        fields = one.fields
        key = (fields["sending"], fields["device"], fields["epoch"], fields["addressed"])
        if fields["number"] <= self.device.seen.get(key, 0):
            self.device.repeats += 1
            return
        self.device.seen[key] = fields["number"]
        self.device.inbox.append(one)
        if fields["addressed"] == self.device.account:
            self.device.unconfirmed.append((DELIVERED,) + key + (fields["number"],))

    def pump(self, done, seconds=None, what="a frame"):
        """Takes records until done() is true."""
        deadline = time.monotonic() + (seconds or self.seconds)
        while True:
            value = done()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise WireError("waited in vain for " + what)
            self.wire.socket.settimeout(left)
            try:
                frames = self.wire.take_record()
            except WireError as error:
                raise WireError("waited in vain for %s: %s" % (what, error)) from None
            for one in frames:
                self.handle(one)
            if self.auto_ack:
                self.ack()

    def wait_tick(self, addressed, number, bits, seconds=None):
        self.pump(
            lambda: self.device.ticks[addressed, number] & bits == bits,
            seconds,
            "bits %d of message %d; it has %d" % (bits, number, self.device.ticks[addressed, number]),
        )

    def wait_inbox(self, count, seconds=None):
        self.pump(lambda: len(self.device.inbox) >= count, seconds, "%d messages" % count)
        return self.device.inbox

    def wait_frame(self, kind, seconds=None):
        """The next frame of a kind that handle() leaves alone."""

        def found():
            for index, one in enumerate(self.frames):
                if one.type == kind:
                    return [self.frames.pop(index)]
            return None

        return self.pump(found, seconds, "a frame of type %d" % kind)[0]

    def ping(self, value):
        self.wire.send_record(ping_frame(value))
        return self.wait_frame(PONG).fields["value"]

    def lookup(self, name="", account=0, request=7):
        self.wire.send_record(lookup_frame(request, account, name.encode()))
        answer = self.wait_frame(ACCOUNT)
        if answer.fields["request"] != request:
            raise WireError("the answer to another request")
        return answer.fields

    def block(self, account, block=True):
        self.wire.send_record(block_frame(account, block))
        return self.wait_frame(BLOCKED).fields

    def ask(self, kind, question):
        """Sends a question of the key directory; the fields of its answer, by its request number."""
        request = struct.unpack_from("<I", question, 4)[0]
        self.wire.send_record(question)
        while True:
            answer = self.wait_frame(kind)
            if answer.fields["request"] == request:
                return answer.fields
            if answer.fields["request"]:
                raise WireError("the answer to another request")

    def further_device(self, request=9):
        """The link URI of a further device of the account."""
        answer = self.ask(CODE, code_get_frame(request))
        if answer["status"]:
            raise WireError("no code: %s" % REFUSALS[answer["status"]])
        return self.device.uri._replace(code=answer["code"])

    def stock(self):
        """The fields of the last KEYS_STOCK that came unasked, after all that was said before a ping."""
        self.ping(1)
        stocks = [one for one in self.frames if one.type == KEYS_STOCK]
        self.frames = [one for one in self.frames if one.type != KEYS_STOCK]
        return stocks[-1].fields if stocks else None
