"""Noise IK and XX, revision 34, the initiator's side: what wire.py stands on. The ciphers are those of
python3-cryptography."""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

IK, XX, PLAINTEXT = 1, 2, 0


class Cipher:
    """A CipherState: key and nonce."""

    def __init__(self, name, key):
        self.name, self.nonce = name, 0
        self.set_key(key)

    def set_key(self, key):
        self.key = key
        self.aead = AESGCM(key) if self.name == "AESGCM" else ChaCha20Poly1305(key)

    def nonce_bytes(self, nonce):
        return struct.pack(">IQ" if self.name == "AESGCM" else "<IQ", 0, nonce)

    def seal(self, plaintext, associated=b""):
        sealed = self.aead.encrypt(self.nonce_bytes(self.nonce), plaintext, associated)
        self.nonce += 1
        return sealed

    def open(self, sealed, associated=b""):
        plaintext = self.aead.decrypt(self.nonce_bytes(self.nonce), sealed, associated)
        self.nonce += 1
        return plaintext

    def rekey(self):
        self.set_key(self.aead.encrypt(self.nonce_bytes(2**64 - 1), bytes(32), b"")[:32])


def hkdf(chaining_key, material):
    temporary = hmac.digest(chaining_key, material, "sha256")
    first = hmac.digest(temporary, b"\x01", "sha256")
    return first, hmac.digest(temporary, first + b"\x02", "sha256")


class KeyPair:
    def __init__(self, secret=None):
        self.private = X25519PrivateKey.from_private_bytes(secret) if secret else X25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def secret(self):
        return self.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def dh(self, public):
        return self.private.exchange(X25519PublicKey.from_public_bytes(public))


class Handshake:
    """The initiator's side of IK or XX."""

    def __init__(self, pattern, cipher_name, prologue, static, server_public=None, ephemeral=None):
        name = ("Noise_%s_25519_%s_SHA256" % ("IK" if pattern == IK else "XX", cipher_name)).encode()
        self.hash = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()
        self.chaining_key, self.cipher, self.cipher_name = self.hash, None, cipher_name
        self.static, self.ephemeral, self.server_public = static, ephemeral or KeyPair(), server_public
        self.mix_hash(prologue)
        if pattern == IK:
            self.mix_hash(server_public)  # the pre-message

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, material):
        self.chaining_key, key = hkdf(self.chaining_key, material)
        self.cipher = Cipher(self.cipher_name, key)

    def seal(self, plaintext):
        sealed = self.cipher.seal(plaintext, self.hash) if self.cipher else plaintext
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed):
        plaintext = self.cipher.open(sealed, self.hash) if self.cipher else sealed
        self.mix_hash(sealed)
        return plaintext

    def send_ephemeral(self):
        self.mix_hash(self.ephemeral.public)
        return self.ephemeral.public

    def take_ephemeral(self, message):
        self.server_ephemeral = message[:32]
        self.mix_hash(self.server_ephemeral)

    def ik_first(self):
        message = self.send_ephemeral()
        self.mix_key(self.ephemeral.dh(self.server_public))  # es
        message += self.seal(self.static.public)
        self.mix_key(self.static.dh(self.server_public))  # ss
        return message + self.seal(b"")

    def ik_second(self, message):
        self.take_ephemeral(message)
        self.mix_key(self.ephemeral.dh(self.server_ephemeral))  # ee
        self.mix_key(self.static.dh(self.server_ephemeral))  # se
        return self.open(message[32:])

    def xx_first(self):
        return self.send_ephemeral() + self.seal(b"")

    def xx_second(self, message):
        self.take_ephemeral(message)
        self.mix_key(self.ephemeral.dh(self.server_ephemeral))  # ee
        self.server_public = self.open(message[32:80])
        self.mix_key(self.ephemeral.dh(self.server_public))  # es
        return self.open(message[80:])

    def xx_third(self):
        message = self.seal(self.static.public)
        self.mix_key(self.static.dh(self.server_ephemeral))  # se
        return message + self.seal(b"")

    def split(self):
        """The ciphers of what we send and of what we get."""
        return tuple(Cipher(self.cipher_name, key) for key in hkdf(self.chaining_key, b""))
