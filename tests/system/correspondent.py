"""The other end of a channel, from Debian's python3-x3dh, python3-doubleratchet and python3-xeddsa: what
test_e2e.py sets against tools/client/e2e. The formats are those of docs/SECURITY.md; the cipher stands on
python3-cryptography's ChaCha20-Poly1305, the step from there to XChaCha20 is here.
"""
import asyncio
import secrets
import struct

try:
    import doubleratchet
    import x3dh
    import xeddsa
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from doubleratchet.recommended import (
        HashFunction,
        diffie_hellman_ratchet_curve25519,
        kdf_hkdf,
        kdf_separate_hmacs,
    )

    THERE = True
except ImportError as error:
    THERE, LACKING = False, str(error)

INITIAL, ORDINARY = 1, 2
X3DH_BYTES, HEADER_BYTES = 72, 40
SEALED_BYTES_MAX = 64000

# --- the formats --------------------------------------------------------------------------------------------


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha-03, section 2.2."""
    words = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for first, second, third, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[first] = (words[first] + words[second]) & 0xFFFFFFFF
            mixed = words[third] ^ words[first]
            words[third] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            quarter(diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<8I", *(words[:4] + words[12:]))


def xchacha(key, nonce):
    """Cipher and nonce of ChaCha20-Poly1305 for a nonce of 24 bytes."""
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]


def padme(length):
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def padded(text, room):
    length = 256 if len(text) < 256 else padme(len(text) + 1)
    return (text + b"\x80").ljust(min(length, room), b"\0")


def unpadded(text):
    text = text.rstrip(b"\0")
    if text[-1:] != b"\x80":
        raise ValueError("not padded")
    return text[:-1]


def address(account, device):
    return struct.pack("<QH", account, device)


# --- what the packages leave open ----------------------------------------------------------------------------

if THERE:

    class State(x3dh.BaseState):
        @staticmethod
        def _encode_public_key(key_format, pub):
            signed = key_format is x3dh.IdentityKeyFormat.CURVE_25519
            return (b"tern signed pre-key" if signed else b"\x01") + pub

    class RootChain(kdf_hkdf.KDF):
        @staticmethod
        def _get_hash_function():
            return HashFunction.SHA_256

        @staticmethod
        def _get_info():
            return b"tern ratchet"

    class MessageChain(kdf_separate_hmacs.KDF):
        @staticmethod
        def _get_hash_function():
            return HashFunction.SHA_256

    class Cipher(doubleratchet.AEAD):
        @staticmethod
        async def encrypt(plaintext, key, associated_data):
            nonce = secrets.token_bytes(24)
            cipher, inner = xchacha(key, nonce)
            return nonce + cipher.encrypt(inner, plaintext, associated_data)

        @staticmethod
        async def decrypt(ciphertext, key, associated_data):
            cipher, inner = xchacha(key, ciphertext[:24])
            try:
                return cipher.decrypt(inner, ciphertext[24:], associated_data)
            except InvalidTag as error:
                raise doubleratchet.AuthenticationFailedException() from error

    class Ratchet(doubleratchet.DoubleRatchet):
        @staticmethod
        def _build_associated_data(associated_data, header):
            return associated_data + pack_header(header)

    PARAMETERS = {
        "diffie_hellman_ratchet_class": diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet,
        "root_chain_kdf": RootChain,
        "message_chain_kdf": MessageChain,
        "message_chain_constant": b"\x02\x01",  # the next chain key, then the message key
        "dos_protection_threshold": 256,
        "max_num_skipped_message_keys": 256,
        "aead": Cipher,
    }


def pack_header(header):
    return header.ratchet_pub + struct.pack(
        "<II", header.previous_sending_chain_length, header.sending_chain_length
    )


class Correspondent:
    """One device with one channel. `remote`: account, device, identity key."""

    def __init__(self, account, device, one_time=True):
        self.account, self.device = account, device
        self.state = State.create(
            x3dh.IdentityKeyFormat.ED_25519, x3dh.HashFunction.SHA_256, b"tern x3dh"
        )
        if one_time:
            self.state.generate_pre_keys(1)
        self.identity = self.state.bundle.identity_key
        self.remote, self.ratchet, self.header, self.answered = None, None, None, False

    def bundle(self):
        bundle = self.state.bundle
        signed = struct.pack("<I", 1) + bundle.signed_pre_key + bundle.signed_pre_key_sig
        one_time = [struct.pack("<I", 1) + key for key in bundle.pre_keys] or [bytes(36)]
        return bundle.identity_key + signed + one_time[0]

    def initiate(self, bundle):
        if bundle[:32] != self.remote[2]:
            raise ValueError("another identity key than the list's")
        one_time = struct.unpack_from("<I", bundle, 132)[0]
        taken = x3dh.Bundle(
            bundle[:32],
            bundle[36:68],
            bundle[68:132],
            frozenset([bundle[136:168]] if one_time else []),
        )
        appendix = address(self.account, self.device) + address(*self.remote[:2])
        self.secret, self.associated, header = asyncio.run(
            self.state.get_shared_secret_active(taken, appendix, require_pre_key=False)
        )
        self.signed_public = header.signed_pre_key
        self.header = header.identity_key + header.ephemeral_key + struct.pack("<II", 1, one_time)
        self.associated += self.header

    def label(self, sender, label):
        return self.associated + b"\x01" + address(*sender) + struct.pack("<QQQH", *label)

    def seal(self, label, text):
        prefix = bytes([1, ORDINARY]) if self.answered else bytes([1, INITIAL]) + self.header
        text = padded(text, SEALED_BYTES_MAX - len(prefix) - HEADER_BYTES - 24 - 16)
        associated = self.label((self.account, self.device), label)
        if self.ratchet is None:
            self.ratchet, message = asyncio.run(
                Ratchet.encrypt_initial_message(
                    shared_secret=self.secret,
                    recipient_ratchet_pub=self.signed_public,
                    message=text,
                    associated_data=associated,
                    **PARAMETERS
                )
            )
        else:
            message = asyncio.run(self.ratchet.encrypt_message(text, associated))
        return prefix + pack_header(message.header) + message.ciphertext

    def accept(self, header, message, label):
        public = self.state.bundle.pre_keys
        one_time = struct.unpack_from("<I", header, 68)[0]
        named = x3dh.Header(
            header[:32],
            header[32:64],
            self.state.bundle.signed_pre_key,
            next(iter(public)) if one_time else None,
        )
        if named.identity_key != self.remote[2]:
            raise ValueError("another identity key than the list's")
        appendix = address(*self.remote[:2]) + address(self.account, self.device)
        secret, self.associated, signed = asyncio.run(
            self.state.get_shared_secret_passive(named, appendix, require_pre_key=False)
        )
        self.associated += header
        self.ratchet, text = asyncio.run(
            Ratchet.decrypt_initial_message(
                shared_secret=secret,
                own_ratchet_priv=signed.priv,
                message=message,
                associated_data=self.label(self.remote[:2], label),
                **PARAMETERS
            )
        )
        if one_time:
            self.state.delete_pre_key(named.pre_key)
        return text

    def open(self, label, sealed):
        """The text; an exception of the packages where it does not open."""
        at = 2 + (X3DH_BYTES if sealed[1] == INITIAL else 0)
        public = sealed[at : at + 32]
        previous, number = struct.unpack_from("<II", sealed, at + 32)
        message = doubleratchet.EncryptedMessage(
            doubleratchet.Header(public, previous, number), sealed[at + HEADER_BYTES :]
        )
        if self.ratchet is None:
            text = self.accept(sealed[2:at], message, label)
        else:
            text = asyncio.run(
                self.ratchet.decrypt_message(message, self.label(self.remote[:2], label))
            )
        self.answered = True
        return unpadded(text)
