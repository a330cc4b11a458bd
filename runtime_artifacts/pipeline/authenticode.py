"""Authenticode: that a PE file is as its publisher signed it, and when.

Microsoft's "Windows Authenticode Portable Executable Signature Format" says what is hashed, RFC
5652 how it is signed, RFC 3161 what a time stamp is. Chains end in the roots that are kept in
``runtime_artifacts/trust``.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from dotnet_wasm_host.artifacts.store import ArtifactStore

__all__ = ["Signature", "read_roots", "verify", "verify_store"]

PUBLISHER = "Microsoft Corporation"
#: Microsoft's "PE Format": places in the optional header; directories begin where its magic says.
_CHECKSUM, _DIRECTORIES, _SECURITY = 64, {0x10B: 96, 0x20B: 112}, 4
_CERTIFICATE_HEADER = struct.Struct("<IHH")
_PKCS_SIGNED_DATA = 2
_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
_TIME_STAMP = "1.3.6.1.4.1.311.3.3.1"
_HASHES: Mapping[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_LONGEST_CHAIN = 6


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was found right.

    Attributes:
        signer: common name of the certificate that signed.
        root: of the one that its chain ends in.
        time: when, by a time stamp whose chain ends in such a root as well.
    """

    signer: str
    root: str
    time: datetime


class _DigestInfo(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("algorithm", cms.DigestAlgorithm), ("digest", core.OctetString)]


class _IndirectData(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("data", core.Any), ("message_digest", _DigestInfo)]


def read_roots(folder: Path) -> tuple[x509.Certificate, ...]:
    """The certificates that chains may end in."""
    return tuple(
        x509.load_pem_x509_certificate(path.read_bytes()) for path in sorted(folder.glob("*.pem"))
    )


def verify(content: bytes, roots: Sequence[x509.Certificate], what: str) -> Signature:
    """The signature of a PE file. ArtifactError if it has none, or not a right one."""
    try:
        return _verify(content, roots)
    except Exception as error:
        # Whatever the two libraries make of bytes that nobody signed.
        reason = str(error) or "a signature is not of the certificate's key"
        raise ArtifactError(
            f"{what} should be signed by {PUBLISHER}, and is not: {reason}; do not use the package"
        ) from error


def verify_store(store: ArtifactStore, roots: Sequence[x509.Certificate]) -> dict[str, Signature]:
    """The signatures of all files in a store that Microsoft signs, by name."""
    return {name: verify(store.read(name), roots, name) for name in store.names("roslyn/")}


def _verify(content: bytes, roots: Sequence[x509.Certificate]) -> Signature:
    blob, hashed = _parts(content)
    signed = cms.ContentInfo.load(blob)["content"]
    content_info = signed["encap_content_info"]
    if content_info["content_type"].dotted != _INDIRECT_DATA:
        raise ValueError("what is signed is no Authenticode")
    indirect = content_info["content"].parsed.untag()
    said = _IndirectData.load(indirect.dump())["message_digest"]
    name = said["algorithm"]["algorithm"].native
    if _digest(name, *hashed) != said["digest"].native:
        raise ValueError("the file was changed after it was signed")
    signer = signed["signer_infos"][0]
    certificates = _certificates(signed)
    leaf = _check_signer(signer, certificates, indirect.contents)
    time = _time_stamp(signer, roots)
    root = _check_chain(leaf, certificates, roots, time, ExtendedKeyUsageOID.CODE_SIGNING)
    common_name = _name(leaf)
    if leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value != PUBLISHER:
        raise ValueError(f"the signer is {common_name}")
    return Signature(common_name, _name(root), time)


