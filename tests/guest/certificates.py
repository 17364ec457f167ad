"""Certificates for hosts of a test, of an authority of their own."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)


def environment(folder: Path) -> dict[str, str]:
    """Dask's settings for whoever has a certificate made here."""
    folder.mkdir()
    authority, host = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _certificate("authority", authority.public_key(), authority, ca=True)
    certificate = _certificate("host", host.public_key(), authority, ca=False)
    (folder / "ca.pem").write_bytes(ca)
    (folder / "host.pem").write_bytes(certificate)
    (folder / "host.key").write_bytes(
        host.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    found = {f"{tls}CA_FILE": str(folder / "ca.pem")}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        found[f"{tls}{who}__CERT"] = str(folder / "host.pem")
        found[f"{tls}{who}__KEY"] = str(folder / "host.key")
    return found


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePrivateKey, *, ca: bool
) -> bytes:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(by, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
