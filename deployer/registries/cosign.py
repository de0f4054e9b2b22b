"""Signatures in cosign's formats, proved with public keys: what is signed has to name the image's digest.

They lie beside the image: under the tag `sha256-<digest>.sig` (cosign's first format), or as referrers of the
image (OCI distribution specification, "Listing Referrers", with its fallback tag), then also as a bundle of
sigstore with a DSSE envelope, which cosign 3 writes. The transparency log is not asked: the key is what is
trusted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from deployer.errors import NotFoundError, PermanentError
from deployer.model.evidence import Unproved
from deployer.model.image import Image, is_digest
from deployer.registries.conversation import Conversation
from deployer.registries.manifests import ACCEPT, INDEXES
from deployer.rollouts.ports import Credentials

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"  # the annotation of a layer
KIND = "cosign container image signature"
BUNDLE = "application/vnd.dev.sigstore.bundle"
STATEMENT, SIGNED = "application/vnd.in-toto+json", "https://sigstore.dev/cosign/sign/v1"
MOST = 20  # signatures of an image that are looked at


@dataclass(frozen=True)
class _Signed:
    """A text that names the image's digest, and a signature of it."""

    text: bytes
    signature: bytes


def unproved(
    image: Image, credentials: Credentials | None, keys: Mapping[str, str], names: tuple[str, ...]
) -> Unproved | None:
    """Return why no signature of an image is proved by one of some keys; None if one is.

    Args:
        image: with its digest.
        credentials: for its registry.
        keys: public keys by name: the path of a PEM file, or the base64 text of one.
        names: of the keys of which one is enough.

    Raises:
        TemporaryError: the registry cannot tell now.
        AccessDeniedError, PermanentError: it refuses, or is none.
    """
    trusted = []
    for name in names:
        if name not in keys:
            known = ", ".join(sorted(keys)) or "none"
            return Unproved(
                f"there is no cosign key {name!r} (DEPLOYER_COSIGN_KEYS has {known})", for_good=True
            )
        trusted.append(_key(name, keys[name]))
    question = f"the signatures of {image.repository}@{image.digest}"
    with Conversation(image, credentials, question, f"signature of {image.repository}") as registry:
        found = list(islice(_signatures(registry, image.digest or ""), MOST))
    if any(_proves(key, one) for one in found for key in trusted):
        return None
    which = f"cosign key {' or '.join(names)}"
    if not found:
        return Unproved(f"its registry has no signature of it ({which} has to sign it)")
    return Unproved(f"none of its {len(found)} signatures is of {which}")


def _key(name: str, text: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        if text.startswith("/"):
            return load_pem_public_key(Path(text).read_bytes())
        return load_der_public_key(base64.b64decode(text, validate=True))
    except OSError as fault:
        raise PermanentError(
            f"cosign key {name} cannot be read: {fault.strerror} (DEPLOYER_COSIGN_KEYS)"
        ) from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise PermanentError(f"cosign key {name} is no public key in PEM (DEPLOYER_COSIGN_KEYS)") from fault


def _proves(key: Any, signed: _Signed) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signed.signature, signed.text, ec.ECDSA(SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signed.signature, signed.text, padding.PKCS1v15(), SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signed.signature, signed.text)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _signatures(registry: Conversation, digest: str) -> Iterator[_Signed]:
    """Yield all signatures beside an image whose text names its digest."""
    for manifest in _attached(registry, digest):
        layers = manifest.get("layers")
        for layer in layers if isinstance(layers, list) else ():
            if isinstance(layer, dict) and (signed := _of_layer(registry, layer, digest)):
                yield signed


def _attached(registry: Conversation, digest: str) -> Iterator[Mapping[str, Any]]:
    """Yield the manifests of what is attached to an image."""
    hexadecimal = digest.removeprefix("sha256:")
    if body := _ask(registry, f"manifests/sha256-{hexadecimal}.sig", ACCEPT):
        yield registry.json(body)
    listed = _ask(registry, f"referrers/{digest}", INDEXES[0]) or _ask(
        registry, f"manifests/sha256-{hexadecimal}", INDEXES[0]
    )
    children = registry.json(listed).get("manifests") if listed else None
    for child in (
        islice((c for c in children if _is_signature(c)), MOST) if isinstance(children, list) else ()
    ):
        body = _ask(registry, f"manifests/{child['digest']}", ACCEPT)
        if body and _digest_of(body) == child["digest"]:
            yield registry.json(body)


def _is_signature(child: object) -> bool:
    if not isinstance(child, dict) or not is_digest(str(child.get("digest"))):
        return False
    kind = child.get("artifactType")  # older registries leave it out
    return kind is None or str(kind).startswith((BUNDLE, "application/vnd.dev.cosign"))


def _ask(registry: Conversation, path: str, accept: str) -> bytes | None:
    try:
        return registry.ask(path, accept).body
    except NotFoundError:
        return None
    except PermanentError:  # registries without referrers have many words for that
        if path.startswith("referrers/"):
            return None
        raise


def _of_layer(registry: Conversation, layer: Mapping[str, Any], digest: str) -> _Signed | None:
    media, reference = str(layer.get("mediaType")), str(layer.get("digest"))
    if not is_digest(reference) or not (media == PAYLOAD or media.startswith(BUNDLE)):
        return None
    content = registry.blob(reference)
    if content is None or _digest_of(content) != reference:
        return None
    try:
        if media == PAYLOAD:
            annotations = layer.get("annotations") or {}
            return _simple(content, base64.b64decode(annotations[SIGNATURE], validate=True), digest)
        return _bundled(content, digest)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, binascii.Error):
        return None  # nothing that cosign has written


def _simple(content: bytes, signature: bytes, digest: str) -> _Signed | None:
    critical = json.loads(content)["critical"]
    names_it = critical["type"] == KIND and critical["image"]["docker-manifest-digest"] == digest
    return _Signed(content, signature) if names_it else None


def _bundled(content: bytes, digest: str) -> _Signed | None:
    """Read a bundle with a DSSE envelope; what is signed is its "pre-authentication encoding"."""
    envelope = json.loads(content)["dsseEnvelope"]
    kind, body = envelope["payloadType"], base64.b64decode(envelope["payload"], validate=True)
    statement = json.loads(body)
    digests = {f"sha256:{subject['digest']['sha256']}" for subject in statement["subject"]}
    if kind != STATEMENT or statement["predicateType"] != SIGNED or digest not in digests:
        return None  # an attestation of an SBOM, say, which signs no image
    text = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
    return _Signed(text, base64.b64decode(envelope["signatures"][0]["sig"], validate=True))


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