def _parts(content: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """The signature, and what of the file is hashed."""
    optional = int.from_bytes(content[0x3C:0x40], "little") + 24
    [magic] = struct.unpack_from("<H", content, optional)
    entry = optional + _DIRECTORIES[magic] + 8 * _SECURITY
    start, size = struct.unpack_from("<II", content, entry)
    if not size:
        raise ValueError("the file has no signature")
    if start + size != len(content):
        raise ValueError("something follows the signature")
    length, _, kind = _CERTIFICATE_HEADER.unpack_from(content, start)
    if kind != _PKCS_SIGNED_DATA or not _CERTIFICATE_HEADER.size < length <= size:
        raise ValueError("the signature is of another kind")
    checksum = optional + _CHECKSUM
    hashed = content[:checksum], content[checksum + 4 : entry], content[entry + 8 : start]
    return content[start + _CERTIFICATE_HEADER.size : start + length], hashed


def _digest(name: str, *parts: bytes) -> bytes:
    if name not in _HASHES:
        raise ValueError(f"it is hashed with {name}")
    digest = hashlib.new(name)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _certificates(signed: Any) -> list[x509.Certificate]:  # noqa: ANN401 - asn1crypto has no types
    found = (c.chosen.dump() for c in signed["certificates"] if c.name == "certificate")
    return [x509.load_der_x509_certificate(certificate) for certificate in found]


def _attribute(attributes: Any, name: str) -> Any:  # noqa: ANN401
    for attribute in attributes:
        if name in {attribute["type"].native, attribute["type"].dotted}:
            return attribute["values"][0]
    raise ValueError(f"the signature has no {name}")


def _check_signer(
    signer: Any,  # noqa: ANN401
    certificates: Iterable[x509.Certificate],
    content: bytes,
) -> x509.Certificate:
    """The certificate that signed the content."""
    name = signer["digest_algorithm"]["algorithm"].native
    attributes = signer["signed_attrs"]
    if _attribute(attributes, "message_digest").native != _digest(name, content):
        raise ValueError("what was signed is something else")
    serial = signer["sid"].chosen["serial_number"].native
    [leaf] = [c for c in certificates if c.serial_number == serial]
    # RFC 5652, 5.4: the signature is over the attributes as a SET OF, not under their own tag.
    data = b"\x31" + attributes.dump()[1:]
    _key(leaf).verify(signer["signature"].native, data, padding.PKCS1v15(), _HASHES[name]())
    return leaf


def _key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError(f"the key of {_name(certificate)} is not of RSA")
    return key


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _time_stamp(signer: Any, roots: Sequence[x509.Certificate]) -> datetime:  # noqa: ANN401
    """When the signature was there, as somebody else says."""
    token = cms.ContentInfo.load(_attribute(signer["unsigned_attrs"], _TIME_STAMP).dump())
    signed = token["content"]
    content = bytes(signed["encap_content_info"]["content"])
    info = tsp.TSTInfo.load(content)
    imprint = info["message_imprint"]
    name = imprint["hash_algorithm"]["algorithm"].native
    if imprint["hashed_message"].native != _digest(name, signer["signature"].native):
        raise ValueError("the time stamp is of another signature")
    certificates = _certificates(signed)
    leaf = _check_signer(signed["signer_infos"][0], certificates, content)
    time: datetime = info["gen_time"].native
    _check_chain(leaf, certificates, roots, time, ExtendedKeyUsageOID.TIME_STAMPING)
    return time


def _check_chain(
    leaf: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    time: datetime,
    usage: x509.ObjectIdentifier,
) -> x509.Certificate:
    """The root that a certificate's chain ends in; all of it has to be valid at that time."""
    usages = leaf.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
    if not isinstance(usages, x509.ExtendedKeyUsage) or usage not in usages:
        raise ValueError(f"{_name(leaf)} is not for this")
    current = leaf
    for _ in range(_LONGEST_CHAIN):
        if not current.not_valid_before_utc <= time <= current.not_valid_after_utc:
            raise ValueError(f"{_name(current)} was not valid on {time:%Y-%m-%d}")
        issuers = [c for c in (*roots, *certificates) if c.subject == current.issuer]
        if not issuers:
            break
        issuer = issuers[0]
        current.verify_directly_issued_by(issuer)
        if issuer in roots:
            return issuer
        basic = issuer.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value
        if not isinstance(basic, x509.BasicConstraints) or not basic.ca:
            raise ValueError(f"{_name(issuer)} must not sign certificates")
        current = issuer
    raise ValueError(f"the chain of {_name(leaf)} does not end in a root of Microsoft's")
