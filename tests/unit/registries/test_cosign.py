"""Signatures in cosign's formats: made here with real keys, as cosign lays them beside an image."""

import base64
import json
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_registry import Server
from test_manifests import Repository, digest_of

from deployer.errors import PermanentError, TemporaryError
from deployer.policies.proofs import Verify
from deployer.registries import cosign
from deployer.registries.credentials import Registries

SUBJECT, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
KEYS = {
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "other": ec.generate_private_key(ec.SECP256R1()),
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}


def public(name):
    der = KEYS[name].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sign(name, text):
    key = KEYS[name]
    if name == "rsa":
        signature = key.sign(text, padding.PKCS1v15(), SHA256())
    else:
        signature = key.sign(text) if name == "ed" else key.sign(text, ec.ECDSA(SHA256()))
    return base64.b64encode(signature).decode()


class Signed(Repository):
    """A repository in which images are signed."""

    referrers = True  # whether it knows the API of referrers

    def answer(self, path, query, authorization):
        kind, _, reference = path.removeprefix("/v2/team/web/").partition("/")
        if kind == "referrers":
            if not self.referrers:
                return 404, {}, b""
            return 200, {}, {"manifests": self.attached.get(reference, [])}
        return super().answer(path, query, authorization)

    attached = None

    def payload(self, digest, kind=cosign.KIND):
        critical = {
            "identity": {"docker-reference": "registry.example/team/web"},
            "image": {"docker-manifest-digest": digest},
            "type": kind,
        }
        return json.dumps({"critical": critical, "optional": None}).encode()

    def layer(self, content, key, media=cosign.PAYLOAD):
        return {
            "mediaType": media,
            "digest": self.add(content),
            "annotations": {cosign.SIGNATURE: sign(key, content)},
        }

    def manifest(self, *layers, tag=None):
        return self.add({"schemaVersion": 2, "config": {}, "layers": [*layers]}, tag)

    def tagged(self, key, subject=SUBJECT, content=None):
        """As cosign 1 and 2 do it."""
        layer = self.layer(content or self.payload(subject), key)
        self.manifest(layer, tag=f"sha256-{SUBJECT[7:]}.sig")

    def bundled(self, key, subject=SUBJECT, predicate=cosign.SIGNED):
        """As cosign 3 does it."""
        subjects = [{"digest": {"sha256": subject[7:]}}]
        body = json.dumps({"predicateType": predicate, "subject": subjects, "predicate": {}}).encode()
        text = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(body), body)
        envelope = {
            "payload": base64.b64encode(body).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": sign(key, text)}],
        }
        content = json.dumps({"mediaType": f"{cosign.BUNDLE}.v0.3+json", "dsseEnvelope": envelope}).encode()
        digest = self.manifest({"mediaType": f"{cosign.BUNDLE}.v0.3+json", "digest": self.add(content)})
        return {"digest": digest, "artifactType": f"{cosign.BUNDLE}.v0.3+json"}


@pytest.fixture
def repository():
    server = Server()
    made = Signed(server)
    made.attached = {}
    yield made
    server.close()


def why(repository, *names):
    registries = Registries(cosign_keys={name: public(name) for name in KEYS})
    found = registries.unproved(repository.image(f"@{SUBJECT}"), Verify("cosign", names or ("ec",)))
    return found.reason if found else None


@pytest.mark.parametrize("key", ["ec", "rsa", "ed"])
def test_a_signature_under_its_tag(repository, key):
    repository.tagged(key)
    assert why(repository, key) is None
    assert why(repository, "other", key) is None
    assert why(repository, "other") == "none of its 1 signatures is of cosign key other"


@pytest.mark.parametrize("referrers", [True, False])
def test_a_bundle_among_the_referrers_or_under_their_fallback_tag(repository, referrers):
    repository.referrers = referrers
    child = repository.bundled("ec")
    repository.attached = {SUBJECT: [child]}
    if not referrers:
        repository.add({"manifests": [child]}, f"sha256-{SUBJECT[7:]}")
    assert why(repository) is None
    assert why(repository, "rsa") == "none of its 1 signatures is of cosign key rsa"


def test_nobody_has_signed_it(repository):
    assert why(repository) == "its registry has no signature of it (cosign key ec has to sign it)"


def forgeries(repository):
    """What somebody without the key could lay beside an image."""
    yield "a signature of another image", lambda: repository.tagged("ec", OTHER)
    yield (
        "another kind of text",
        lambda: repository.tagged("ec", content=repository.payload(SUBJECT, "a note")),
    )
    yield "no text of cosign", lambda: repository.tagged("ec", content=b"[]")
    yield (
        "a bundle for another image",
        lambda: repository.attached.update({SUBJECT: [repository.bundled("ec", OTHER)]}),
    )
    yield (
        "an attestation",
        lambda: repository.attached.update({SUBJECT: [repository.bundled("ec", predicate="sbom")]}),
    )

    def exchanged():  # the text is another one than was signed
        layer = repository.layer(repository.payload(OTHER), "ec")
        repository.manifest(
            {**layer, "digest": repository.add(repository.payload(SUBJECT))}, tag=f"sha256-{SUBJECT[7:]}.sig"
        )

    yield "a text that was exchanged", exchanged

    def replaced():  # the registry gives another blob than the one that is named
        repository.tagged("ec", OTHER)
        repository.contents[digest_of(repository.payload(OTHER))] = repository.payload(SUBJECT)

    yield "a blob that was replaced", replaced


@pytest.mark.parametrize("number", range(7))
def test_no_forgery_is_taken(repository, number):
    name, forge = list(forgeries(repository))[number]
    forge()
    assert why(repository), name
    repository.tagged("ec")
    assert why(repository) is None


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"layers": 1}', b'{"layers": [1, {}, {"digest": 7}]}'])
def test_what_no_cosign_has_written_harms_nobody(repository, content):
    repository.add(content, f"sha256-{SUBJECT[7:]}.sig")
    found = None
    with suppress(PermanentError):
        found = why(repository)
        assert found
    repository.tagged("ec")
    assert why(repository) is None


def test_keys_that_are_not_there(repository, tmp_path):
    image = repository.image(f"@{SUBJECT}")
    found = Registries().unproved(image, Verify("cosign", ("ec",)))
    assert (found.reason, found.for_good) == (
        "there is no cosign key 'ec' (DEPLOYER_COSIGN_KEYS has none)",
        True,
    )
    for text, said in (
        (str(tmp_path / "no.pub"), "cannot be read: No such file"),
        ("bm8=", "is no public key"),
    ):
        with pytest.raises(PermanentError, match=said):
            Registries(cosign_keys={"ec": text}).unproved(image, Verify("cosign", ("ec",)))
    file = tmp_path / "cosign.pub"
    file.write_bytes(KEYS["ec"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    repository.tagged("ec")
    assert Registries(cosign_keys={"ec": str(file)}).unproved(image, Verify("cosign", ("ec",))) is None


def test_a_registry_that_cannot_answer_is_asked_again(repository):
    repository.server.answer = lambda *_: (503, {}, b"")
    with pytest.raises(TemporaryError):
        why(repository)


def test_aws_signer_is_of_ecr_alone(repository):
    found = Registries().unproved(repository.image(f"@{SUBJECT}"), Verify("aws-signer"))
    assert found.for_good
    assert "another registry" in found.reason
    assert "another registry" in Registries().scan(repository.image(f"@{SUBJECT}")).reason
