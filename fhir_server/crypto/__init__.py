"""Pure cryptography: bytes in, bytes out, keys handed in by the caller.

`aead.seal` and `aead.unseal` are authenticated encryption (AES-256-GCM, NIST SP 800-38D).
"""
