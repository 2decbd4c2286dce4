"""A switch that lies: it stands where the devices think that their switch is, with a key of its own, and passes on to a
real one what they say, as devices of its own. So it reads and may change every frame, as whoever has the switch can."""
import re
import socket
import struct
import threading

import wire
from noise import Cipher, Handshake, KeyPair, hkdf

RECORD_BYTES_MAX = 65000


class Responder(Handshake):
    """The switch's side of IK."""

    def __init__(self, cipher_name, prologue, static):
        super().__init__(wire.IK, cipher_name, prologue, static, static.public)

    def first(self, message):
        self.remote_ephemeral = message[:32]
        self.mix_hash(self.remote_ephemeral)
        self.mix_key(self.static.dh(self.remote_ephemeral))  # es
        self.remote = self.open(message[32:80])
        self.mix_key(self.static.dh(self.remote))  # ss
        return self.open(message[80:])

    def second(self):
        message = self.send_ephemeral()
        self.mix_key(self.ephemeral.dh(self.remote_ephemeral))  # ee
        self.mix_key(self.ephemeral.dh(self.remote))  # se
        return message + self.seal(b"")

    def split(self):
        """The ciphers of what we send and of what we get."""
        opening, sealing = (Cipher(self.cipher_name, key) for key in hkdf(self.chaining_key, b""))
        return sealing, opening


def frames_of(plaintext):
    """The bytes of each frame."""
    while plaintext:
        end = 4 + struct.unpack_from("<H", plaintext)[0]
        yield plaintext[:end]
        plaintext = plaintext[end:]


class Session:
    """A device's connection, and the one to the real switch behind it."""

    def __init__(self, liar, connection):
        self.liar, self.account, self.items, self.added = liar, 0, 0, []
        self.device = wire.Wire.__new__(wire.Wire)
        self.device.socket, self.device.input, self.device.pattern = connection, b"", wire.IK
        self.device.sent_records = self.device.received_records = 0
        self.lock = threading.Lock()

    def greet(self):
        ours = self.device.take(16)
        self.switch = wire.Wire(self.liar.address)
        cipher = 1 if ours[7] & wire.OFFER_AESGCM else 2
        theirs = b"TERN" + struct.pack("<BBBBII", 1, 0, wire.IK, cipher, 0, 0)
        self.device.send(theirs)
        handshake = Responder(wire.CIPHERS[cipher], ours + theirs, self.liar.key)
        handshake.first(self.device.take_message())
        self.device.send_message(handshake.second())
        self.device.sealing, self.device.opening = handshake.split()
        self.switch.hello(ciphers=1 << (cipher - 1))
        self.switch.handshake(self.liar.key_for(handshake.remote), self.liar.switch_key)

    def say(self, end, frames):
        """In records that are short enough."""
        record = b""
        for one in frames:
            if len(record) + len(one) > RECORD_BYTES_MAX:
                end.send_record(record)
                record = b""
            record += one
        if record:
            end.send_record(record)

    def from_device(self):
        plaintext = self.device.opening.open(self.device.take_message())
        passed = []
        for one in frames_of(plaintext):
            if one[2] in (wire.LINK, wire.LOGIN):
                self.account = struct.unpack_from("<Q", one, 8)[0]
            answer = self.liar.answer(self, one) if self.liar.answer else None
            if answer is not None:
                with self.lock:
                    self.say(self.device, answer)
                continue
            if one[2] == wire.ACK:
                count = struct.unpack_from("<Q", one, 8)[0]
                one = one[:8] + struct.pack("<Q", count - sum(1 for at in self.added if at <= count))
            passed.append(one)
        self.say(self.switch, passed)

    def from_switch(self):
        plaintext = self.switch.opening.open(self.switch.take_message())
        told = []
        for one in frames_of(plaintext):
            lies = self.liar.lie(self, one) if self.liar.lie else None
            for index, lie in enumerate([one] if lies is None else lies):
                if lie[2] in (wire.MESSAGE, wire.RECEIPT):
                    self.items += 1
                    if index > 0:
                        self.added.append(self.items)
                told.append(lie)
        with self.lock:
            self.say(self.device, told)

    def run(self, step):
        try:
            while True:
                step()
        except (wire.Ended, wire.WireError, OSError):
            for end in (self.device, self.switch):
                try:
                    end.socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def serve(self):
        try:
            self.greet()
        except (wire.Ended, wire.WireError, OSError):
            self.device.socket.close()
            return
        threading.Thread(target=self.run, args=(self.from_switch,), daemon=True).start()
        self.run(self.from_device)


class Liar:
    """lie(session, frame): what a device is told for a frame of the switch, a list of frames; None: that frame.
    answer(session, frame): what a device is told for a frame that it says, and that the switch never hears of; None: the
    switch does. A session says whose it is: .account."""

    def __init__(self, switch):
        self.address, self.key, self.keys, self.switch_key = ("127.0.0.1", switch.port), KeyPair(), {}, None
        self.lie = self.answer = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def key_for(self, device):
        return self.keys.setdefault(device, KeyPair())

    def uri(self, text):
        """The link URI of the switch, as one of this."""
        self.switch_key = bytes.fromhex(re.search(r"key=([0-9a-f]{64})", text).group(1))
        text = re.sub(r"key=[0-9a-f]{64}", "key=" + self.key.public.hex(), text, count=1)
        return re.sub(r"//[^/]*/", "//127.0.0.1:%d/" % self.listener.getsockname()[1], text, count=1)

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Session(self, connection).serve, daemon=True).start()
