"""The Noise handshake and transport of python3-dissononce, somebody else's implementation, against a running ternd."""
import wire
from harness import check, check_equal, main, skip, test

try:
    from dissononce.cipher.aesgcm import AESGCMCipher
    from dissononce.cipher.chachapoly import ChaChaPolyCipher
    from dissononce.dh.x25519.private import PrivateKey
    from dissononce.dh.x25519.x25519 import X25519DH
    from dissononce.hash.sha256 import SHA256Hash
    from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
    from dissononce.processing.handshakepatterns.interactive.XX import XXHandshakePattern
    from dissononce.processing.impl.cipherstate import CipherState
    from dissononce.processing.impl.handshakestate import HandshakeState
    from dissononce.processing.impl.symmetricstate import SymmetricState

    THERE = wire.THERE
except ImportError:
    THERE = False


class Transport:
    """A cipher state as wire.py calls it."""

    def __init__(self, state):
        self.state = state

    def seal(self, plaintext):
        return self.state.encrypt_with_ad(b"", plaintext)

    def open(self, sealed):
        return self.state.decrypt_with_ad(b"", sealed)


class OtherWire(wire.Wire):
    """wire.py's connection with dissononce's handshake and ciphers."""

    def handshake(self, static, server_public=None, ephemeral=None):
        cipher = AESGCMCipher() if wire.CIPHERS[self.cipher] == "AESGCM" else ChaChaPolyCipher()
        state = HandshakeState(SymmetricState(CipherState(cipher), SHA256Hash()), X25519DH())
        pattern = IKHandshakePattern() if self.pattern == wire.IK else XXHandshakePattern()
        state.initialize(
            pattern,
            True,
            self.prologue,
            s=X25519DH().generate_keypair(PrivateKey(static.secret())),
            rs=X25519DH().create_public(server_public) if server_public else None,
        )
        states = None
        while states is None:
            message = bytearray()
            states = state.write_message(b"", message)
            self.send_message(bytes(message))
            if states is None:
                states = state.read_message(self.take_message(), bytearray())
        self.server_public = state.rs.data
        self.sealing, self.opening = map(Transport, states)


def linked(switch, name, **more):
    if not THERE:
        skip("python3-dissononce or python3-cryptography is not there")
    wire.Wire = OtherWire  # of this program alone
    device = wire.Device(switch.account(name))
    return device, wire.Session(device, link=True, **more)


@test
def each_pattern_and_cipher_links_and_logs_in(world):
    switch = world.switch()
    for pattern_name, pattern in (("ik", wire.IK), ("xx", wire.XX)):
        for offer in (wire.OFFER_AESGCM, wire.OFFER_CHACHA):
            what = "%s-%d" % (pattern_name, offer)
            device, session = linked(switch, what, pattern=pattern, ciphers=offer)
            check(isinstance(session.wire, OtherWire), "dissononce's handshake is not in use")
            check_equal(session.cipher, offer, what + ": cipher")
            check_equal(session.wire.server_public, device.uri.key, what + ": the switch's key")
            check_equal(session.ping(7), 7, what + ": body of the pong")
            session.close()
            again = wire.Session(device, pattern=pattern, ciphers=offer)
            check_equal(again.ping(8), 8, what + ": body of the pong after a login")
            again.close()
    check_equal(switch.stat("closed_handshake_failed"), 0, "failed handshakes")


@test
def a_message_and_its_ticks_pass(world):
    switch = world.switch()
    alice, at_alice = linked(switch, "alice")
    bob, at_bob = linked(switch, "bob", ciphers=wire.OFFER_CHACHA)
    number = at_alice.send(bob.account, b"good day")
    message = at_bob.wait_inbox(1)[0]
    check_equal(message.fields["payload"], b"good day", "payload")
    at_alice.wait_tick(bob.account, number, wire.SENT | wire.DELIVERED)
    at_bob.read(message)
    at_alice.wait_tick(bob.account, number, wire.READ)


@test
def another_key_than_the_switchs_gets_no_handshake(world):
    switch = world.switch()
    device, session = linked(switch, "carol")
    session.close()
    device.uri = device.uri._replace(key=wire.KeyPair().public)
    try:
        wire.Session(device)
        check(False, "a handshake with another key came to an end")
    except wire.Ended:
        pass
    check_equal(switch.stat("closed_handshake_failed"), 1, "failed handshakes")


main()
